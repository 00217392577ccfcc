"""The store of jobs: Mongo's collection ``jobs``, which nobody but the gateway reads or writes.

A document is the job as accepted, its state, and what executors reported. ``params``, ``meta`` and Flickr's reply are
JSON text, so that no key or number of a client's has to fit Mongo.
"""

import uuid
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from flickrhub_common.contracts import Callback, Failure, Target
from flickrhub_common.errors import Unavailable
from flickrhub_common.mongo import Database, Document, mongo_errors
from flickrhub_common.sealed_documents import SealedDocuments
from flickrhub_gateway.models import OPEN, Job, JobChange, JobReport, Result, Run, State, sources_of

COLLECTION = "jobs"
CLAIM = timedelta(seconds=30)
"""How long a sweeper has for its batch before another may take it."""

_UNPUBLISHED: Document = {"published_at": None, "state": State.QUEUED.value}
"""What the sweeper looks for. A job that has moved on was published, marked or not."""
_OF_ONE_RUN = ("result", "failure", "finished_at", "expires_at", "retry_reason", "next_attempt_at")
"""What a job has by its present run; a replay begins without."""
_OPEN: Document = {"state": {"$in": sorted(OPEN)}}
_OPEN_INDEX = "open_jobs"
_REPORTED = dict.fromkeys(("target", "state", "attempts", "trace_id", "result", "failure"), 1)


class MongoJobs:
    """Jobs in Mongo. Every call raises Unavailable when Mongo is away."""

    def __init__(self, database: Database) -> None:
        self._jobs = database[COLLECTION]
        self._indexed = False

    async def make_indexes(self) -> None:
        """Make the indexes; safe to repeat."""
        with mongo_errors():
            await self._jobs.create_index([("user_id", 1), ("created_at", 1)])
            await self._jobs.create_index("created_at", name="unpublished", partialFilterExpression=_UNPUBLISHED)
            await self._jobs.create_index("expires_at", expireAfterSeconds=0)
            await self._jobs.create_index(
                [("user_id", 1), ("state", 1)], name=_OPEN_INDEX, partialFilterExpression=_OPEN
            )
        self._indexed = True

    async def check_indexes(self) -> None:
        """Raise Unavailable until the indexes were made."""
        if not self._indexed:
            raise Unavailable("mongo")

    async def add(self, job: Job) -> None:
        """Store an accepted job, durably."""
        with mongo_errors():
            await self._jobs.insert_one(_document(job))

    async def find(self, job_id: str, *, user_id: str) -> JobReport | None:
        """What is known of this user's job."""
        with mongo_errors():
            found = await self._jobs.find_one({"_id": job_id, "user_id": user_id}, _REPORTED)
        return None if found is None else _report(found)

    async def states(self, job_ids: Collection[str]) -> dict[str, State]:
        """The states of those of these jobs that there are."""
        with mongo_errors():
            found = await self._jobs.find({"_id": {"$in": list(job_ids)}}, {"state": 1}).to_list()
        return {document["_id"]: State(document["state"]) for document in found}

    async def apply(self, change: JobChange) -> bool:
        """Change a job in one step if its present state allows it; whether it did."""
        changed = _changed(change)
        update: Document = {
            "$set": changed,
            "$unset": {name: "" for name in _OF_ONE_RUN if name not in changed},
            "$max": {"replays": change.replay},
        }
        with mongo_errors():
            outcome = await self._jobs.update_one({"_id": change.job_id, "$or": _allowed(change)}, update)
        return outcome.matched_count == 1

    async def mark_published(self, job_ids: Collection[str], *, at: datetime) -> None:
        """Note that the broker has confirmed these jobs."""
        with mongo_errors():
            await self._jobs.update_many({"_id": {"$in": list(job_ids)}}, {"$set": {"published_at": at}})

    async def claim_unpublished(self, *, created_before: datetime, now: datetime, limit: int) -> list[Job]:
        """Take, oldest first, jobs that the broker never confirmed; another sweeper gets them after ``CLAIM``."""
        free = {**_UNPUBLISHED, "created_at": {"$lt": created_before}, "claimed_until": {"$not": {"$gt": now}}}
        claim = {"claimed_until": now + CLAIM, "claimed_by": uuid.uuid4().hex}
        with mongo_errors():
            candidates = await self._jobs.find(free, {"_id": 1}).sort("created_at", 1).limit(limit).to_list()
            if not candidates:
                return []
            ids = {"_id": {"$in": [candidate["_id"] for candidate in candidates]}}
            await self._jobs.update_many({**free, **ids}, {"$set": claim})
            claimed = self._jobs.find({**ids, "claimed_by": claim["claimed_by"]}).sort("created_at", 1)
            return [_job(found) async for found in claimed]

    async def count_open(self, user_id: str, *, most: int) -> int:
        """How many of a user's jobs haven't ended, from the index alone; it counts no further than ``most``."""
        with mongo_errors():
            return await self._jobs.count_documents({"user_id": user_id, **_OPEN}, limit=most)

    async def postpone(self, job_ids: Collection[str], *, until: datetime) -> None:
        """Give claimed jobs back to the sweeps after this moment."""
        with mongo_errors():
            await self._jobs.update_many({"_id": {"$in": list(job_ids)}}, {"$set": {"claimed_until": until}})


