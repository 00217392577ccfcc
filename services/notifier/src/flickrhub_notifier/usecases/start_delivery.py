"""A job has ended: send its callback for the first time."""

from dataclasses import dataclass, replace

from flickrhub_common.contracts import Callback, JobCompleted, JobFailed
from flickrhub_common.telemetry import trace_headers
from flickrhub_notifier.models import Delivery, NoRoom
from flickrhub_notifier.usecases.admit_attempt import Visit
from flickrhub_notifier.usecases.compose_body import compose_body
from flickrhub_notifier.usecases.make_attempt import MakeAttempt


@dataclass(frozen=True)
class StartDelivery:
    """Stores the delivery, already claimed, and makes its first attempt; a repeated event only mends what is undone.

    If its endpoint has no room, the delivery is stored unclaimed and waits.
    """

    make: MakeAttempt
    enabled: bool

    async def __call__(self, event: JobCompleted | JobFailed) -> None:
        """Deliver the event's callback, if it asks for one and callbacks are on. Raises Unavailable."""
        if event.callback is None or not self.enabled:
            return
        delivery = self._new(event, event.callback)
        found = await self.make.admit(delivery)
        if isinstance(found, NoRoom):
            existing = await self._store_waiting(delivery, found)
        else:
            existing = await self._store_and_attempt(delivery, found)
        if existing is not None:
            await self.make.follow(existing)

    async def _store_waiting(self, delivery: Delivery, room: NoRoom) -> Delivery | None:
        waiting = replace(delivery, claimed_until=None)
        existing = await self.make.deliveries.open(waiting)
        if existing is None:
            await self.make.put_off(waiting, room, waits=0)
        return existing

    async def _store_and_attempt(self, delivery: Delivery, visit: Visit) -> Delivery | None:
        async with visit:
            existing = await self.make.deliveries.open(delivery)
            if existing is None:
                await self.make.attempt(delivery, visit)
        return existing

    def _new(self, event: JobCompleted | JobFailed, callback: Callback) -> Delivery:
        now = self.make.clock.now()
        return Delivery(
            job_id=event.job_id,
            user_id=event.user_id,
            url=callback.url,
            sealed_secret=callback.sealed_secret,
            body=compose_body(event, now=now),
            trace_id=event.trace_id,
            trace=trace_headers(),
            created_at=now,
            next_attempt=1,
            next_attempt_at=now,
            claimed_until=now + self.make.policy.lease,
            job_replay=event.replay,
        )
