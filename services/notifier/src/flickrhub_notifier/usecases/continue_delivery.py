"""A delivery is due again, or is to be replayed."""

from dataclasses import dataclass

from flickrhub_common.contracts import CallbackDue
from flickrhub_notifier.models import EXPIRED, Delivery
from flickrhub_notifier.usecases.admit_attempt import Visit
from flickrhub_notifier.usecases.decide_next import can_begin, has_expired
from flickrhub_notifier.usecases.make_attempt import MakeAttempt


@dataclass(frozen=True)
class ContinueDelivery:
    """Makes the attempt if its endpoint has room and the claim is to be had, and otherwise only what is left undone."""

    make: MakeAttempt

    async def __call__(self, due: CallbackDue) -> None:
        """Continue the delivery. Raises UnknownDelivery and Unavailable."""
        delivery = await self.make.loaded(due.delivery_id)
        if due.replay > delivery.replays:
            delivery, due = await self._replayed(delivery, due)
        now = self.make.clock.now()
        if has_expired(delivery, now=now, after=self.make.policy.expire_after):
            expired = await self.make.deliveries.expire(delivery.id, now=now)
            if expired is not None:
                self.make.meter.ended(expired, EXPIRED, at=now)
            await self.make.follow(expired or await self.make.loaded(delivery.id))
        elif not can_begin(delivery, attempt=due.attempt, now=now):
            await self.make.follow(delivery)
        else:
            await self._attempt(delivery)

    async def _replayed(self, delivery: Delivery, due: CallbackDue) -> tuple[Delivery, CallbackDue]:
        """The delivery in its new round, and its message as if it were for that round's first attempt."""
        now = self.make.clock.now()
        reopened = await self.make.deliveries.reopen(delivery.id, replay=due.replay, now=now)
        if reopened is None:
            return await self.make.loaded(delivery.id), due
        return reopened, due.model_copy(update={"attempt": reopened.next_attempt})

    async def _attempt(self, delivery: Delivery) -> None:
        found = await self.make.admit(delivery)
        if not isinstance(found, Visit):
            await self.make.lines.line_up(delivery, line=found)
            return
        now = self.make.clock.now()
        until = now + self.make.policy.lease
        async with found:
            claimed = await self.make.deliveries.claim(delivery.id, attempt=delivery.next_attempt, now=now, until=until)
            if claimed is not None:
                await self.make.attempt(claimed, found)
                return
        await self.make.follow(await self.make.loaded(delivery.id))
