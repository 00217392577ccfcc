"""The ways out: Mongo and auth."""
