"""``python -m flickrhub_executor``."""

from flickrhub_executor.main import run

run()
