"""What the user of the demo reads: one line a step, ticked when it is done."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

GREEN, RED, BOLD, DIM, PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[1m", "\x1b[2m", "\x1b[0m"
BEGIN_AGAIN = "\r\x1b[K"


class StepFailed(Exception):
    """A step of the demo didn't succeed; the text is the reason for the user."""


class Screen:
    """Ticks steps. Colours, and a line for the step under way, only on a terminal and without NO_COLOR."""

    def __init__(self, out: TextIO, *, environ: Mapping[str, str]) -> None:
        self._out = out
        self._lively = out.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        plain = not _can_show(out, "✓✗…")
        self._tick, self._cross = ("ok", "FAILED") if plain else ("✓", "✗")
        self._began = time.monotonic()

    def title(self, text: str) -> None:
        """A heading."""
        self._line(f"{self._painted(BOLD, text)}")

    def done(self, text: str) -> None:
        """The last line of a demo that succeeded."""
        self._line(f"{self._painted(GREEN, text)} ({time.monotonic() - self._began:.0f} s)")

    @contextmanager
    def step(self, text: str) -> Iterator[Callable[[str], None]]:
        """`✓ text: what came of it (0.3 s)`; the block says what came of it by calling what it is given."""
        outcome: list[str] = []
        started = time.monotonic()
        if self._lively:
            self._out.write(f"  {DIM}… {text}{PLAIN}")
            self._out.flush()
        try:
            yield outcome.append
        except BaseException:
            self._end(RED, self._cross, text, [], started)
            raise
        self._end(GREEN, self._tick, text, outcome, started)

    def _end(self, colour: str, mark: str, text: str, outcome: list[str], started: float) -> None:
        told = f": {outcome[0]}" if outcome else ""
        elapsed = self._painted(DIM, f"({time.monotonic() - started:.1f} s)")
        self._line(f"{BEGIN_AGAIN if self._lively else ''}  {self._painted(colour, mark)} {text}{told} {elapsed}")
        for more in outcome[1:]:
            self._line(f"      {self._painted(DIM, more)}")

    def _painted(self, colour: str, text: str) -> str:
        return f"{colour}{text}{PLAIN}" if self._lively else text

    def _line(self, text: str) -> None:
        encoding = self._out.encoding or "utf-8"
        print(text.encode(encoding, "replace").decode(encoding), file=self._out, flush=True)


def _can_show(out: TextIO, text: str) -> bool:
    try:
        text.encode(out.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
