"""The two writes that every delivery costs, its first and its last: made together with those that come meanwhile."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from flickrhub_common.batching import Batcher
from flickrhub_common.mongo import (
    Collection,
    Document,
    DuplicateKey,
    all_updated,
    insertion,
    mongo_errors,
    update,
    write_together,
)
from flickrhub_notifier.adapters.delivery_documents import (
    attempt_document,
    consequence_document,
    delivered,
    delivery_document,
    delivery_of,
)
from flickrhub_notifier.models import Attempt, Delivered, Delivery, DeliveryState, GiveUp, Verdict

HISTORY = {"attempts": False}
OUT_OF_LINE: Document = {"$unset": {"line": "", "line_at": ""}}
GATHER_SECONDS = 0.005
"""How long each write waits for company: one costs this process and MongoDB a millisecond together, with however many
deliveries in it."""

Success = tuple[Delivery, Attempt]


class DeliveryWrites:
    """Opens deliveries and records attempts; raises Unavailable."""

    def __init__(self, documents: Collection, *, keep: timedelta | None) -> None:
        self._documents = documents
        self._keep = keep
        self._open: Batcher[Delivery, bool] = Batcher(self._opened, gather_seconds=GATHER_SECONDS, size=_size)
        self._deliver: Batcher[Success, Delivery | None] = Batcher(self._delivered, gather_seconds=GATHER_SECONDS)

    async def open(self, delivery: Delivery) -> bool:
        """Store a delivery unless it is there; whether it is new."""
        return await self._open(delivery)

    async def record(self, delivery: Delivery, attempt: Attempt, verdict: Verdict) -> Delivery | None:
        """Store an attempt and what follows; success counts whoever else is at it, a failure only in its turn."""
        if isinstance(verdict, Delivered):
            return await self._deliver((delivery, attempt))
        return await self._recorded_alone(delivery, attempt, verdict)

    def kept_from(self, ended_at: datetime) -> Document:
        """How long a delivery that ended then is kept."""
        return {} if self._keep is None else {"expires_at": ended_at + self._keep}

    async def _opened(self, deliveries: Sequence[Delivery]) -> list[bool | Exception]:
        found = await write_together(self._documents, [insertion(delivery_document(each)) for each in deliveries])
        return [not failure if isinstance(failure, DuplicateKey | None) else failure for failure in found]

    async def _delivered(self, successes: Sequence[Success]) -> Sequence[Delivery | Exception | None]:
        changes = [self._change(*success, Delivered()) for success in successes]
        if await all_updated(self._documents, [update(*change) for change in changes]):
            return [delivered(*success) for success in successes]
        # Some had ended before, or their documents are gone. It is safe to repeat it for those that were stored.
        alone = [self._recorded_alone(*success, Delivered()) for success in successes]
        return [_no_interruption(one) for one in await asyncio.gather(*alone, return_exceptions=True)]

    async def _recorded_alone(self, delivery: Delivery, attempt: Attempt, verdict: Verdict) -> Delivery | None:
        current, change = self._change(delivery, attempt, verdict)
        with mongo_errors():
            recorded = await self._documents.find_one_and_update(current, change, HISTORY, return_document=True)
            if recorded is None:  # or recorded already, by a try whose answer was lost
                entry = attempt_document(attempt)
                unknown = {"_id": delivery.id, "attempts": {"$ne": entry}}
                await self._documents.update_one(unknown, {"$push": {"attempts": entry}})
        return delivery_of(recorded)

    def _change(self, delivery: Delivery, attempt: Attempt, verdict: Verdict) -> tuple[Document, Document]:
        """Which document an attempt changes, as long as it is so, and what."""
        current: Document = {"_id": delivery.id, "state": DeliveryState.PENDING.value}
        if not isinstance(verdict, Delivered):
            current["next_attempt"] = attempt.number
        changed = consequence_document(attempt, verdict)
        if isinstance(verdict, Delivered | GiveUp):
            changed |= self.kept_from(attempt.ended_at)
        return current, {"$set": changed, "$push": {"attempts": attempt_document(attempt)}, **OUT_OF_LINE}


def _no_interruption(found: Delivery | BaseException | None) -> Delivery | Exception | None:
    if isinstance(found, BaseException) and not isinstance(found, Exception):
        raise found
    return found


def _size(delivery: Delivery) -> int:
    return len(delivery.body)
