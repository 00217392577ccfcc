"""Endpoints as one process knows them: who is in, who stands at the door, how fast they go."""

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from flickrhub_notifier.models import Room, Slot

AT_THE_DOOR_SECONDS = 1.5
"""How long an attempt may expect to wait in its process for those before it to leave: much cheaper than the line, where
an endpoint answers fast."""
PATIENCE_SECONDS = 3.0
"""How long it waits: expectations are rough, and who goes now joins the line behind all others."""
UNKNOWN_SECONDS = 0.25
UNKNOWN_AT_THE_DOOR = 4
"""For how long at the most, and how many for each slot, as long as nobody has left: a quarter of the time that a few
would hold a process's places, as many as come at once when a fast endpoint's first callbacks do."""
POLL_SECONDS = 0.05
"""How often the first at the door asks if nobody is in whose leaving would let them in: other processes are."""
LOOK_SECONDS = 0.5
"""How often the others look whether they are the first."""
YIELD_SECONDS = 0.1
"""For how long a slot that another process wants is left to it."""
HEEDED = 0.2
"""How much the last attempt counts in the pace of an endpoint."""
KEPT = 1024
"""Endpoints of which something is remembered while nobody is at them."""


@dataclass(eq=False)
class Waiting:
    """Someone at the door; ``let_in`` is their slot, handed over by who left, or None: to try."""

    owner: str
    let_in: asyncio.Future[Slot | None]


@dataclass
class Place:
    """An endpoint as this process knows it: how many are in, those at its door, how long each stays (None: unknown).

    ``leaving`` is how many are out whose slots are still theirs in Redis, as far as is known.
    ``moved_at`` is when one came in last while nobody was, or left; ``in_vain_since`` is since when those who ask are
    refused while nobody is in (None: they aren't); ``line`` is whether anybody waits in line, as far as is known; it is
    said to be shut until ``shut_until``. Times are of ``time.monotonic``.
    """

    inside: int = 0
    leaving: int = 0
    door: deque[Waiting] = field(default_factory=deque)
    pace: float | None = None
    door_was_last: bool = False
    moved_at: float = 0.0
    in_vain_since: float | None = None
    line: bool = False
    shut_until: float = 0.0
    yields_until: float = 0.0

    @property
    def busy(self) -> int:
        """How many slots this process holds or gives back."""
        return self.inside + self.leaving

    @property
    def empty(self) -> bool:
        """Whether nobody is here."""
        return not self.busy and not self.door

    @property
    def patience(self) -> float:
        """How long to wait at the door: not long either where only others are in, whose pace is theirs."""
        unknown = self.pace is None or self.in_vain_since is not None
        return UNKNOWN_SECONDS if unknown else PATIENCE_SECONDS

    def full(self, concurrency: int, *, called: bool = False) -> bool:
        """Whether to ask for a slot would be in vain: this process has them all, or others are first.

        At the door nobody is before one who was called from the line: it was the line's turn.
        """
        return 0 < concurrency <= self.busy or (self.busy > 0 and bool(self.door) and not called)

    def room_at_the_door(self, concurrency: int, *, now: float) -> bool:
        """Whether another one would be let in soon enough.

        However fast it has been: if nobody has left for a while, those who are in stay at least as long. So do those of
        other processes who let nobody in.
        """
        if self.pace is None and len(self.door) >= UNKNOWN_AT_THE_DOOR * concurrency:
            return False
        stay = max(self.pace or 0.0, now - self._still_since(now))
        return (len(self.door) + 1) * stay <= AT_THE_DOOR_SECONDS * concurrency

    def _still_since(self, now: float) -> float:
        """When something moved here last, as far as this process sees."""
        if self.in_vain_since is not None:
            return self.in_vain_since
        return self.moved_at if self.inside else now

    def is_left_to(self, waiting: Waiting) -> bool:
        """Whether nobody is in whose leaving could let the first at the door in: so they have to try themselves."""
        return not self.busy and bool(self.door) and self.door[0] is waiting

    def wait_of(self, waiting: Waiting, *, until: float, now: float) -> float:
        """How long someone at the door waits before they look again; 0 when their time is over."""
        if waiting not in self.door:  # a slot is being handed to them
            return POLL_SECONDS
        return min(max(0.0, until - now), POLL_SECONDS if self.is_left_to(waiting) else LOOK_SECONDS)

    def enter(self, *, now: float) -> None:
        """One more is in."""
        if not self.inside:
            self.moved_at = now
        self.inside += 1
        self.in_vain_since = None

    def leave(self, *, stayed: float, now: float) -> None:
        """One is out who stayed so long."""
        self.inside = max(0, self.inside - 1)
        self.moved_at = now
        self.pace = stayed if self.pace is None else self.pace + HEEDED * (stayed - self.pace)

    def see(self, room: Room, *, now: float) -> None:
        """Keep what was found out about the endpoint."""
        self.line = bool(room.line)
        self.shut_until = now + room.shut_for if room.shut_for else 0.0

    def refuse(self, room: Room, *, now: float) -> None:
        """Keep what one was told who asked in vain."""
        self.see(room, now=now)
        if not room.shut_for and not self.busy and self.in_vain_since is None:
            self.in_vain_since = now  # until one is in: those at the door may all give up before

    def next_at_the_door(self) -> Waiting | None:
        """The first at the door, in turns with the line if there is one; None if it isn't the door's turn."""
        if not self.door or (self.line and self.door_was_last):
            self.door_was_last = False
            return None
        self.door_was_last = True
        return self.door.popleft()


class Places(OrderedDict[str, Place]):
    """Places by endpoint; of those where nobody is the last ones are kept, for what is known of them."""

    def of(self, endpoint: str) -> Place:
        """An endpoint's place."""
        place = self.get(endpoint)
        if place is None:
            place = self[endpoint] = Place()
            self._forget()
        else:
            self.move_to_end(endpoint)
        return place

    def _forget(self) -> None:
        for endpoint in list(self) if len(self) > 2 * KEPT else ():
            if len(self) <= KEPT:
                return
            if self[endpoint].empty:
                del self[endpoint]
