"""`python -m flickrhub_gateway`."""

from flickrhub_common.early_signals import end_quietly

if __name__ == "__main__":
    end_quietly()
    from flickrhub_gateway.main import run

    run()
