"""What the use cases need from outside."""

from datetime import datetime
from typing import Any, Protocol

from flickrhub_common.contracts import Message
from flickrhub_notifier.models import Answer, Attempt, Delivery, Post, Verdict


class Deliveries(Protocol):
    """The store of deliveries. Every method raises Unavailable when it isn't there."""

    async def open(self, delivery: Delivery) -> Delivery | None:
        """Store a new delivery, claimed as it comes; or, if the job has one, change nothing and give that one."""
        ...

    async def load(self, job_id: str) -> Delivery | None:
        """A job's delivery as it stands."""
        ...

    async def claim(self, job_id: str, *, attempt: int, now: datetime, until: datetime) -> Delivery | None:
        """Take the right to make this attempt until the given time.

        None unless the delivery is pending, this attempt is its next one and due, and nobody else holds the claim.
        """
        ...

    async def record(self, job_id: str, attempt: Attempt, verdict: Verdict) -> Delivery | None:
        """Store an attempt, what follows from it and the end of the claim in one step.

        None if the delivery has moved on meanwhile; then only the attempt itself is added.
        """
        ...

    async def mark_buried(self, job_id: str, *, at: datetime) -> None:
        """Note that the dead letter is confirmed."""
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
