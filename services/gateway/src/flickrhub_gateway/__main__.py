"""`python -m flickrhub_gateway`."""

from flickrhub_common.beginning_and_end import end_quietly, leave

if __name__ == "__main__":
    end_quietly()
    from flickrhub_gateway.main import run

    run()
    leave()
