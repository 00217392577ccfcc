"""What the user reads."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def say(text: str) -> None:
    """One line, at once."""
    print(text, flush=True)


def complain(text: str) -> None:
    """One line on stderr, at once."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def step(text: str) -> Iterator[None]:
    """`text … done (1.2 s)`; the line is ended when the step fails, too."""
    print(f"{text} … ", end="", flush=True)
    started = time.monotonic()
    try:
        yield
    except BaseException:
        print("failed", flush=True)
        raise
    print(f"done ({time.monotonic() - started:.1f} s)", flush=True)


def last_lines(log: Path, *, count: int = 15) -> list[str]:
    """The end of a log, [] when there is none."""
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 64 * 1024))
        return file.read().decode(errors="replace").splitlines()[-count:]
