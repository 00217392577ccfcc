"""What a 503 says holds on a real Mongo: a refused job doesn't run, whenever its insertion lands."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from flickrhub_common.errors import Unavailable
from flickrhub_common.mongo import Collection, DuplicateKey, Write, make_mongo, write_together
from flickrhub_gateway.adapters import jobs as adapter
from flickrhub_gateway.adapters.jobs import MongoJobs
from flickrhub_gateway.models import JobChange, State
from flickrhub_gateway.settings import GatewaySettings
from tests.integration.gateway.parts import REST_QUEUE, USER, Gateway, Store, running_gateway
from tests.support.photographs import jpeg
from tests.support.rabbit_admin import RabbitAdmin
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import eventually
from tests.unit.gateway.fakes import a_job

ECHO = {"method": "flickr.test.echo", "user_id": USER}
NOW = datetime(2026, 1, 1, 13, tzinfo=UTC)
"""An hour after the jobs of these tests were accepted."""
LATER = datetime.now(UTC) + timedelta(days=1)
NO_JOB: dict[str, Any] = {"state": {"$exists": False}}


async def _take_back(jobs: MongoJobs, job_id: str) -> bool:
    return await jobs.take_back(job_id, now=NOW, remembered_until=LATER)


async def _to_sweep(jobs: MongoJobs) -> list[str]:
    return [job.id for job in await jobs.claim_unpublished(created_before=NOW, now=NOW, limit=100)]


async def test_whether_an_insertion_lands_before_or_after_it_is_taken_back_nothing_can_run(
    settings: GatewaySettings, store: Store
) -> None:
    async with make_mongo(settings, service="test") as client:
        jobs = MongoJobs(client[settings.mongo_db])
        await jobs.add(a_job("before"))
        for one in ("before", "after", "before", "after"):
            assert await _take_back(jobs, one)
        with pytest.raises(DuplicateKey):
            await jobs.add(a_job("after"))
        assert await _to_sweep(jobs) == []
        await jobs.apply(JobChange(job_id="before", state=State.RETRYING, attempts=1, at=NOW))
        await jobs.apply(JobChange(job_id="after", state=State.QUEUED, attempts=0, at=NOW, replay=1))
        assert await jobs.find("before", user_id=USER) is None
        assert await jobs.count_open(USER, most=10) == 0
        assert await jobs.states(["before", "after", "never"]) == {"before": None, "after": None}
    kept = [set(document) async for document in store.jobs.find({})]
    assert kept == [{"_id", "expires_at"}] * 2, "nothing of the job is kept, and the rest not for good"


async def test_what_is_under_way_is_not_taken_back(settings: GatewaySettings, store: Store) -> None:
    async with make_mongo(settings, service="test") as client:
        jobs = MongoJobs(client[settings.mongo_db])
        for one in ("claimed", "published", "moved"):
            await jobs.add(a_job(one))
        assert await jobs.claim_unpublished(created_before=NOW, now=NOW, limit=3)
        await jobs.postpone(["published", "moved"], until=NOW)
        await jobs.mark_published(["published"], at=NOW)
        await jobs.apply(JobChange(job_id="moved", state=State.RETRYING, attempts=1, at=NOW))
        before = await store.jobs.find({}).to_list()
        assert not any([await _take_back(jobs, one) for one in ("claimed", "published", "moved")])
        assert await store.jobs.find({}).to_list() == before


async def test_an_insertion_and_its_taking_back_at_the_same_moment(settings: GatewaySettings, store: Store) -> None:
    async with make_mongo(settings, service="test") as client:
        jobs = MongoJobs(client[settings.mongo_db])
        ids = [f"j{number}" for number in range(50)]
        adding = asyncio.gather(*(jobs.add(a_job(one)) for one in ids), return_exceptions=True)
        await asyncio.sleep(adapter.GATHER_ADDED_SECONDS)
        assert await asyncio.gather(*(_take_back(jobs, one) for one in ids)) == [True] * 50
        await adding
        assert await _to_sweep(jobs) == []
    assert await store.jobs.count_documents(NO_JOB) == 50


async def test_a_job_whose_answer_is_lost_does_not_run_and_its_photo_goes_to_the_retry(
    gateway: Gateway, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = (await gateway.hand_over(jpeg(), USER)).json()["data"]["photo_ref"]
    upload = {"user_id": USER, "target": "upload", "params": {"photo_ref": ref}}

    async def lost(collection: Collection, writes: Sequence[Write]) -> list[Exception | None]:
        assert await write_together(collection, writes) == [None] * len(writes)
        raise Unavailable("mongo")

    with monkeypatch.context() as losing:
        losing.setattr(adapter, "write_together", lost)
        assert (await gateway.enqueue(**upload)).status_code == httpx2.codes.SERVICE_UNAVAILABLE

    async def retried() -> bool:
        return (await gateway.enqueue(**upload)).status_code == httpx2.codes.ACCEPTED

    await eventually(retried, within=3, what="the retry to be accepted")
    assert await store.jobs.count_documents({"user_id": USER}) == 1


async def test_jobs_that_stood_still_in_the_network_do_not_run_when_it_flows_again(
    fragile_settings: GatewaySettings, mongo_proxy: TcpProxy, store: Store, rabbit_admin: RabbitAdmin
) -> None:
    settings = fragile_settings.model_copy(update={"sweep_after_seconds": 3})
    async with running_gateway(settings) as gateway:
        await eventually(gateway.ready, what="readiness")
        first = await gateway.echo()
        mongo_proxy.stall()
        replies = await asyncio.gather(*(gateway.enqueue(**ECHO) for _ in range(10)))
        assert {reply.status_code for reply in replies} == {httpx2.codes.SERVICE_UNAVAILABLE}
        await mongo_proxy.restore()

        async def taken_back() -> bool:
            return await store.jobs.count_documents(NO_JOB) == len(replies)

        await eventually(taken_back, within=6, what="all of them to be taken back")
        accepted = await gateway.echo()
        await eventually(lambda: store.published(first, accepted), what="the others to be published")
    sent = {letter.correlation_id for letter in await rabbit_admin.take(REST_QUEUE)}
    assert sent == {first, accepted}
    assert await store.jobs.count_documents({}) == len(replies) + 2
