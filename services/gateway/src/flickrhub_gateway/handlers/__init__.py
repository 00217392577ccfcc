"""The ways in: HTTP, the queue of job events, the timer."""
