"""What the notifier's use cases get instead of MongoDB and a receiver."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime

from flickrhub_common.errors import Unavailable
from flickrhub_notifier.models import (
    EXPIRED,
    Answer,
    Attempt,
    Delivered,
    Delivery,
    DeliveryState,
    GiveUp,
    Post,
    Report,
    Room,
    Slot,
    Verdict,
)


class FakeDeliveries:
    """Deliveries in memory, with the rules of the real store: `behaviour_of_deliveries.py` is run on both.

    Put a method's name into `away` to make its next call fail as an absent MongoDB would.
    """

    def __init__(self) -> None:
        self.stored: dict[str, Delivery] = {}
        self.attempts: dict[str, list[Attempt]] = {}
        self.away: set[str] = set()
        self.called: dict[str, datetime] = {}

    async def open(self, delivery: Delivery) -> Delivery | None:
        """Store a new delivery, or give the one there is."""
        self._there("open")
        existing = self.stored.get(delivery.id)
        if existing is None:
            self.stored[delivery.id] = delivery
            self.attempts[delivery.id] = []
        return existing

    async def load(self, delivery_id: str) -> Delivery | None:
        """The delivery as it stands."""
        self._there("load")
        return self.stored.get(delivery_id)

    async def claim(self, delivery_id: str, *, attempt: int, now: datetime, until: datetime) -> Delivery | None:
        """Claim a due and free attempt."""
        self._there("claim")
        found = self.stored.get(delivery_id)
        if found is None or found.state is not DeliveryState.PENDING or found.next_attempt != attempt:
            return None
        if found.next_attempt_at > now or (found.claimed_until is not None and found.claimed_until > now):
            return None
        return self._put(replace(found, claimed_until=until, claims=found.claims + 1, line=None))

    async def reopen(self, delivery_id: str, *, replay: int, now: datetime) -> Delivery | None:
        """Begin another round."""
        self._there("reopen")
        found = self.stored.get(delivery_id)
        if found is None or found.state not in (DeliveryState.FAILED, DeliveryState.GONE) or found.replays >= replay:
            return None
        return self._put(
            replace(
                found,
                state=DeliveryState.PENDING,
                replays=replay,
                round_began_at=now,
                next_attempt_at=now,
                claimed_until=None,
                dead_lettered_at=None,
                earlier_attempts=found.next_attempt - 1,
            )
        )

    async def expire(self, delivery_id: str, *, now: datetime) -> Delivery | None:
        """Give up what waits."""
        self._there("expire")
        found = self.stored.get(delivery_id)
        if found is None or found.state is not DeliveryState.PENDING or (found.claimed_until or now) > now:
            return None
        return self._put(replace(found, state=DeliveryState.FAILED, reason=EXPIRED, claimed_until=None, line=None))

    async def record(self, delivery: Delivery, attempt: Attempt, verdict: Verdict) -> Delivery | None:
        """Store an attempt and what follows."""
        self._there("record")
        found = self.stored[delivery.id]
        self.attempts[delivery.id].append(attempt)
        out_of_turn = found.next_attempt != attempt.number and not isinstance(verdict, Delivered)
        if found.state is not DeliveryState.PENDING or out_of_turn:
            return None
        moved = replace(found, next_attempt=attempt.number + 1, claimed_until=None, claims=0, line=None)
        if isinstance(verdict, Delivered):
            return self._put(replace(moved, state=DeliveryState.DELIVERED, reason=None))
        if isinstance(verdict, GiveUp):
            return self._put(replace(moved, state=verdict.state, reason=verdict.reason))
        return self._put(replace(moved, next_attempt_at=verdict.at, reason=verdict.reason))

    async def line_up(self, delivery: Delivery, *, line: str, now: datetime) -> None:
        """Put it into a line."""
        self._there("line_up")
        found = self.stored[delivery.id]
        free = found.state is DeliveryState.PENDING and found.free_at() <= now
        if free and found.next_attempt == delivery.next_attempt:
            self._put(replace(found, line=line))
            self.called.pop(delivery.id, None)

    async def step_back(self, delivery: Delivery, *, line: str) -> None:
        """Put what was opened, and not attempted, into a line."""
        self._there("step_back")
        found = self.stored[delivery.id]
        if found.state is DeliveryState.PENDING and found.claimed_until == delivery.claimed_until:
            self._put(replace(found, claimed_until=None, claims=found.claims - 1, line=line))

    async def call_next(self, line: str, *, since: datetime, until: datetime) -> Delivery | None:
        """The first in line."""
        self._there("call_next")
        waiting = [
            (self.called.get(one.id, one.next_attempt_at), one.id) for one in self.stored.values() if one.line == line
        ]
        at, delivery_id = min(waiting, default=(until, ""))
        if not delivery_id or at > since:
            return None
        self.called[delivery_id] = until
        return self.stored[delivery_id]

    async def lines(self) -> AsyncIterator[str]:
        """All lines."""
        self._there("lines")
        for line in sorted({one.line for one in self.stored.values() if one.line is not None}):
            yield line

    async def mark_buried(self, delivery: Delivery, *, at: datetime) -> None:
        """Note the dead letter."""
        self._there("mark_buried")
        found = self.stored[delivery.id]
        if found.state in (DeliveryState.FAILED, DeliveryState.GONE) and found.replays == delivery.replays:
            self._put(replace(found, dead_lettered_at=at))

    def _put(self, delivery: Delivery) -> Delivery:
        self.stored[delivery.id] = delivery
        return delivery

    def _there(self, method: str) -> None:
        if method in self.away:
            self.away.discard(method)
            raise Unavailable("mongo")


class FakeReceiver:
    """Gives the scripted answers, then 200; remembers what came. `during` is called while a request is under way."""

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.answers: list[Answer] = []
        self.during: Callable[[], None] | None = None

    async def post(self, post: Post) -> Answer:
        """Answer as scripted."""
        self.posts.append(post)
        if self.during is not None:
            self.during()
        return self.answers.pop(0) if self.answers else Answer(200)


class FakeEndpoints:
    """Has room unless told otherwise; remembers who entered and what was reported. Set `away` to be without Redis.

    `rooms` is what those who enter find, one after the other (None: a slot), after that each finds a slot. `room` is
    what everybody else sees. Nothing happens by time: `looks` is what was planned.
    """

    def __init__(self) -> None:
        self.rooms: list[Room | None] = []
        self.room = Room(free=8)
        self.line: Counter[str] = Counter()
        self.looks: dict[str, float] = {}
        self.entered: list[str] = []
        self.reports: list[Report] = []
        self.away = False

    @property
    def under_way(self) -> int:
        """Slots that were not given back."""
        return len(self.entered) - len(self.reports)

    async def enter(self, endpoint: str, *, owner: str, has_none: bool = False) -> Slot | Room:
        """Give a slot, or what is scripted instead."""
        self._there()
        found = self.rooms.pop(0) if self.rooms else None
        if found is not None:
            return found
        self.entered.append(endpoint)
        return Slot(endpoint, owner)

    async def leave(self, slot: Slot, report: Report, *, follower: str | None = None) -> Room:
        """Remember what was learnt; whoever follows has the slot, unless nobody is let in."""
        self._there()
        self.reports.append(report)
        handed = follower is not None and self.room.free > 0
        if handed:
            self.entered.append(slot.endpoint)
        return replace(await self.look(slot.endpoint), free=self.room.free - handed, handed=handed)

    async def look(self, endpoint: str) -> Room:
        """See what room there is."""
        self._there()
        return replace(self.room, line=self.line[endpoint])

    async def announce(self, endpoint: str) -> Room:
        """Count someone into the line."""
        self._there()
        self.line[endpoint] += 1
        self.looks.setdefault(endpoint, self.room.shut_for or 10.0)
        return await self.look(endpoint)

    async def look_again(self, endpoint: str, *, seconds: float) -> None:
        """Plan a look."""
        self._there()
        self.looks[endpoint] = seconds

    async def to_look_at(self, *, count: int) -> list[str]:
        """All that are planned, as if their time had come."""
        self._there()
        return list(self.looks)[:count]

    async def end_line(self, endpoint: str, *, line: int) -> None:
        """Forget a line."""
        self._there()
        if self.line[endpoint] == line:
            self.looks.pop(endpoint, None)
            del self.line[endpoint]

    def _there(self) -> None:
        if self.away:
            raise Unavailable("redis")
