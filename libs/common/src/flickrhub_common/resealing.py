"""Resealing: bring every sealed value under the newest key, beside running services, so that an older key can go.

A service names the places where it keeps sealed values; ``Reseal`` goes through them. A value is replaced only if it is
still the one that was read, so two that reseal at once, or a service that writes meanwhile, lose nothing, and a run
that was broken off is simply run again.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

from flickrhub_common.logs import logger
from flickrhub_common.sealing import CannotOpen, KeyRing, key_id

log = logger(__name__)

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
PAUSES_GROW = 1.5
MOST_NAMED = 20
"""How many of what is left are named in the log."""


@dataclass(frozen=True)
class Sealed:
    """A sealed value where it was found: ``ref`` is of its place, ``purpose`` and ``owner`` are what it is bound to."""

    ref: str
    purpose: str
    owner: str
    text: str = field(repr=False)


@dataclass
class Left:
    """What stays as it was: how many values, by the id of their key, and the owners of the first few."""

    counts: Counter[str] = field(default_factory=Counter)
    owners: list[str] = field(default_factory=list)

    def add(self, owner: str, text: str) -> None:
        """One more."""
        self.counts[key_id(text)] += 1
        if len(self.owners) < MOST_NAMED:
            self.owners.append(owner)

    def __bool__(self) -> bool:
        return bool(self.counts)


class InUse(Exception):
    """Somebody else has the values of a place in hand; its text says who may, and what to do."""


class Place(Protocol):
    """Where sealed values lie. Every call raises Unavailable when the store is away."""

    @property
    def name(self) -> str:
        """What an operator calls it."""
        ...

    def under_other_keys(self, newest: str) -> AsyncGenerator[Sealed, None]:
        """Every value that isn't sealed under this key and may be replaced now. Raises InUse."""
        ...

    async def swap(self, old: Sealed, text: str) -> bool:
        """Put ``text`` in the place of a value, if it is still the one that was read; whether it was."""
        ...

    async def waiting(self, newest: str) -> Left:
        """What can't be replaced yet. Asked often, so it goes through no more than that."""
        ...


@dataclass(frozen=True)
class Tally:
    """What a walk through one place came to: what was resealed, what doesn't open, and what had to wait as it began."""

    resealed: int
    unopened: Left
    waiting: Left

    @property
    def left(self) -> dict[str, int]:
        """What still needs an older key, by its id."""
        return dict(self.unopened.counts + self.waiting.counts)


async def reseal(place: Place, ring: KeyRing) -> Tally:
    """Go through a place once. Raises InUse, and Unavailable; what was done until then stays done."""
    waiting = await place.waiting(ring.newest)  # before the walk: what ends in between is met by it, or counted
    resealed, unopened = 0, Left()
    async with aclosing(place.under_other_keys(ring.newest)) as values:
        async for old in values:
            try:
                text = ring.reseal(old.text, purpose=old.purpose, owner=old.owner)
            except CannotOpen:
                unopened.add(old.owner, old.text)
            else:
                resealed += await place.swap(old, text)
    return Tally(resealed, unopened, waiting)


@dataclass(frozen=True)
class Reseal:
    """Reseals everything a service keeps, in the order of its places: what waits in one may end up in the next."""

    places: Sequence[Place]
    ring: KeyRing
    pause_seconds: float = FIRST_PAUSE_SECONDS

    async def __call__(self, *, wait_seconds: float = 0.0) -> bool:
        """Whether nothing needs an older key any more; what has to wait is waited for so long.

        Each place is walked through once, when nothing waits there any more. Raises InUse and Unavailable.
        """
        deadline = time.monotonic() + wait_seconds
        opened = True
        for place in self.places:
            await self._until_nothing_waits(place, deadline)
            tally = await self._walk(place, deadline)
            log.info("resealed", place=place.name, key=self.ring.newest, count=tally.resealed)
            if tally.unopened:
                _say("does_not_open", place, tally.unopened)
            if tally.waiting:
                _say("waiting_under_older_keys", place, tally.waiting)
                return False
            opened = opened and not tally.unopened
        return opened

    async def _until_nothing_waits(self, place: Place, deadline: float) -> None:
        said, pause = Left(), self.pause_seconds
        while time.monotonic() < deadline and (left := await place.waiting(self.ring.newest)):
            if left != said:
                _say("waiting_under_older_keys", place, left)
            said, pause = left, await _sleep(pause, deadline)

    async def _walk(self, place: Place, deadline: float) -> Tally:
        pause = self.pause_seconds
        while True:
            try:
                return await reseal(place, self.ring)
            except InUse as error:
                if time.monotonic() >= deadline:
                    raise
                log.info("place_in_use", place=place.name, reason=str(error))
                pause = await _sleep(pause, deadline)


async def _sleep(pause: float, deadline: float) -> float:
    """Sleep, but not past the deadline; how long to sleep the next time."""
    await asyncio.sleep(max(0.0, min(pause, deadline - time.monotonic())))
    return min(pause * PAUSES_GROW, LONGEST_PAUSE_SECONDS)


def _say(event: str, place: Place, left: Left) -> None:
    say = log.error if event == "does_not_open" else log.info
    say(event, place=place.name, counts=dict(left.counts), owners=left.owners)


def sealed_in(body: bytes) -> tuple[str, str] | None:
    """The job's id and the sealed callback secret in a message about a job; None if it has none, or isn't one."""
    try:
        message = json.loads(body)
        owner, text = message["job_id"], message["callback"]["sealed_secret"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return (owner, text) if isinstance(owner, str) and isinstance(text, str) else None
