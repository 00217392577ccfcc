"""A job has ended: send its callback for the first time."""

from dataclasses import dataclass, replace

from flickrhub_common.contracts import Callback, JobCompleted, JobFailed, delivery_id
from flickrhub_common.logs import logger
from flickrhub_common.sealing import CannotOpen, KeyRing, UnknownKey
from flickrhub_common.telemetry import trace_headers
from flickrhub_notifier.errors import KeyMissing
from flickrhub_notifier.models import Delivery
from flickrhub_notifier.usecases.admit_attempt import Visit
from flickrhub_notifier.usecases.compose_body import compose_body
from flickrhub_notifier.usecases.make_attempt import MakeAttempt
from flickrhub_notifier.usecases.sign_post import SECRET_PURPOSE

log = logger(__name__)


@dataclass(frozen=True)
class StartDelivery:
    """Stores the delivery, already claimed, and makes its first attempt; a repeated event only mends what is undone.

    If its endpoint has no room, the delivery waits in line, unclaimed.
    """

    make: MakeAttempt
    enabled: bool

    async def __call__(self, event: JobCompleted | JobFailed) -> None:
        """Deliver the event's callback, if it asks for one and callbacks are on. Raises Unavailable or KeyMissing."""
        if event.callback is None or not self.enabled:
            return
        try:
            delivery = self._new(event, event.callback)
        except KeyMissing as missing:
            await self._follow_existing(event, missing)
            return
        if self.make.admit.crowded(delivery):
            existing = await self._ask_and_store(delivery)
        else:
            existing = await self._store_and_ask(delivery)
        if existing is not None:
            await self.make.follow(existing)

    async def _store_and_ask(self, delivery: Delivery) -> Delivery | None:
        """As a rule: so that no slot is held while MongoDB writes. The claim covers the wait at the door."""
        existing = await self.make.deliveries.open(delivery)
        if existing is not None:
            return existing
        found = await self.make.admit(delivery)
        if not isinstance(found, Visit):
            await self.make.lines.step_back(delivery, line=found)
            return None
        async with found:
            if self.make.holds(delivery):
                await self.make.attempt(delivery, found)
                return None
        return await self.make.loaded(delivery.id)

    async def _ask_and_store(self, delivery: Delivery) -> Delivery | None:
        """Where there is hardly room: whoever has to wait in line costs MongoDB one write."""
        found = await self.make.admit(delivery)
        if not isinstance(found, Visit):
            return await self._store_in_line(delivery, found)
        async with found:
            existing = await self.make.deliveries.open(delivery)
            if existing is None and self.make.holds(delivery):
                await self.make.attempt(delivery, found)
                return None
        return existing or await self.make.loaded(delivery.id)

    async def _follow_existing(self, event: JobCompleted | JobFailed, missing: KeyMissing) -> None:
        """A repeated event's secret isn't needed: its delivery has had it under a newer key since the first time."""
        existing = await self.make.deliveries.load(delivery_id(event.job_id, event.replay))
        if existing is None:
            log.error("key_missing", key=missing.key_id)
            raise missing
        await self.make.follow(existing)

    async def _store_in_line(self, delivery: Delivery, line: str) -> Delivery | None:
        existing = await self.make.deliveries.open(replace(delivery, claimed_until=None, claims=0, line=line))
        if existing is None:
            await self.make.lines.announce(line)
        return existing

    def _new(self, event: JobCompleted | JobFailed, callback: Callback) -> Delivery:
        now = self.make.clock.now()
        return Delivery(
            job_id=event.job_id,
            user_id=event.user_id,
            url=callback.url,
            sealed_secret=resealed(callback.sealed_secret, keys=self.make.keys, job_id=event.job_id),
            body=compose_body(event, now=now),
            trace_id=event.trace_id,
            trace=trace_headers(),
            created_at=now,
            next_attempt=1,
            next_attempt_at=now,
            claimed_until=now + self.make.policy.first_lease,
            claims=1,
            job_replay=event.replay,
            accepted_at=event.accepted_at,
        )


def resealed(sealed: str | None, *, keys: KeyRing, job_id: str) -> str | None:
    """The secret under the newest key, so that an older one is needed by no delivery that begins now.

    One whose key is missing raises KeyMissing: the event waits without counting, as for anything that is away. One that
    doesn't open although its key is here is kept as it is; the attempt says so.
    """
    if sealed is None:
        return None
    try:
        return keys.reseal(sealed, purpose=SECRET_PURPOSE, owner=job_id)
    except UnknownKey as error:
        raise KeyMissing(error.key_id) from error
    except CannotOpen:
        return sealed
