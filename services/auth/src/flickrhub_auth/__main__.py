"""`python -m flickrhub_auth`."""

from flickrhub_common.early_signals import end_quietly

if __name__ == "__main__":
    end_quietly()
    from flickrhub_auth.main import run

    run()
