"""The very beginning and the very end of a service's process."""

import atexit
import os
import signal
import sys


def end_quietly() -> None:
    """From now on SIGTERM and SIGINT end the process at once with exit code 0; ``server.serve`` takes over later.

    To be called before the service's own modules are imported, which takes a second or two.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))


def leave() -> None:
    """End the process with exit code 0 once what was registered for its end (`atexit`) has run.

    Taking the interpreter apart first helps nobody; on a busy machine it was seen to take seconds, in which nothing can
    cut it off any more.
    """
    atexit._run_exitfuncs()  # noqa: SLF001 - there is no other way to run them without the rest
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)
