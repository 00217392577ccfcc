"""The ``deliveries`` collection: one document a run of a job, with every attempt."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from flickrhub_common.errors import Unavailable
from flickrhub_common.mongo import (
    Database,
    Document,
    drop_indexes,
    index_what_expires,
    making_indexes,
    mongo_errors,
)
from flickrhub_common.sealed_documents import SealedDocuments
from flickrhub_notifier.adapters.delivery_documents import delivery_of, given_up_document
from flickrhub_notifier.adapters.delivery_writes import HISTORY, OUT_OF_LINE, DeliveryWrites
from flickrhub_notifier.models import EXPIRED, Attempt, Delivery, DeliveryState, Verdict

COLLECTION = "deliveries"
_OUTDATED = {"expires_at_1"}
"""Indexes of earlier versions: this one held every delivery."""


class MongoDeliveries:
    """Keeps deliveries; each method is one operation, or raises Unavailable."""

    def __init__(self, database: Database, *, keep: timedelta | None = None) -> None:
        """``keep`` is how long a delivery stays after its end; None is for good."""
        self._documents = database[COLLECTION]
        self._writes = DeliveryWrites(self._documents, keep=keep)
        self._indexed = False

    async def ensure_indexes(self) -> None:
        """Index what was given up, newest first: the operator's question; what may go; and the lines.

        All else goes by ``_id``.
        """
        async with making_indexes(self._documents.database):
            await self._documents.create_index(
                [("updated_at", -1)], name="given_up", partialFilterExpression={"given_up": True}
            )
            await index_what_expires(self._documents)
            await self._documents.create_index(
                [("line", 1), ("line_at", 1)], name="lines", partialFilterExpression={"line": {"$exists": True}}
            )
            await drop_indexes(self._documents, _OUTDATED)
        self._indexed = True

    async def check_indexes(self) -> None:
        """Raise Unavailable until the indexes were made."""
        if not self._indexed:
            raise Unavailable("mongo")

    async def open(self, delivery: Delivery) -> Delivery | None:
        """Store a new delivery; or give the one there is."""
        while not await self._writes.open(delivery):
            existing = await self.load(delivery.id)
            if existing is not None:  # else its time has come, just now
                return existing
        return None

    async def load(self, delivery_id: str) -> Delivery | None:
        """A delivery as it stands."""
        with mongo_errors():
            return delivery_of(await self._documents.find_one({"_id": delivery_id}, HISTORY))

    async def claim(self, delivery_id: str, *, attempt: int, now: datetime, until: datetime) -> Delivery | None:
        """Take the right to make this attempt, if it is the next one, due and unclaimed."""
        claim: Document = {"$set": {"claimed_until": until}, "$inc": {"claims": 1}, **OUT_OF_LINE}
        with mongo_errors():
            claimed = await self._documents.find_one_and_update(
                _free(delivery_id, attempt, now), claim, HISTORY, return_document=True
            )
        return delivery_of(claimed)

    async def reopen(self, delivery_id: str, *, replay: int, now: datetime) -> Delivery | None:
        """Begin another round of attempts of a delivery that was given up, once for each replay."""
        buried = {
            "_id": delivery_id,
            "state": {"$in": [DeliveryState.FAILED.value, DeliveryState.GONE.value]},
            "replays": {"$not": {"$gte": replay}},
        }
        changed = {
            "state": DeliveryState.PENDING.value,
            "replays": replay,
            "round_began_at": now,
            "next_attempt_at": now,
            "claimed_until": None,
            "dead_lettered_at": None,
            "updated_at": now,
            "earlier_attempts": {"$subtract": ["$next_attempt", 1]},
        }
        with mongo_errors():
            reopened = await self._documents.find_one_and_update(
                buried, [{"$set": changed}, {"$unset": ["given_up", "expires_at"]}], HISTORY, return_document=True
            )
        return delivery_of(reopened)

    async def expire(self, delivery_id: str, *, now: datetime) -> Delivery | None:
        """Give up a delivery that waits and isn't claimed."""
        waiting = {"_id": delivery_id, "state": DeliveryState.PENDING.value, "$or": _unclaimed(now)}
        changed = {**given_up_document(DeliveryState.FAILED, EXPIRED), "claimed_until": None, "updated_at": now}
        changed |= self._writes.kept_from(now)
        with mongo_errors():
            expired = await self._documents.find_one_and_update(
                waiting,
                {"$set": changed, **OUT_OF_LINE},
                HISTORY,
                return_document=True,
            )
        return delivery_of(expired)

    async def record(self, delivery: Delivery, attempt: Attempt, verdict: Verdict) -> Delivery | None:
        """Store an attempt and what follows; success counts whoever else is at it, a failure only in its turn."""
        return await self._writes.record(delivery, attempt, verdict)

    async def line_up(self, delivery: Delivery, *, line: str, now: datetime) -> None:
        """Put a delivery that could be claimed into a line, where it belongs by the time its attempt came due.

        So after an attempt it is behind all who have had none: one that is used as a probe isn't used again at once.
        """
        free = _free(delivery.id, delivery.next_attempt, now)
        with mongo_errors():
            await self._documents.update_one(free, {"$set": {"line": line, "line_at": delivery.next_attempt_at}})

    async def step_back(self, delivery: Delivery, *, line: str) -> None:
        """Put a delivery whose claim nobody else has had since into a line, by the time it came due."""
        ours = {
            "_id": delivery.id,
            "state": DeliveryState.PENDING.value,
            "next_attempt": delivery.next_attempt,
            "claimed_until": delivery.claimed_until,
        }
        waits = {"claimed_until": None, "line": line, "line_at": delivery.next_attempt_at}
        with mongo_errors():
            await self._documents.update_one(ours, {"$set": waits, "$inc": {"claims": -1}})

    async def call_next(self, line: str, *, since: datetime, until: datetime) -> Delivery | None:
        """The first in line, once until then."""
        with mongo_errors():
            called = await self._documents.find_one_and_update(
                {"line": line, "line_at": {"$lte": since}},
                {"$set": {"line_at": until}},
                HISTORY,
                sort=[("line_at", 1)],
                return_document=True,
            )
        return delivery_of(called)

    async def lines(self) -> AsyncIterator[str]:
        """Every endpoint that has a line, from index entry to index entry."""
        line = ""
        while True:
            with mongo_errors():
                found = await self._documents.find_one({"line": {"$gt": line}}, {"line": True}, sort=[("line", 1)])
            if found is None:
                return
            line = found["line"]
            yield line

    async def mark_buried(self, delivery: Delivery, *, at: datetime) -> None:
        """Note that the dead letter of this round is confirmed, if it is still the last one."""
        given_up = {"$in": [DeliveryState.FAILED.value, DeliveryState.GONE.value]}
        this_round = {"_id": delivery.id, "state": given_up, "replays": delivery.replays}
        with mongo_errors():
            await self._documents.update_one(this_round, {"$set": {"dead_lettered_at": at, "updated_at": at}})


def _free(delivery_id: str, attempt: int, now: datetime) -> Document:
    return {
        "_id": delivery_id,
        "state": DeliveryState.PENDING.value,
        "next_attempt": attempt,
        "next_attempt_at": {"$lte": now},
        "$or": _unclaimed(now),
    }


def _unclaimed(now: datetime) -> list[Document]:
    return [{"claimed_until": None}, {"claimed_until": {"$lte": now}}]


def sealed_deliveries(database: Database, *, purpose: str) -> SealedDocuments:
    """The secrets of deliveries, as a place to reseal."""
    return SealedDocuments(database[COLLECTION], field="sealed_secret", purpose=purpose, owner="job_id")
