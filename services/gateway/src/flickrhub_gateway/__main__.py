"""`python -m flickrhub_gateway`."""

from flickrhub_gateway.main import run

if __name__ == "__main__":
    run()
