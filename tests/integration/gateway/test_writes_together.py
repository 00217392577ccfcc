"""Group commit on a real Mongo: fewer writes than jobs, and everybody still has their own answer (ADR 22)."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo.errors import DuplicateKeyError

from flickrhub_common.contracts import Failure
from flickrhub_common.mongo import Collection, Write, make_mongo, write_together
from flickrhub_gateway.adapters import jobs as adapter
from flickrhub_gateway.adapters.jobs import MongoJobs
from flickrhub_gateway.models import JobChange, Result, State
from flickrhub_gateway.settings import GatewaySettings
from tests.integration.gateway.parts import USER, Gateway, Store
from tests.support.tcp_proxy import TcpProxy
from tests.unit.gateway.fakes import a_job

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
ENDS: dict[State, dict[str, Any]] = {
    State.COMPLETED: {"result": Result(flickr="{}", from_cache=False, http_status=200, duration_ms=1)},
    State.FAILED: {"failure": Failure(message="No.", code=None)},
}


@pytest.fixture
async def jobs(settings: GatewaySettings) -> AsyncIterator[MongoJobs]:
    async with make_mongo(settings, service="test") as client:
        yield MongoJobs(client[settings.mongo_db])


@pytest.fixture
def operations(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many writes each operation brought to Mongo."""
    made: list[int] = []

    async def noted(collection: Collection, writes: Sequence[Write]) -> list[Exception | None]:
        made.append(len(writes))
        return await write_together(collection, writes)

    monkeypatch.setattr(adapter, "write_together", noted)
    return made


def change(job_id: str, state: State, attempts: int = 1) -> JobChange:
    return JobChange(job_id=job_id, state=state, attempts=attempts, at=AT, **ENDS.get(state, {}))


async def test_jobs_that_come_together_are_stored_together_and_so_are_their_ends(
    jobs: MongoJobs, store: Store, operations: list[int]
) -> None:
    ids = [f"j{number}" for number in range(50)]
    await asyncio.gather(*(jobs.add(a_job(one)) for one in ids))
    assert await store.jobs.count_documents({"state": "queued"}) == 50
    await asyncio.gather(*(jobs.apply(change(one, State.COMPLETED)) for one in ids))
    assert await store.jobs.count_documents({"state": "completed"}) == 50
    assert operations == [50, 50]


async def test_fifty_requests_at_once_are_stored_by_fewer_writes_and_all_are_promised(
    gateway: Gateway, store: Store, operations: list[int]
) -> None:
    ids = await asyncio.gather(*(gateway.echo() for _ in range(50)))
    assert await store.jobs.count_documents({"_id": {"$in": ids}}) == 50
    assert sum(operations) == 50
    assert len(operations) <= 25


async def test_what_is_wrong_with_one_job_is_nobody_elses(jobs: MongoJobs, store: Store) -> None:
    """One that is there already, and one that can't even be sent."""
    await jobs.add(a_job("there"))
    together = [a_job("a"), a_job("there"), a_job("b"), a_job("torn", params='"\ud800"'), a_job("c")]
    found = await asyncio.gather(*(jobs.add(job) for job in together), return_exceptions=True)
    assert [type(one) for one in found] == [type(None), DuplicateKeyError, type(None), UnicodeEncodeError, type(None)]
    assert await store.jobs.distinct("_id") == ["a", "b", "c", "there"]


async def test_what_is_wrong_with_one_change_is_nobody_elses(jobs: MongoJobs, store: Store) -> None:
    await asyncio.gather(*(jobs.add(a_job(one)) for one in ("a", "b", "c")))
    changes = [change("a", State.COMPLETED), change("b", State.COMPLETED, 2**70), change("c", State.FAILED)]
    found = await asyncio.gather(*(jobs.apply(one) for one in changes), return_exceptions=True)
    assert [type(one) for one in found] == [type(None), OverflowError, type(None)]
    assert [(await store.job(one))["state"] for one in ("a", "b", "c")] == ["completed", "queued", "failed"]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=lambda order: "".join(map(str, order)))
async def test_events_of_one_job_that_come_together_are_taken_in_the_order_in_which_they_came(
    jobs: MongoJobs, store: Store, order: tuple[int, ...]
) -> None:
    events = [change("j", State.RETRYING, 1), change("j", State.FAILED, 2), change("j", State.COMPLETED, 3)]
    told = [events[place] for place in order]
    await jobs.add(a_job("j"))
    await asyncio.gather(*(jobs.apply(one) for one in told))
    [first_end, _] = [one for one in told if one.state is not State.RETRYING]
    kept = await store.job("j")
    assert (kept["state"], kept["attempts"]) == (first_end.state, first_end.attempts)


async def test_an_outage_in_the_middle_of_a_batch_promises_nothing_to_anybody(
    fragile: Gateway, mongo_proxy: TcpProxy, store: Store
) -> None:
    """Nor to those behind it, who don't wait for its end and then for their own."""
    await fragile.echo()  # the connection is there
    mongo_proxy.stall()
    hanging = [asyncio.create_task(_asked(fragile)) for _ in range(10)]
    await asyncio.sleep(0.3)
    behind = [asyncio.create_task(_asked(fragile)) for _ in range(10)]
    outcomes = await asyncio.gather(*hanging, *behind)
    assert {status for status, _ in outcomes} == {503}
    assert max(took for _, took in outcomes) < 4
    await mongo_proxy.cut()  # what stood still is lost
    assert await store.jobs.count_documents({}) == 1
    await mongo_proxy.restore()


async def _asked(gateway: Gateway) -> tuple[int, float]:
    """The status of the reply, and after how many seconds it came."""
    began = time.monotonic()
    reply = await gateway.enqueue(method="flickr.test.echo", user_id=USER)
    return reply.status_code, time.monotonic() - began
