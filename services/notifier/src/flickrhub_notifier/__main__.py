"""``python -m flickrhub_notifier``."""

from flickrhub_notifier.main import run

if __name__ == "__main__":
    run()
