"""The fast way to the broker, the marks, and the sweeper behind them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from datetime import datetime, timedelta
from typing import Any

import pytest
from opentelemetry import trace

from flickrhub_common.contracts import Callback, JobRequested, Target
from flickrhub_common.errors import Unavailable
from flickrhub_common.testing import FakeClock, FakeMessaging
from flickrhub_gateway.models import Job
from flickrhub_gateway.usecases import publish_jobs
from flickrhub_gateway.usecases.mark_published import LOOK_SECONDS, MarkPublished
from flickrhub_gateway.usecases.publish_job import PublishJob, message_of
from flickrhub_gateway.usecases.publish_jobs import PublishJobs
from flickrhub_gateway.usecases.sweep_jobs import BATCH, SweepJobs
from flickrhub_gateway.usecases.take_back import TakeBack
from tests.support.waiting import eventually
from tests.unit.gateway.fakes import FakeJobs, FakeUploads, a_job

AFTER = timedelta(seconds=5)


class World:
    """A broker, a store, and what brings jobs from the one to the other."""

    def __init__(self) -> None:
        self.broker = FakeMessaging()
        self.jobs = FakeJobs()
        self.clock = FakeClock()
        self.marks = MarkPublished(self.jobs, self.clock, swept_after=AFTER)
        self.publish = PublishJob(self.broker, self.marks)
        self.publisher = PublishJobs(self.publish, self.clock, leave_after=AFTER, most_waiting=3)
        self.take_back = TakeBack(jobs=self.jobs, uploads=FakeUploads(), clock=self.clock, lifetime=AFTER)
        self.sweep = SweepJobs(
            jobs=self.jobs,
            publish=self.publish,
            published=self.marks,
            take_back=self.take_back,
            clock=self.clock,
            after=AFTER,
        )

    def sent(self) -> list[str]:
        return [sent.message.job_id for sent in self.broker.all("job") if isinstance(sent.message, JobRequested)]

    def hold(self, count: int) -> list[Job]:
        jobs = [a_job(f"j{n:03}", created_at=self.clock.now() + timedelta(microseconds=n)) for n in range(count)]
        self.jobs.hold(*jobs)
        return jobs

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self.publisher.run()), asyncio.create_task(self.marks.run())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def world() -> World:
    return World()


def test_the_message_is_the_job() -> None:
    callback = Callback(url="https://c.example/", sealed_secret="v1.k.x")
    job = a_job(target=Target.REPLACE, method=None, meta='{"a":1}', callback=callback)
    assert message_of(job) == JobRequested(
        job_id="j1",
        user_id=job.user_id,
        target=Target.REPLACE,
        params={"name": "test"},
        callback=callback,
        meta={"a": 1},
        trace_id=job.trace_id,
        accepted_at=job.created_at,
        attempt=1,
    )


async def test_a_handed_over_job_is_sent_and_marked(world: World) -> None:
    [job] = world.hold(1)
    async with world.running():
        world.publisher.hand_over(job)
        await eventually(world.sent, every=0.01)
        world.clock.advance(AFTER.total_seconds() / 4)
        await eventually(lambda: world.jobs.kept[job.id].published_at, every=0.01)
    assert world.sent() == [job.id]


async def test_a_mark_is_put_off_until_a_quarter_of_the_time_to_the_sweep_is_over(world: World) -> None:
    young, old = world.hold(2)
    async with world.running():
        world.publisher.hand_over(young)
        await eventually(world.sent, every=0.01)
        world.clock.advance(AFTER.total_seconds() / 4 - 0.001)
        await asyncio.sleep(3 * LOOK_SECONDS)
        assert world.jobs.marked == []
        world.clock.advance(0.001)
        await eventually(lambda: world.jobs.marked, every=0.01)
        world.clock.advance(0.001)
        world.publisher.hand_over(old)  # late: its mark is due already
        await eventually(lambda: world.jobs.marked == [[young.id], [old.id]], every=0.01)


@pytest.mark.parametrize("turned", [False, True], ids=["old first", "young first"])
async def test_the_first_that_is_due_has_all_marked(world: World, turned: bool) -> None:
    [old] = world.hold(1)
    world.clock.advance(AFTER.total_seconds() / 4)
    young = a_job("young", created_at=world.clock.now())
    world.jobs.hold(young)
    for job in (young, old) if turned else (old, young):
        await world.publish(job)
    async with world.running():
        await eventually(lambda: world.jobs.marked, every=0.01, within=2)
    assert [sorted(batch) for batch in world.jobs.marked] == [[old.id, young.id]]


async def test_no_job_that_was_confirmed_in_time_is_swept_whenever_the_sweep_comes(world: World) -> None:
    [job] = world.hold(1)
    async with world.running():
        world.clock.advance(AFTER.total_seconds() * 0.9)
        world.publisher.hand_over(job)
        await eventually(lambda: world.jobs.marked, every=0.01)
        world.clock.advance(AFTER.total_seconds())
        assert await world.sweep() == 0
    assert world.sent() == [job.id]


async def test_what_is_noted_during_a_mark_waits_for_the_next(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = world.hold(2)
    mark = world.jobs.mark_published

    async def slow_mark(job_ids: Collection[str], *, at: datetime) -> None:
        if second.id not in job_ids:
            await world.publish(second)
        await mark(job_ids, at=at)

    monkeypatch.setattr(world.jobs, "mark_published", slow_mark)
    await world.publish(first)
    await world.marks.flush()
    assert world.jobs.marked == [[first.id]]
    await world.marks.flush()
    assert world.jobs.marked == [[first.id], [second.id]]


async def test_jobs_that_come_together_are_marked_in_one_update(world: World) -> None:
    for job in world.hold(3):
        await world.publish(job)
    await world.marks.flush()
    assert world.jobs.marked == [["j000", "j001", "j002"]]


async def test_a_mark_that_fails_is_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flickrhub_gateway.usecases.mark_published.RETRY_SECONDS", 0.02)
    [job] = world.hold(1)
    world.jobs.away = True
    async with world.running():
        world.publisher.hand_over(job)
        await eventually(world.sent, every=0.01)
        world.clock.advance(AFTER.total_seconds() / 4)
        await asyncio.sleep(0.1)
        world.jobs.away = False
        await eventually(lambda: world.jobs.kept[job.id].published_at, every=0.01)


async def test_without_a_broker_a_job_is_left_unmarked(world: World) -> None:
    [job] = world.hold(1)
    world.broker.away = True
    assert not await world.publish(job)
    await world.marks.flush()
    assert world.jobs.marked == []


async def test_what_doesnt_fit_is_left_to_the_sweeper(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = world.hold(5)
    for job in jobs:
        world.publisher.hand_over(job)
    async with world.running():
        await world.publisher.drain(1)
        monkeypatch.setattr(publish_jobs, "MOST_BYTES", 100)
        world.publisher.hand_over(jobs[4])
        await world.publisher.drain(1)
    assert world.sent() == ["j000", "j001", "j002"]


async def test_a_job_that_waited_too_long_is_left_to_the_sweeper(world: World) -> None:
    [job] = world.hold(1)
    world.clock.advance(6)
    async with world.running():
        world.publisher.hand_over(job)
        await world.publisher.drain(1)
    assert world.sent() == []


async def test_a_crash_while_publishing_stops_no_other_job(world: World) -> None:
    broken, good = a_job("broken", params="{"), a_job("good")
    world.jobs.hold(broken, good)
    async with world.running():
        for _ in range(3):
            world.publisher.hand_over(broken)
            await world.publisher.drain(1)
        world.publisher.hand_over(good)
        await world.publisher.drain(1)
    assert world.sent() == ["good"]


async def test_a_job_is_sent_in_the_trace_of_its_request(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    traces: list[int] = []

    async def send(_: JobRequested) -> None:
        traces.append(trace.get_current_span().get_span_context().trace_id)

    monkeypatch.setattr(world.broker, "send_job", send)
    await world.publish(a_job(trace_headers={"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}))
    assert traces == [0x4BF92F3577B34DA6A3CE929D0E0E4736]
    assert not trace.get_current_span().get_span_context().is_valid


async def test_the_sweeper_leaves_young_jobs_to_the_publisher(world: World) -> None:
    world.hold(1)
    world.clock.advance(5)
    assert await world.sweep() == 0
    world.clock.advance(0.001)
    assert await world.sweep() == 1


async def test_the_sweeper_sends_everything_oldest_first_and_once(world: World) -> None:
    jobs = world.hold(2 * BATCH + 10)
    world.clock.advance(6)
    assert await world.sweep() == len(jobs)
    assert await world.sweep() == 0
    assert world.sent() == [job.id for job in jobs]
    assert all(kept.published_at for kept in world.jobs.kept.values())


async def test_two_sweepers_share_the_work(world: World) -> None:
    jobs = world.hold(200)
    world.clock.advance(6)
    counts = await asyncio.gather(world.sweep(), world.sweep())
    assert sum(counts) == len(jobs)
    assert sorted(world.sent()) == [job.id for job in jobs]


async def test_without_a_broker_the_sweeper_tries_one_job_only(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Any] = []

    async def refuse(job: JobRequested) -> None:
        tried.append(job)
        raise Unavailable("rabbitmq")

    world.hold(10)
    world.clock.advance(6)
    with monkeypatch.context() as patch:
        patch.setattr(world.broker, "send_job", refuse)
        assert await world.sweep() == 0
    assert len(tried) == 1
    world.clock.advance(5)
    assert await world.sweep() == 10


async def test_a_job_that_no_queue_takes_doesnt_stand_before_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = world.broker.send_job

    async def refuse_the_first(job: JobRequested) -> None:
        if job.job_id == "j000":
            raise Unavailable("rabbitmq")
        await send(job)

    monkeypatch.setattr(world.broker, "send_job", refuse_the_first)
    world.hold(10)
    world.clock.advance(6)
    await world.sweep()
    world.clock.advance(2)
    await world.sweep()
    assert world.sent() == [f"j{n:03}" for n in range(1, 10)]


async def test_a_sweep_without_the_store_says_so(world: World) -> None:
    world.jobs.away = True
    with pytest.raises(Unavailable):
        await world.sweep()
