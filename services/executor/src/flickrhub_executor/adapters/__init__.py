"""Ways out: each translates models to the other side and back, and decides nothing."""
