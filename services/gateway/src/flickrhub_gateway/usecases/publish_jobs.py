"""Publishes accepted jobs in the background, so that no client waits for the broker."""

import asyncio
import contextlib
from datetime import timedelta

from flickrhub_common.clock import Clock
from flickrhub_common.logs import logger
from flickrhub_gateway.models import Job
from flickrhub_gateway.usecases.publish_job import PublishJob

log = logger(__name__)

CONCURRENCY = 64
MOST_WAITING = 10_000
MOST_BYTES = 64 * 1024 * 1024


class PublishJobs:
    """A bounded queue in memory and workers that empty it, each waiting for its own confirm.

    Whatever doesn't fit, isn't confirmed or has become ``leave_after`` old is left to the sweeper: the stored
    document is the promise, this is only the fast way.
    """

    def __init__(
        self, publish: PublishJob, clock: Clock, *, leave_after: timedelta, most_waiting: int = MOST_WAITING
    ) -> None:
        self._publish = publish
        self._clock = clock
        self._leave_after = leave_after
        self._waiting: asyncio.Queue[Job] = asyncio.Queue(most_waiting)
        self._bytes = 0

    def hand_over(self, job: Job) -> None:
        """Queue a stored job, or leave it to the sweeper when there is no room."""
        if self._waiting.full() or self._bytes + job.size > MOST_BYTES:
            log.warning("publication_left_to_the_sweeper", waiting=self._waiting.qsize())
            return
        self._bytes += job.size
        self._waiting.put_nowait(job)

    async def run(self) -> None:
        """Publish what is handed over, until cancelled."""
        await asyncio.gather(*(self._work() for _ in range(CONCURRENCY)))

    async def drain(self, seconds: float) -> None:
        """Wait until everything handed over was tried, at most so long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._waiting.join(), seconds)

    async def _work(self) -> None:
        while True:
            job = await self._waiting.get()
            try:
                if self._clock.now() - job.created_at < self._leave_after:
                    await self._publish(job)
            except Exception:  # the edge of the loop: the sweeper tries this job again
                log.exception("publisher_crashed", job_id=job.id)
            finally:
                self._bytes -= job.size
                self._waiting.task_done()
