"""A refused job doesn't run: whatever of it landed is taken back, and its photo is free for the retry."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import httpx2
import pytest

from flickrhub_common.errors import Unavailable
from flickrhub_common.testing import FakeClock, FakeMessaging
from flickrhub_gateway.models import Job
from flickrhub_gateway.uploads import Upload, UploadState
from flickrhub_gateway.usecases.mark_published import MarkPublished
from flickrhub_gateway.usecases.publish_job import PublishJob
from flickrhub_gateway.usecases.sweep_jobs import PAUSE_AFTER_OUTAGE, SweepJobs
from flickrhub_gateway.usecases.take_back import TakeBack
from tests.support.waiting import eventually
from tests.unit.gateway.conftest import Logged
from tests.unit.gateway.fakes import LIFETIME, NOON, USER, FakeJobs, FakeUploads, Surroundings, a_job

REST = "/api/v1/flickr/rest"
ECHO = {"method": "flickr.test.echo", "user_id": USER}
REF = "7d5e1f0a-52c3-4f0e-9a52-6a2b8f6f5b0c"
UPLOAD = {"user_id": USER, "target": "upload", "params": {"photo_ref": REF}}
Adding = Callable[[FakeJobs, Job], Awaitable[None]]


async def _lands_and_hangs(jobs: FakeJobs, job: Job) -> None:
    jobs.hold(job)
    await asyncio.Event().wait()


async def _lands_and_breaks(jobs: FakeJobs, job: Job) -> None:
    jobs.hold(job)
    raise Unavailable("mongo")


async def _lands_and_crashes(jobs: FakeJobs, job: Job) -> None:
    jobs.hold(job)
    raise RuntimeError


def _with_photo(around: Surroundings) -> None:
    around.uploads.kept[REF] = Upload(
        ref=REF, user_id=USER, state=UploadState.READY, filename=None, created_at=NOON, expires_at=NOON + LIFETIME
    )


@pytest.mark.parametrize("adding", [_lands_and_hangs, _lands_and_breaks, _lands_and_crashes])
async def test_what_landed_of_a_refused_call_is_taken_back_and_its_photo_is_free(
    http: httpx2.AsyncClient, around: Surroundings, monkeypatch: pytest.MonkeyPatch, adding: Adding
) -> None:
    monkeypatch.setattr("flickrhub_gateway.usecases.enqueue_job.ACCEPT_SECONDS", 0.05)
    _with_photo(around)
    with monkeypatch.context() as away:
        away.setattr(FakeJobs, "add", adding)
        assert (await http.post(REST, json=UPLOAD)).status_code in {500, 503}
    assert len(around.jobs.kept) == 1
    await around.take_back.flush()
    assert not around.jobs.kept
    assert (await http.post(REST, json=UPLOAD)).status_code == 202


async def test_a_refusal_before_anything_was_stored_leaves_nothing_to_take_back(
    http: httpx2.AsyncClient, around: Surroundings
) -> None:
    """Neither an outage of auth nor a wrong photo_ref costs the store a write."""
    assert (await http.post(REST, json=UPLOAD)).status_code == 400
    around.auth.failure = Unavailable("auth")
    around.clock.advance(61)
    assert (await http.post(REST, json=ECHO)).status_code == 503
    await around.take_back.flush()
    assert not around.jobs.tombstones


async def test_a_refusal_for_time_is_logged_with_the_job_and_what_happened(
    http: httpx2.AsyncClient, around: Surroundings, monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    monkeypatch.setattr("flickrhub_gateway.usecases.enqueue_job.ACCEPT_SECONDS", 0.05)
    monkeypatch.setattr(FakeJobs, "add", _lands_and_hangs)
    await http.post(REST, json=ECHO)
    [line] = [line for line in logged if line["event"] == "request_failed"]
    assert (line["error"], [line["job_id"]]) == ("not stored within 0.05 s", list(around.jobs.kept))


async def test_taking_back_begins_again_when_the_store_answers(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flickrhub_gateway.usecases.take_back.RETRY_SECONDS", 0)
    around.jobs.hold(a_job("j1"))
    around.jobs.away = True
    around.take_back.note("j1")
    running = asyncio.create_task(around.take_back.run())
    for _ in range(5):
        await asyncio.sleep(0)
    assert set(around.jobs.kept) == {"j1"}
    around.jobs.away = False
    await eventually(lambda: not around.jobs.kept, within=2, every=0.01, what="the job to be taken back")
    running.cancel()


async def test_a_job_under_way_keeps_its_photo(around: Surroundings, logged: Logged) -> None:
    _with_photo(around)
    await around.uploads.claim(REF, user_id=USER, held_by=None, job_id="j1", now=NOON, until=NOON + LIFETIME)
    around.jobs.hold(a_job("j1"))
    await around.jobs.mark_published(["j1"], at=NOON)
    around.take_back.note("j1")
    await around.take_back.flush()
    assert around.uploads.kept[REF].job_id == "j1"
    assert [line["job_id"] for line in logged if line["event"] == "job_not_taken_back"] == ["j1"]


async def test_a_claim_that_lands_after_its_job_was_taken_back_keeps_nobody_waiting(
    http: httpx2.AsyncClient, around: Surroundings
) -> None:
    _with_photo(around)
    around.take_back.note("j1")
    await around.take_back.flush()
    await around.uploads.claim(REF, user_id=USER, held_by=None, job_id="j1", now=NOON, until=NOON + LIFETIME)
    assert (await http.post(REST, json=UPLOAD)).status_code == 202


async def test_of_too_many_the_oldest_are_let_go(logged: Logged) -> None:
    jobs = FakeJobs()
    take_back = TakeBack(jobs=jobs, uploads=FakeUploads(), clock=FakeClock(), lifetime=LIFETIME, most_waiting=2)
    for number in range(3):
        take_back.note(f"j{number}")
    await take_back.flush()
    assert jobs.tombstones == ["j1", "j2"]
    assert [line["job_id"] for line in logged if line["event"] == "job_not_taken_back"] == ["j0"]


async def test_one_that_cannot_be_taken_back_keeps_no_other_from_it(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    taking = FakeJobs.take_back

    async def crashing(jobs: FakeJobs, job_id: str, **when: object) -> bool:
        if job_id == "j1":
            raise RuntimeError
        return await taking(jobs, job_id, **when)  # type: ignore[arg-type]

    monkeypatch.setattr(FakeJobs, "take_back", crashing)
    around.take_back.note("j1")
    around.take_back.note("j2")
    await around.take_back.flush()
    assert around.jobs.tombstones == ["j2"]


def _sweep(jobs: FakeJobs, clock: FakeClock, take_back: TakeBack) -> tuple[SweepJobs, FakeMessaging]:
    broker, marks = FakeMessaging(), MarkPublished(jobs, clock, swept_after=timedelta(seconds=5))
    publish = PublishJob(broker, marks)
    after = timedelta(seconds=5)
    return SweepJobs(jobs=jobs, publish=publish, published=marks, take_back=take_back, clock=clock, after=after), broker


async def test_the_sweeper_publishes_nothing_that_is_still_to_be_taken_back(around: Surroundings) -> None:
    around.jobs.hold(a_job("refused"), a_job("accepted"))
    around.take_back.note("refused")
    around.clock.advance(10)
    sweep, _ = _sweep(around.jobs, around.clock, around.take_back)
    assert await sweep() == 1
    assert set(around.jobs.kept) == {"accepted"}


async def test_after_an_outage_the_sweeper_leaves_other_gateways_time_to_take_back(around: Surroundings) -> None:
    around.jobs.hold(a_job("refused-elsewhere"))
    around.clock.advance(10)
    sweep, broker = _sweep(around.jobs, around.clock, around.take_back)
    around.jobs.away = True
    for _ in range(2):
        with pytest.raises(Unavailable):
            await sweep()
    around.jobs.away = False
    assert await sweep() == 0
    assert not broker.all("job")
    around.clock.advance(PAUSE_AFTER_OUTAGE.total_seconds())
    assert await sweep() == 1