def sealed_jobs(database: Database, *, purpose: str) -> SealedDocuments:
    """The callback secrets of jobs, as a place to reseal.

    An open job keeps its value: its messages carry the same one, and so its document tells until when.
    """
    return SealedDocuments(
        database[COLLECTION], field="callback.sealed_secret", purpose=purpose, waits=_OPEN, index=_OPEN_INDEX
    )


def _document(job: Job) -> Document:
    return {
        "_id": job.id,
        "user_id": job.user_id,
        "target": job.target.value,
        "method": job.method,
        "params": job.params,
        "meta": job.meta,
        "callback": None if job.callback is None else job.callback.model_dump(),
        "trace_id": job.trace_id,
        "trace_headers": job.trace_headers,
        "state": State.QUEUED.value,
        "attempts": 0,
        "replays": 0,
        "created_at": job.created_at,
        "updated_at": job.created_at,
        "published_at": None,
    }


def _job(found: Document) -> Job:
    return Job(
        id=found["_id"],
        user_id=found["user_id"],
        target=Target(found["target"]),
        method=found["method"],
        params=found["params"],
        meta=found["meta"],
        callback=None if found["callback"] is None else Callback(**found["callback"]),
        trace_id=found["trace_id"],
        trace_headers=found["trace_headers"],
        created_at=found["created_at"],
    )


def _allowed(change: JobChange) -> list[Document]:
    """The table of moves as conditions; a job stored before there were replays has no number, which is 0."""
    number = change.replay
    runs: dict[Run, Document] = {
        Run.SAME: {"replays": number or {"$in": [0, None]}},
        Run.NEWER: {"replays": {"$not": {"$gte": number}}} if number else {"replays": {"$lt": 0}},
        Run.OLDER: {"replays": {"$gt": number}},
    }
    if change.state is State.RETRYING:
        runs[Run.SAME]["attempts"] = {"$lt": change.attempts}
    sources = {run: sorted(sources_of(change.state, run)) for run in runs}
    return [{**runs[run], "state": {"$in": states}} for run, states in sources.items() if states]


def _changed(change: JobChange) -> dict[str, Any]:
    fields: dict[str, Any] = {"state": change.state.value, "attempts": change.attempts, "updated_at": change.at}
    if change.state is State.QUEUED:
        return fields
    if change.state is State.RETRYING:
        return {**fields, "retry_reason": change.retry_reason, "next_attempt_at": change.next_attempt_at}
    fields |= {"finished_at": change.at, "next_attempt_at": None}
    if change.expires_at is not None:
        fields["expires_at"] = change.expires_at
    if change.result is not None:
        fields["result"] = {
            "flickr": change.result.flickr,
            "from_cache": change.result.from_cache,
            "http_status": change.result.http_status,
            "duration_ms": change.result.duration_ms,
        }
    if change.failure is not None:
        fields["failure"] = change.failure.model_dump()
    return fields


def _report(found: Document) -> JobReport:
    result, failure = found.get("result"), found.get("failure")
    return JobReport(
        id=found["_id"],
        target=Target(found["target"]),
        state=State(found["state"]),
        attempts=found["attempts"],
        trace_id=found["trace_id"],
        result=None if result is None else Result(**result),
        failure=None if failure is None else Failure(**failure),
    )
