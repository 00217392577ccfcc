"""The ``deliveries`` collection: one document a run of a job, with every attempt."""

from datetime import datetime, timedelta
from typing import Any

from flickrhub_common.mongo import Database, Document, mongo_errors
from flickrhub_notifier.models import EXPIRED, Attempt, Delivered, Delivery, DeliveryState, GiveUp, Verdict

_HISTORY = {"attempts": False}


class MongoDeliveries:
    """Keeps deliveries; each method is one operation, or raises Unavailable."""

    def __init__(self, database: Database, *, keep: timedelta | None = None) -> None:
        """``keep`` is how long a delivery stays after its end; None is for good."""
        self._documents = database["deliveries"]
        self._keep = keep

    async def ensure_indexes(self) -> None:
        """Index what was given up, newest first: the operator's question; and what may go. All else goes by ``_id``."""
        with mongo_errors():
            await self._documents.create_index(
                [("updated_at", -1)], name="given_up", partialFilterExpression={"given_up": True}
            )
            await self._documents.create_index("expires_at", expireAfterSeconds=0)

    async def open(self, delivery: Delivery) -> Delivery | None:
        """Store a new delivery; or give the one there is."""
        with mongo_errors():
            existing = await self._documents.find_one_and_update(
                {"_id": delivery.id}, {"$setOnInsert": _document(delivery)}, _HISTORY, upsert=True
            )
        return _delivery(existing)

    async def load(self, delivery_id: str) -> Delivery | None:
        """A delivery as it stands."""
        with mongo_errors():
            return _delivery(await self._documents.find_one({"_id": delivery_id}, _HISTORY))

    async def claim(self, delivery_id: str, *, attempt: int, now: datetime, until: datetime) -> Delivery | None:
        """Take the right to make this attempt, if it is the next one, due and unclaimed."""
        free = {
            "_id": delivery_id,
            "state": DeliveryState.PENDING.value,
            "next_attempt": attempt,
            "next_attempt_at": {"$lte": now},
            "$or": _unclaimed(now),
        }
        with mongo_errors():
            claimed = await self._documents.find_one_and_update(
                free, {"$set": {"claimed_until": until}}, _HISTORY, return_document=True
            )
        return _delivery(claimed)

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
                buried, [{"$set": changed}, {"$unset": ["given_up", "expires_at"]}], _HISTORY, return_document=True
            )
        return _delivery(reopened)

    async def expire(self, delivery_id: str, *, now: datetime) -> Delivery | None:
        """Give up a delivery that waits and isn't claimed."""
        waiting = {"_id": delivery_id, "state": DeliveryState.PENDING.value, "$or": _unclaimed(now)}
        changed = {**_given_up(DeliveryState.FAILED, EXPIRED), "claimed_until": None, "updated_at": now}
        with mongo_errors():
            expired = await self._documents.find_one_and_update(
                waiting, {"$set": {**changed, **self._kept_from(now)}}, _HISTORY, return_document=True
            )
        return _delivery(expired)

    async def record(self, delivery_id: str, attempt: Attempt, verdict: Verdict) -> Delivery | None:
        """Store an attempt and what follows; success counts whoever else is at it, a failure only in its turn."""
        current: Document = {"_id": delivery_id, "state": DeliveryState.PENDING.value}
        if not isinstance(verdict, Delivered):
            current["next_attempt"] = attempt.number
        entry = {"attempts": _entry(attempt)}
        changed = _consequence(attempt, verdict)
        if isinstance(verdict, Delivered | GiveUp):
            changed |= self._kept_from(attempt.ended_at)
        with mongo_errors():
            recorded = await self._documents.find_one_and_update(
                current, {"$set": changed, "$push": entry}, _HISTORY, return_document=True
            )
            if recorded is None:
                await self._documents.update_one({"_id": delivery_id}, {"$push": entry})
        return _delivery(recorded)

    async def mark_buried(self, delivery_id: str, *, at: datetime) -> None:
        """Note that the dead letter is confirmed."""
        with mongo_errors():
            await self._documents.update_one({"_id": delivery_id}, {"$set": {"dead_lettered_at": at, "updated_at": at}})

    def _kept_from(self, ended_at: datetime) -> Document:
        return {} if self._keep is None else {"expires_at": ended_at + self._keep}


def _unclaimed(now: datetime) -> list[Document]:
    return [{"claimed_until": None}, {"claimed_until": {"$lte": now}}]


def _given_up(state: DeliveryState, reason: str) -> Document:
    return {"state": state.value, "reason": reason, "given_up": True}


def _consequence(attempt: Attempt, verdict: Verdict) -> Document:
    changed: Document = {"next_attempt": attempt.number + 1, "claimed_until": None, "updated_at": attempt.ended_at}
    if isinstance(verdict, Delivered):
        return {**changed, "state": DeliveryState.DELIVERED.value, "reason": None}
    if isinstance(verdict, GiveUp):
        return {**changed, **_given_up(verdict.state, verdict.reason)}
    return {**changed, "next_attempt_at": verdict.at, "reason": verdict.reason}


def _entry(attempt: Attempt) -> Document:
    answer = attempt.answer
    return {
        "number": attempt.number,
        "at": attempt.at,
        "duration_ms": attempt.duration_ms,
        "status": answer.status,
        "error": answer.error,
        "response": answer.excerpt,
    }


def _document(delivery: Delivery) -> Document:
    return {
        "job_id": delivery.job_id,
        "job_replay": delivery.job_replay,
        "user_id": delivery.user_id,
        "url": delivery.url,
        "sealed_secret": delivery.sealed_secret,
        "body": delivery.body,
        "trace_id": delivery.trace_id,
        "trace": dict(delivery.trace),
        "state": delivery.state.value,
        "reason": delivery.reason,
        "attempts": [],
        "next_attempt": delivery.next_attempt,
        "next_attempt_at": delivery.next_attempt_at,
        "claimed_until": delivery.claimed_until,
        "dead_lettered_at": delivery.dead_lettered_at,
        "replays": delivery.replays,
        "earlier_attempts": delivery.earlier_attempts,
        "round_began_at": delivery.round_began_at,
        "created_at": delivery.created_at,
        "updated_at": delivery.created_at,
    }


def _delivery(document: dict[str, Any] | None) -> Delivery | None:
    """What isn't in documents of before there were replays and slots has its default."""
    if document is None:
        return None
    return Delivery(
        job_id=document.get("job_id", document["_id"]),
        user_id=document.get("user_id", ""),
        url=document["url"],
        sealed_secret=document["sealed_secret"],
        body=bytes(document["body"]),
        trace_id=document["trace_id"],
        trace=document["trace"],
        created_at=document["created_at"],
        next_attempt=document["next_attempt"],
        next_attempt_at=document["next_attempt_at"],
        claimed_until=document["claimed_until"],
        state=DeliveryState(document["state"]),
        reason=document["reason"],
        dead_lettered_at=document["dead_lettered_at"],
        job_replay=document.get("job_replay", 0),
        replays=document.get("replays", 0),
        earlier_attempts=document.get("earlier_attempts", 0),
        round_began_at=document.get("round_began_at"),
    )
