"""The store of jobs: Mongo's collection ``jobs``, which nobody but the gateway reads or writes.

A document is the job as accepted, its state, and what executors reported. ``params``, ``meta`` and Flickr's reply are
JSON text, so that no key or number of a client's has to fit Mongo.
"""

import contextlib
import uuid
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from flickrhub_common.batching import Batcher
from flickrhub_common.errors import Unavailable
from flickrhub_common.mongo import (
    Database,
    Document,
    DuplicateKey,
    drop_indexes,
    index_what_expires,
    insertion,
    making_indexes,
    mongo_errors,
    write_together,
)
from flickrhub_common.sealed_documents import SealedDocuments
from flickrhub_gateway.adapters.job_documents import document_of, job_of, report_of, update_of
from flickrhub_gateway.models import OPEN, Job, JobChange, JobReport, State

COLLECTION = "jobs"
CLAIM = timedelta(seconds=30)
"""How long a sweeper has for its batch before another may take it."""
GATHER_ADDED_SECONDS = 0.005
GATHER_CHANGES_SECONDS = 0.02
"""What a job and a change wait for company in one write: a client waits for the first, nobody for the other."""

_UNPUBLISHED: Document = {"published_at": None, "state": State.QUEUED.value}
"""What the sweeper looks for. A job that has moved on was published, marked or not."""
_TAKEN_BACK: Document = {"state": {"$exists": False}}
"""What keeps a refused job's id: no query for jobs finds it, and an insertion that comes late meets its id."""
_OPEN: Document = {"state": {"$in": sorted(OPEN)}}
_OPEN_INDEX = "open_jobs"
_OUTDATED = {"user_id_1_created_at_1", "expires_at_1"}
"""Indexes of earlier versions: one served no query, the other held every job."""
_REPORTED = dict.fromkeys(("target", "state", "attempts", "trace_id", "result", "failure"), 1)


class MongoJobs:
    """Jobs in Mongo. Every call raises Unavailable when Mongo is away."""

    def __init__(self, database: Database) -> None:
        self._jobs = database[COLLECTION]
        self._indexed = False
        self._added = Batcher(self._add_together, gather_seconds=GATHER_ADDED_SECONDS, size=_size_of_job)
        self._changed = Batcher(self._apply_together, gather_seconds=GATHER_CHANGES_SECONDS, size=_size_of_change)

    async def make_indexes(self) -> None:
        """Make the indexes; safe to repeat."""
        async with making_indexes(self._jobs.database):
            await self._jobs.create_index("created_at", name="unpublished", partialFilterExpression=_UNPUBLISHED)
            await index_what_expires(self._jobs)
            await self._jobs.create_index(
                [("user_id", 1), ("state", 1)], name=_OPEN_INDEX, partialFilterExpression=_OPEN
            )
            await drop_indexes(self._jobs, _OUTDATED)
        self._indexed = True

    async def check_indexes(self) -> None:
        """Raise Unavailable until the indexes were made."""
        if not self._indexed:
            raise Unavailable("mongo")

    async def add(self, job: Job) -> None:
        """Store an accepted job, durably; jobs that come together in one write."""
        await self._added(job)

    async def _add_together(self, jobs: Sequence[Job]) -> Sequence[Exception | None]:
        return await write_together(self._jobs, [insertion(document_of(job)) for job in jobs])

    async def take_back(self, job_id: str, *, now: datetime, remembered_until: datetime) -> bool:
        """Put a tombstone where the job is or may yet come; False if it is under way. In one step, and repeatable."""
        unclaimed = {**_UNPUBLISHED, "claimed_until": {"$not": {"$gt": now}}}
        wanted = {"_id": job_id, "$or": [unclaimed, _TAKEN_BACK]}
        for _ in range(2):  # a job that lands in this very moment is a duplicate, too, and seen the next time
            with mongo_errors(), contextlib.suppress(DuplicateKey):
                await self._jobs.replace_one(wanted, {"expires_at": remembered_until}, upsert=True)
                return True
        return False

    async def find(self, job_id: str, *, user_id: str) -> JobReport | None:
        """What is known of this user's job."""
        with mongo_errors():
            found = await self._jobs.find_one({"_id": job_id, "user_id": user_id}, _REPORTED)
        return None if found is None else report_of(found)

    async def states(self, job_ids: Collection[str]) -> dict[str, State | None]:
        """The states of those of these jobs that there are; None of one that was taken back."""
        with mongo_errors():
            found = await self._jobs.find({"_id": {"$in": list(job_ids)}}, {"state": 1}).to_list()
        return {document["_id"]: State(document["state"]) if "state" in document else None for document in found}

    async def apply(self, change: JobChange) -> None:
        """Change a job in one step if its present state allows it; changes that come together in one write."""
        await self._changed(change)

    async def _apply_together(self, changes: Sequence[JobChange]) -> Sequence[Exception | None]:
        failures: dict[int, Exception | None] = {}
        for turn in in_turns([change.job_id for change in changes]):
            found = await write_together(self._jobs, [update_of(changes[place]) for place in turn])
            failures |= zip(turn, found, strict=True)
        return [failures[place] for place in range(len(changes))]

    async def mark_published(self, job_ids: Collection[str], *, at: datetime) -> None:
        """Note that the broker has confirmed these jobs; one that has moved on since shows it by that."""
        with mongo_errors():
            await self._jobs.update_many(
                {"_id": {"$in": list(job_ids)}, **_UNPUBLISHED}, {"$set": {"published_at": at}}
            )

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
            return [job_of(found) async for found in claimed]

    async def oldest_unpublished(self) -> datetime | None:
        """When the oldest job was accepted that isn't marked as published and hasn't moved on, if there is one."""
        with mongo_errors():
            found = await self._jobs.find_one(_UNPUBLISHED, {"created_at": 1}, sort=[("created_at", 1)])
        return None if found is None else found["created_at"]

    async def count_open(self, user_id: str, *, most: int) -> int:
        """How many of a user's jobs haven't ended, from the index alone; it counts no further than ``most``."""
        with mongo_errors():
            return await self._jobs.count_documents({"user_id": user_id, **_OPEN}, limit=most)

    async def postpone(self, job_ids: Collection[str], *, until: datetime) -> None:
        """Give claimed jobs back to the sweeps after this moment."""
        with mongo_errors():
            await self._jobs.update_many({"_id": {"$in": list(job_ids)}}, {"$set": {"claimed_until": until}})


def in_turns(ids: Sequence[str]) -> list[list[int]]:
    """Places in a list, in turns: in each an id has at most one place, and from turn to turn their order is kept."""
    turns: list[list[int]] = []
    seen: Counter[str] = Counter()
    for place, one in enumerate(ids):
        if seen[one] == len(turns):
            turns.append([])
        turns[seen[one]].append(place)
        seen[one] += 1
    return turns


def _size_of_job(job: Job) -> int:
    return job.size


def _size_of_change(change: JobChange) -> int:
    return len(change.result.flickr) if change.result else 0


def sealed_jobs(database: Database, *, purpose: str) -> SealedDocuments:
    """The callback secrets of jobs, as a place to reseal.

    An open job keeps its value: its messages carry the same one, and so its document tells until when.
    """
    return SealedDocuments(
        database[COLLECTION], field="callback.sealed_secret", purpose=purpose, waits=_OPEN, index=_OPEN_INDEX
    )
