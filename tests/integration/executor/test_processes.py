"""Executors as processes: killed, stopped, misconfigured, cut off."""

import asyncio
import signal
import sys
from collections import Counter

import pytest

from flickrhub_common.contracts import JobCompleted, JobFailed
from tests.integration.executor.parts import Hub, a_call
from tests.support.waiting import eventually

pytestmark = pytest.mark.few

READ = "flickr.test.echo"
WRITE = "flickr.photos.setMeta"
CREATE = "flickr.photosets.create"


def times_called(hub: Hub, method: str) -> Counter[str]:
    """How often each call was received, by its own number."""
    return Counter(call.params["n"] for call in hub.calls(method))


@pytest.mark.timeout(180)
async def test_after_a_kill_in_the_middle_of_work_every_job_ends_once(hub: Hub) -> None:
    photo = next(p for p in hub.simulator.world.photos.values() if p.owner == hub.auth._account)
    reads = [a_call(READ, f"user-{n % 7}") for n in range(150)]
    writes = [
        a_call(WRITE, f"user-{n % 7}", params={"photo_id": photo.id, "title": "t", "n": str(n)}) for n in range(50)
    ]
    hub.fault(match={}, times=-1, latency_ms=50)
    first = await hub.process(FLICKR_TIMEOUT_SECONDS="1", WORKER_CONCURRENCY="16")
    await hub.send(*[job for pair in zip(reads[:50], writes, strict=True) for job in pair], *reads[50:])
    await eventually(lambda: len(hub.calls()) >= 60, what="work in flight")
    first.kill()
    assert await first.wait() == -signal.SIGKILL
    await hub.process(FLICKR_TIMEOUT_SECONDS="1")
    events = await hub.ended([*reads, *writes], within=60, repeated=16)
    assert {type(event) for event in events} == {JobCompleted}
    called = times_called(hub, WRITE)
    assert len(called) == 50
    assert max(called.values()) <= 2
    assert sum(called.values()) <= 50 + 16  # only what was in flight at the kill


async def test_a_write_that_makes_a_new_thing_is_never_called_twice_even_by_a_kill(hub: Hub) -> None:
    photo = next(p for p in hub.simulator.world.photos.values() if p.owner == hub.auth._account)
    jobs = [a_call(CREATE, params={"primary_photo_id": photo.id, "title": "t", "n": str(n)}) for n in range(30)]
    hub.fault(match={}, times=-1, latency_ms=100)
    first = await hub.process(FLICKR_TIMEOUT_SECONDS="1", WORKER_CONCURRENCY="16")
    await hub.send(*jobs)
    await eventually(lambda: len(hub.calls()) >= 12, what="work in flight")
    first.kill()
    await first.wait()
    await hub.process(FLICKR_TIMEOUT_SECONDS="1")
    events = await hub.ended(jobs, within=60, repeated=16)
    assert max(times_called(hub, CREATE).values()) == 1
    codes = Counter(event.failure.code if isinstance(event, JobFailed) else None for event in events)
    assert set(codes) <= {None, "ERR_OUTCOME_UNKNOWN"}
    assert 0 < codes["ERR_OUTCOME_UNKNOWN"] <= 16


async def test_sigterm_finishes_what_is_at_work_takes_nothing_new_and_exits_0(hub: Hub) -> None:
    jobs = [a_call(READ) for _ in range(60)]
    hub.fault(match={}, times=-1, latency_ms=300)
    process = await hub.process(WORKER_CONCURRENCY="8")
    await hub.send(*jobs)
    await eventually(lambda: len(hub.calls()) >= 10, what="work in flight")
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(15):
        assert await process.wait() == 0, hub.log()
    seen = len(hub.calls())
    assert seen < 60
    done = await hub.told(JobCompleted)
    assert len(done) == seen  # nothing was begun and not finished
    await hub.process()
    await hub.ended(jobs, within=20)
    assert set(times_called(hub, READ).values()) == {1}


async def test_a_call_that_takes_longer_than_the_grace_time_is_given_back(hub: Hub) -> None:
    job = a_call(READ)
    hub.fault(match={}, times=1, latency_ms=20_000)
    process = await hub.process(SHUTDOWN_GRACE_SECONDS="1", FLICKR_TIMEOUT_SECONDS="30")
    await hub.send(job)
    await eventually(lambda: len(hub.calls()) == 1, what="a call under way")
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(10):
        assert await process.wait() == 0, hub.log()
    assert await hub.rabbit.depth("flickr_rest") == 1


async def test_a_bad_setting_ends_the_process_with_one_line() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "flickrhub_executor"),
        env={"INTERNAL_API_TOKEN": "0123456789abcdef", "JOB_RETRY_ATTEMPTS": "none"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(20):
        out, err = await process.communicate()
    assert process.returncode == 1
    assert out == b""
    assert err.decode().splitlines() == [err.decode().strip()]
    assert err.startswith(b"JOB_RETRY_ATTEMPTS: ")


async def test_the_logs_hold_no_secret(hub: Hub) -> None:
    await hub.process(LOG_LEVEL="DEBUG")
    jobs = [a_call(READ), a_call("flickr.photos.getInfo"), a_call(READ, "nobody")]
    hub.auth.unknown.add("nobody")
    await hub.send(*jobs)
    await hub.ended(jobs)
    log = await eventually(hub.log, what="a log")
    assert "job_ended" in log
    for secret in ("a-token-secret", hub.auth.token_of("user-1"), "internal-token-of-the-tests", "guest:guest"):
        assert secret not in log
