"""What the use cases need from outside."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Protocol

from flickrhub_common.contracts import Message
from flickrhub_notifier.models import Answer, Attempt, Delivery, Post, Report, Room, Slot, Verdict


class Deliveries(Protocol):
    """The store of deliveries. Every method raises Unavailable when it isn't there."""

    async def open(self, delivery: Delivery) -> Delivery | None:
        """Store a new delivery, claimed as it comes; or, if it is there, change nothing and give that one."""
        ...

    async def load(self, delivery_id: str) -> Delivery | None:
        """A delivery as it stands."""
        ...

    async def reopen(self, delivery_id: str, *, replay: int, now: datetime) -> Delivery | None:
        """Begin the round of attempts of this replay: pending, due now, its dead letter forgotten.

        None unless the delivery was given up and has been replayed less often.
        """
        ...

    async def expire(self, delivery_id: str, *, now: datetime) -> Delivery | None:
        """Give up a delivery that waits, as ``expired``. None if it doesn't wait or is being attempted."""
        ...

    async def claim(self, delivery_id: str, *, attempt: int, now: datetime, until: datetime) -> Delivery | None:
        """Take the right to make this attempt until the given time.

        None unless the delivery is pending, this attempt is its next one and due, and nobody else holds the claim.
        """
        ...

    async def record(self, delivery: Delivery, attempt: Attempt, verdict: Verdict) -> Delivery | None:
        """Store an attempt, what follows from it and the end of the claim in one step.

        None if the delivery has moved on meanwhile; then only the attempt itself is added. Safe to repeat.
        """
        ...

    async def line_up(self, delivery: Delivery, *, line: str, now: datetime) -> None:
        """Put a delivery into the line of an endpoint, by the time it came due, unless it isn't or is being made."""
        ...

    async def step_back(self, delivery: Delivery, *, line: str) -> None:
        """Give up the claim a delivery was opened with, unused, and put it into the line, unless it has moved on."""
        ...

    async def call_next(self, line: str, *, since: datetime, until: datetime) -> Delivery | None:
        """Of those in this line since then or longer the first, who can't be called again before ``until``.

        It leaves the line with its claim, or when it is given up.
        """
        ...

    def lines(self) -> AsyncIterator[str]:
        """Every endpoint that has a line."""
        ...

    async def mark_buried(self, delivery: Delivery, *, at: datetime) -> None:
        """Note that the dead letter of this delivery's round is confirmed, unless it was replayed meanwhile."""
        ...


class Endpoints(Protocol):
    """The slots and breakers of endpoints, shared by all notifiers. Every method raises Unavailable."""

    async def enter(self, endpoint: str, *, owner: str, has_none: bool = False) -> Slot | Room:
        """Take a slot for the owner; or, if there is none, see what room there is.

        ``has_none``: its process has no slot of this endpoint yet, and would like the next one.
        """
        ...

    async def leave(self, slot: Slot, report: Report, *, follower: str | None = None) -> Room:
        """Give a slot back, with what was learnt; the room there is then.

        If there is room, the follower has a slot at once (``handed``), unless another process has none (``wanted``).
        """
        ...

    async def look(self, endpoint: str) -> Room:
        """See what room there is."""
        ...

    async def announce(self, endpoint: str) -> Room:
        """Tell that somebody waits in line for this endpoint, so that it is looked at; the room there is."""
        ...

    async def look_again(self, endpoint: str, *, seconds: float) -> None:
        """Have an endpoint with a line looked at in so many seconds."""
        ...

    async def to_look_at(self, *, count: int) -> list[str]:
        """Up to so many endpoints whose line should be looked at now, for nobody else to look at for some seconds."""
        ...

    async def end_line(self, endpoint: str, *, line: int) -> None:
        """Forget a line that was found empty, unless someone has lined up since it was looked at."""
        ...


class Receiver(Protocol):
    """Whoever takes callbacks."""

    async def post(self, post: Post) -> Answer:
        """Make one request within the deadline; every failure is an answer."""
        ...


class Meter:
    """What operators see counted; this one counts nothing. No method waits or raises."""

    def attempted(self, answer: Answer, *, seconds: float) -> None:
        """An attempt is over."""

    def ended(self, delivery: Delivery, outcome: str, *, at: datetime) -> None:
        """A delivery was ``delivered``, or given up: ``failed``, ``gone`` or ``expired``."""

    def shut(self) -> None:
        """An endpoint is left alone from now on."""


UNMETERED = Meter()


class Postbox(Protocol):
    """The broker, as far as the notifier sends. Both raise Unavailable."""

    async def send_later(self, message: Message, *, queue: str, seconds: float) -> None:
        """Put a message into a queue after a delay."""
        ...

    async def send_dead(self, message: Message, *, queue: str, headers: dict[str, Any]) -> None:
        """Put a message into a dead-letter queue."""
        ...
