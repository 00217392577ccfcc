"""The operator's tool for dead letters: list, show, replay, purge."""
