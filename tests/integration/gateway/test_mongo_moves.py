"""The table of moves, as MongoDB carries it out: in one step, exactly as the pure table says."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flickrhub_common.contracts import Failure
from flickrhub_common.mongo import Database, make_mongo
from flickrhub_common.settings import MongoSettings
from flickrhub_gateway.adapters.jobs import COLLECTION, MongoJobs
from flickrhub_gateway.models import JobChange, Result, Run, State, sources_of
from tests.unit.gateway.fakes import a_job

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
RESULT = Result(flickr="{}", from_cache=False, http_status=200, duration_ms=1)
FAILURE = Failure(message="No.", code=None)


@pytest.fixture
async def database(mongo_settings: MongoSettings) -> AsyncIterator[Database]:
    async with make_mongo(mongo_settings, service="test") as client:
        yield client[mongo_settings.mongo_db]


def change(job_id: str, state: State, replay: int, *, attempts: int = 2) -> JobChange:
    ends: dict[State, dict[str, Any]] = {State.COMPLETED: {"result": RESULT}, State.FAILED: {"failure": FAILURE}}
    return JobChange(job_id=job_id, state=state, attempts=attempts, at=AT, replay=replay, **ends.get(state, {}))


async def test_every_move_is_made_or_not_as_the_table_says(database: Database) -> None:
    """With a document's number of replays missing, too: so are those of jobs from before there were any."""
    jobs = MongoJobs(database)
    cases = list(itertools.product(State, (None, 0, 1, 2), State, (0, 1, 2)))
    made = [
        {"_id": str(number), "state": source.value, "attempts": 1, **({} if kept is None else {"replays": kept})}
        for number, (source, kept, _, _) in enumerate(cases)
    ]
    await database[COLLECTION].insert_many(made)
    told = [
        (str(number), *case)
        for number, case in enumerate(cases)
        if case[2] is not State.QUEUED or case[3]  # no event asks for a first run
    ]
    await asyncio.gather(*(jobs.apply(change(job_id, target, replay)) for job_id, _, _, target, replay in told))
    for job_id, source, kept, target, replay in told:
        allowed = source in sources_of(target, Run.of(event=replay, job=kept or 0))
        found = await database[COLLECTION].find_one({"_id": job_id})
        assert found is not None
        assert (found["attempts"] == 2) is allowed, (source, kept, target, replay)
        assert found["state"] == (target if allowed else source).value
        assert found.get("replays", 0) == (max(kept or 0, replay) if allowed else kept or 0)


async def test_a_job_that_is_opened_again_has_nothing_of_its_first_run(database: Database) -> None:
    jobs = MongoJobs(database)
    await database[COLLECTION].insert_one({"_id": "j", "state": "queued", "attempts": 0, "replays": 0})
    failed = JobChange(job_id="j", state=State.FAILED, attempts=3, at=AT, failure=FAILURE, expires_at=AT)
    await jobs.apply(failed)
    await jobs.apply(change("j", State.QUEUED, 1, attempts=0))
    found = await database[COLLECTION].find_one({"_id": "j"})
    assert found is not None
    moment = found["updated_at"]
    queued_again = {"_id": "j", "state": "queued", "attempts": 0, "replays": 1}
    assert found == {**queued_again, "updated_at": moment, "published_at": moment}
    await jobs.apply(change("j", State.RETRYING, 1, attempts=1))
    await jobs.apply(change("j", State.COMPLETED, 1))
    found = await database[COLLECTION].find_one({"_id": "j"})
    assert found is not None
    assert ("failure" in found, "expires_at" in found, found["result"]["flickr"]) == (False, False, "{}")


async def test_a_job_that_has_moved_on_is_neither_marked_nor_swept(database: Database) -> None:
    """Nor is one that runs again: its message went out with the replay, and the sweeper's would be of its first run."""
    jobs, later = MongoJobs(database), AT + timedelta(days=1)
    for job_id in ("again", "ended", "waits"):
        await jobs.add(a_job(job_id, created_at=AT))
    await jobs.apply(change("ended", State.COMPLETED, 0))
    await jobs.apply(change("again", State.FAILED, 0))
    await jobs.apply(change("again", State.QUEUED, 1))
    await jobs.mark_published(["again", "ended"], at=later)
    marks = [found["published_at"] async for found in database[COLLECTION].find().sort("_id")]
    assert marks == [AT, None, None]
    swept = await jobs.claim_unpublished(created_before=later, now=later, limit=10)
    assert [job.id for job in swept] == ["waits"]


async def test_the_oldest_unpublished_job_is_told_by_the_index_alone(database: Database) -> None:
    jobs = MongoJobs(database)
    await jobs.make_indexes()
    assert await jobs.oldest_unpublished() is None
    for number, job_id in enumerate(("published", "moved on", "oldest", "younger")):
        await jobs.add(replace(a_job(), id=job_id, created_at=AT + timedelta(seconds=number)))
    await jobs.mark_published(["published"], at=AT)
    await jobs.apply(change("moved on", State.COMPLETED, 0))
    assert await jobs.oldest_unpublished() == AT + timedelta(seconds=2)
    asked = database[COLLECTION].find({"published_at": None, "state": "queued"}, {"created_at": 1})
    plan = await asked.sort("created_at", 1).limit(1).explain()
    assert plan["executionStats"]["totalDocsExamined"] == 1
