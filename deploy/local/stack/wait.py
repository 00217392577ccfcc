"""Waiting for something that can only be asked for, with a limit."""

import time
from collections.abc import Callable

INTERVAL_SECONDS = 0.1


def until(condition: Callable[[], bool], *, seconds: float) -> bool:
    """Ask until `condition` holds; False when it doesn't within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(INTERVAL_SECONDS)
    return True
