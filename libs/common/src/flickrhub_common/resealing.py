"""Resealing: bring every sealed value under the newest key, beside running services, so that an older key can go.

A service names the places where it keeps sealed values; ``Reseal`` goes through them. A value is replaced only if it is
still the one that was read, so two that reseal at once, or a service that writes meanwhile, lose nothing, and a run
that was broken off is simply run again.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from flickrhub_common.logs import logger
from flickrhub_common.sealing import CannotOpen, KeyRing, key_id

log = logger(__name__)

PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class Sealed:
    """A sealed value where it was found: ``ref`` is of its place, ``purpose`` and ``owner`` are what it is bound to."""

    ref: str
    purpose: str
    owner: str
    text: str = field(repr=False)


class Place(Protocol):
    """Where sealed values lie. Every call raises Unavailable when the store is away."""

    @property
    def name(self) -> str:
        """What an operator calls it."""
        ...

    def under_other_keys(self, newest: str) -> AsyncIterator[Sealed]:
        """Every value that isn't sealed under this key and may be replaced now."""
        ...

    async def swap(self, old: Sealed, text: str) -> bool:
        """Put ``text`` in the place of a value, if it is still the one that was read; whether it was."""
        ...

    async def waiting(self, newest: str) -> Mapping[str, int]:
        """How many values can't be replaced yet, by the id of their key."""
        ...


@dataclass(frozen=True)
class Tally:
    """What a walk through one place came to. ``unopened`` and ``waiting`` count what is left, by key id."""

    resealed: int
    unopened: Mapping[str, int]
    waiting: Mapping[str, int]

    @property
    def left(self) -> dict[str, int]:
        """What still needs an older key, by its id."""
        return dict(Counter(self.unopened) + Counter(self.waiting))


async def reseal(place: Place, ring: KeyRing) -> Tally:
    """Go through a place once. Raises Unavailable; what was done until then stays done."""
    resealed, unopened = 0, Counter[str]()
    async for old in place.under_other_keys(ring.newest):
        try:
            text = ring.reseal(old.text, purpose=old.purpose, owner=old.owner)
        except CannotOpen:
            unopened[key_id(old.text)] += 1
        else:
            resealed += await place.swap(old, text)
    return Tally(resealed, unopened, await place.waiting(ring.newest))


@dataclass(frozen=True)
class Reseal:
    """Reseals everything a service keeps, in the order of its places."""

    places: Sequence[Place]
    ring: KeyRing
    pause_seconds: float = PAUSE_SECONDS

    async def __call__(self, *, wait_seconds: float = 0.0) -> bool:
        """Whether nothing needs an older key any more; what has to wait is waited for so long. Raises Unavailable."""
        deadline = time.monotonic() + wait_seconds
        said: dict[str, Tally] = {}
        while True:
            tallies = {place.name: await reseal(place, self.ring) for place in self.places}
            for name, tally in tallies.items():
                if tally != said.get(name):
                    self._say(name, tally)
            said = tallies
            if not any(tally.waiting for tally in tallies.values()) or time.monotonic() >= deadline:
                return not any(tally.left for tally in tallies.values())
            await asyncio.sleep(self.pause_seconds)

    def _say(self, name: str, tally: Tally) -> None:
        log.info("resealed", place=name, key=self.ring.newest, count=tally.resealed)
        if tally.waiting:
            log.info("waiting_under_older_keys", place=name, counts=dict(tally.waiting))
        if tally.unopened:
            log.error("does_not_open", place=name, counts=dict(tally.unopened))


def sealed_in(body: bytes) -> tuple[str, str] | None:
    """The job's id and the sealed callback secret in a message about a job; None if it has none, or isn't one."""
    try:
        message = json.loads(body)
        owner, text = message["job_id"], message["callback"]["sealed_secret"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return (owner, text) if isinstance(owner, str) and isinstance(text, str) else None
