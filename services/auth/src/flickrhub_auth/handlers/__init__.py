"""The ways into auth."""
