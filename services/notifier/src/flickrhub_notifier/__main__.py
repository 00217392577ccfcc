"""`python -m flickrhub_notifier`."""

from flickrhub_common.beginning_and_end import end_quietly, leave

if __name__ == "__main__":
    end_quietly()
    from flickrhub_notifier.main import run

    run()
    leave()
