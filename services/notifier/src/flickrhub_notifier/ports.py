"""What the use cases need from outside."""

from datetime import datetime
from typing import Any, Protocol

from flickrhub_common.contracts import Message
from flickrhub_notifier.models import Answer, Attempt, Delivery, NoRoom, Post, Report, Slot, Verdict


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

    async def record(self, delivery_id: str, attempt: Attempt, verdict: Verdict) -> Delivery | None:
        """Store an attempt, what follows from it and the end of the claim in one step.

        None if the delivery has moved on meanwhile; then only the attempt itself is added.
        """
        ...

    async def mark_buried(self, delivery_id: str, *, at: datetime) -> None:
        """Note that the dead letter is confirmed."""
        ...


class Endpoints(Protocol):
    """The slots and breakers of endpoints, shared by all notifiers. Every method raises Unavailable."""

    async def enter(self, endpoint: str, *, owner: str) -> Slot | NoRoom:
        """Take a slot for the owner; or, if there is none, line up."""
        ...

    async def leave(self, slot: Slot, report: Report) -> bool:
        """Give a slot back, with what was learnt. True if that shut the endpoint."""
        ...


class Receiver(Protocol):
    """Whoever takes callbacks."""

    async def post(self, post: Post) -> Answer:
        """Make one request within the deadline; every failure is an answer."""
        ...


class Postbox(Protocol):
    """The broker, as far as the notifier sends. Both raise Unavailable."""

    async def send_later(self, message: Message, *, queue: str, seconds: float) -> None:
        """Put a message into a queue after a delay."""
        ...

    async def send_dead(self, message: Message, *, queue: str, headers: dict[str, Any]) -> None:
        """Put a message into a dead-letter queue."""
        ...
