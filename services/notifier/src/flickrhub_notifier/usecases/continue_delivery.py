"""A delivery is due again."""

from dataclasses import dataclass

from flickrhub_common.contracts import CallbackDue
from flickrhub_notifier.usecases.make_attempt import MakeAttempt


@dataclass(frozen=True)
class ContinueDelivery:
    """Makes the attempt if the claim is to be had, and otherwise only what is left undone.

    A limit per endpoint belongs between the two: a turn that isn't granted is a ``Wait``, and costs no attempt.
    """

    make: MakeAttempt

    async def __call__(self, due: CallbackDue) -> None:
        """Continue the delivery. Raises UnknownDelivery and Unavailable."""
        now = self.make.clock.now()
        claimed = await self.make.deliveries.claim(
            due.job_id, attempt=due.attempt, now=now, until=now + self.make.policy.lease
        )
        if claimed is not None:
            await self.make.attempt(claimed)
        else:
            await self.make.follow(await self.make.loaded(due.job_id))
