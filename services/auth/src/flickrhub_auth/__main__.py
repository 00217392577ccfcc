"""``python -m flickrhub_auth``."""

from flickrhub_auth.main import run

run()
