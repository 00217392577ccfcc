"""One command at a time in a run folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from deploy.local.stack.places import Places
from deploy.local.stack.screen import say


@contextmanager
def exclusive(places: Places) -> Iterator[None]:
    """Hold the run folder's lock; a second command waits here, and says so, until the first has ended."""
    path = places.run / "lock"
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _acquire(descriptor)
            # `make clean` may have removed the file, and the folder, while we waited for it.
            if path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino:
                yield
                return
        finally:
            os.close(descriptor)
        places.create()


def _acquire(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("Another make up, down or test is at work here: waiting for it.")
        fcntl.flock(descriptor, fcntl.LOCK_EX)
