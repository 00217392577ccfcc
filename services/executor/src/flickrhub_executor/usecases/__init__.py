"""The one place to decide."""
