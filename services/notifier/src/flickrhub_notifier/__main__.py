"""`python -m flickrhub_notifier`."""

from flickrhub_common.early_signals import end_quietly

if __name__ == "__main__":
    end_quietly()
    from flickrhub_notifier.main import run

    run()
