"""`python -m flickrhub_executor`."""

from flickrhub_common.early_signals import end_quietly

if __name__ == "__main__":
    end_quietly()
    from flickrhub_executor.main import run

    run()
