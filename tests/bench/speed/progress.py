"""What is said while it runs."""

import sys
import time

_BEGAN = time.monotonic()


def say(text: str) -> None:
    """Some lines, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def progress(line: str) -> None:
    """One line with the seconds that have passed."""
    say(f"{time.monotonic() - _BEGAN:4.0f} s  {line}")
