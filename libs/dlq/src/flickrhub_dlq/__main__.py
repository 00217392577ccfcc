"""``python -m flickrhub_dlq``."""

import sys

from flickrhub_dlq.cli import main

if __name__ == "__main__":
    sys.exit(main())
