"""A scale-down during work: SIGTERM to one of two executors under load, 20 times, loses nothing and repeats no call.

Half of them are executors of calls, half of uploads; SCALE_DOWNS says how many.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from flickrhub_common.contracts import JobCompleted, JobRequested, Target
from tests.integration.executor.parts import Hub, a_call
from tests.integration.executor.photos import Photos
from tests.support.forked import Forked, Forking, forking
from tests.support.own_hub import free_ports
from tests.support.photographs import jpeg
from tests.support.plain_http import NOBODY
from tests.support.waiting import eventually

ROUNDS = int(os.environ.get("SCALE_DOWNS", "20")) // 2
"""Of each target."""
GRACE_SECONDS = 10
AT_ONCE = {Target.REST: 4, Target.UPLOAD: 2}
BACKLOG = {Target.REST: 16, Target.UPLOAD: 6}
"""How many jobs wait in the queue while executors come and go: enough that all of them are busy at each signal."""
LATENCY_MS = 200

pytestmark = [pytest.mark.few, pytest.mark.timeout(180)]


@dataclass
class Executor:
    """A process, and its probes."""

    process: Forked
    http: httpx2.AsyncClient

    async def probe(self, path: str) -> tuple[int, list[str]]:
        """The status, and what isn't there; (0, []) when nobody answers."""
        try:
            reply = await self.http.get(path)
        except httpx2.HTTPError:
            return 0, []
        return reply.status_code, (reply.json().get("error") or {}).get("details") or []


@dataclass
class Fleet:
    """Two executors of a target, one of which goes at a time, and the jobs that keep them busy."""

    target: Target
    photos: Photos
    forking: Forking
    log: Path
    jobs: list[JobRequested] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    slowest: float = 0.0

    @property
    def queue(self) -> str:
        return f"flickr_{self.target.value}"

    async def feed(self) -> None:
        """Keep jobs waiting in the queue, until cancelled."""
        while True:
            missing = BACKLOG[self.target] - await self.photos.hub.rabbit.depth(self.queue)
            if missing > 0:
                await self.photos.hub.send(*[await self._job() for _ in range(missing)])
            await asyncio.sleep(0.05)

    async def _job(self) -> JobRequested:
        if self.target is Target.REST:
            job = a_call()
        else:
            photo = jpeg()
            self.hashes.append(photo.sha256)
            job = await self.photos.handed_over(photo)
        self.jobs.append(job)
        return job

    async def start(self) -> Executor:
        """One more executor, which is ready."""
        (port,) = free_ports(1)
        changed = {
            "PORT": str(port),
            "TARGET": self.target.value,
            "WORKER_CONCURRENCY": str(AT_ONCE[self.target]),
            "SHUTDOWN_GRACE_SECONDS": str(GRACE_SECONDS),
        }
        if self.target is Target.UPLOAD:
            found = self.photos.settings()
            changed |= {
                "MONGO_URL": found["mongo_url"].get_secret_value(),
                **{name.upper(): found[name] for name in ("mongo_db", "upload_allow_cidrs", "upload_look_seconds")},
            }
        environment = self.photos.hub.environment(changed)
        process = await self.forking.start("flickrhub_executor", environment, log=self.log)
        http = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=5, verify=NOBODY, trust_env=False)
        executor = Executor(process, http)

        async def ready() -> bool:
            assert process.returncode is None, self.log.read_text()[-3000:]
            return (await executor.probe("/health/ready"))[0] == httpx2.codes.OK

        await eventually(ready, within=30, every=0.05, what="a ready executor")
        return executor

    async def scale_down_again_and_again(self) -> None:
        """In each round a third one is there before the oldest of the two goes."""
        running = [await self.start(), await self.start()]
        async with _meanwhile(self.feed()):
            for number in range(ROUNDS):
                await eventually(partial(self.photos.hub.rabbit.depth, self.queue), what="jobs that wait")
                replacing = asyncio.create_task(self.start())
                await self._ends(running.pop(0), probed=number % 5 == 0)
                running.append(await replacing)
        await self.photos.hub.ended(self.jobs, within=30)
        for executor in running:
            await self._ends(executor)

    async def _ends(self, executor: Executor, *, probed: bool = False) -> None:
        began = time.monotonic()
        executor.process.terminate()
        if probed:
            await self._says_that_it_stops(executor)
        code = await asyncio.wait_for(executor.process.wait(), GRACE_SECONDS + 5)
        self.slowest = max(self.slowest, time.monotonic() - began)
        assert code == 0, self.log.read_text()[-3000:]
        await executor.http.aclose()

    async def _says_that_it_stops(self, executor: Executor) -> None:
        """While it finishes what it has in hand it lives, and is ready for nothing."""

        async def stopping() -> bool:
            return await executor.probe("/health/ready") == (httpx2.codes.SERVICE_UNAVAILABLE, ["stopping"])

        await eventually(stopping, within=2, every=0.01, what="readiness that is over")
        assert (await executor.probe("/health"))[0] == httpx2.codes.OK


@contextlib.asynccontextmanager
async def _meanwhile(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
        assert not task.done(), task.result()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_of_two_executors_one_is_stopped_20_times_under_load_and_every_job_ends_once(
    hub: Hub, photos: Photos, tmp_path: Path
) -> None:
    hub.fault(match={}, times=-1, latency_ms=LATENCY_MS)
    async with forking("flickrhub_executor", folder=tmp_path) as processes:
        rest = Fleet(Target.REST, photos, processes, tmp_path / "rest.log")
        uploads = Fleet(Target.UPLOAD, photos, processes, tmp_path / "upload.log")
        await asyncio.gather(rest.scale_down_again_and_again(), uploads.scale_down_again_and_again())
    told = await hub.told(JobCompleted)
    jobs = [*rest.jobs, *uploads.jobs]
    assert len(told) == len(hub.events) == len(jobs), "an outcome was told twice, or there was another"
    assert len(hub.calls("flickr.test.echo")) == len(rest.jobs)
    assert sum(call.kind == "upload" for call in hub.calls()) == len(uploads.jobs)
    assert photos.hashes() == sorted(uploads.hashes)
    assert max(rest.slowest, uploads.slowest) < GRACE_SECONDS
    print(f"\n{2 * ROUNDS} scale-downs, {len(rest.jobs)} calls, {len(uploads.jobs)} uploads")  # noqa: T201 - with -s
