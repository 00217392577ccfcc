"""The ways out of the notifier."""
