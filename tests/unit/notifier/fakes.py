"""What the notifier's use cases get instead of MongoDB and a receiver."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from flickrhub_common.errors import Unavailable
from flickrhub_notifier.models import Answer, Attempt, Delivered, Delivery, DeliveryState, GiveUp, Post, Verdict


class FakeDeliveries:
    """Deliveries in memory, with the rules of the real store: `behaviour_of_deliveries.py` is run on both.

    Put a method's name into `away` to make its next call fail as an absent MongoDB would.
    """

    def __init__(self) -> None:
        self.stored: dict[str, Delivery] = {}
        self.attempts: dict[str, list[Attempt]] = {}
        self.away: set[str] = set()

    async def open(self, delivery: Delivery) -> Delivery | None:
        """Store a new delivery, or give the one there is."""
        self._there("open")
        existing = self.stored.get(delivery.job_id)
        if existing is None:
            self.stored[delivery.job_id] = delivery
            self.attempts[delivery.job_id] = []
        return existing

    async def load(self, job_id: str) -> Delivery | None:
        """The delivery as it stands."""
        self._there("load")
        return self.stored.get(job_id)

    async def claim(self, job_id: str, *, attempt: int, now: datetime, until: datetime) -> Delivery | None:
        """Claim a due and free attempt."""
        self._there("claim")
        found = self.stored.get(job_id)
        if found is None or found.state is not DeliveryState.PENDING or found.next_attempt != attempt:
            return None
        if found.next_attempt_at > now or (found.claimed_until is not None and found.claimed_until > now):
            return None
        return self._put(replace(found, claimed_until=until))

    async def record(self, job_id: str, attempt: Attempt, verdict: Verdict) -> Delivery | None:
        """Store an attempt and what follows."""
        self._there("record")
        found = self.stored[job_id]
        self.attempts[job_id].append(attempt)
        out_of_turn = found.next_attempt != attempt.number and not isinstance(verdict, Delivered)
        if found.state is not DeliveryState.PENDING or out_of_turn:
            return None
        moved = replace(found, next_attempt=attempt.number + 1, claimed_until=None)
        if isinstance(verdict, Delivered):
            return self._put(replace(moved, state=DeliveryState.DELIVERED, reason=None))
        if isinstance(verdict, GiveUp):
            return self._put(replace(moved, state=verdict.state, reason=verdict.reason))
        return self._put(replace(moved, next_attempt_at=verdict.at, reason=verdict.reason))

    async def mark_buried(self, job_id: str, *, at: datetime) -> None:
        """Note the dead letter."""
        self._there("mark_buried")
        self._put(replace(self.stored[job_id], dead_lettered_at=at))

    def _put(self, delivery: Delivery) -> Delivery:
        self.stored[delivery.job_id] = delivery
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
