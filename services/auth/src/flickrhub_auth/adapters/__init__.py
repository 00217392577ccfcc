"""The ways out of auth."""
