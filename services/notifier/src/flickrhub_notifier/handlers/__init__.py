"""The ways into the notifier."""
