"""Publishes again what never reached the broker."""

import asyncio
from datetime import datetime, timedelta

from flickrhub_common.clock import Clock
from flickrhub_common.errors import Unavailable
from flickrhub_common.logs import logger
from flickrhub_gateway.ports import Jobs
from flickrhub_gateway.usecases.mark_published import MarkPublished
from flickrhub_gateway.usecases.publish_job import PublishJob
from flickrhub_gateway.usecases.take_back import TakeBack

log = logger(__name__)

BATCH = 64
PAUSE_AFTER_FAILURE = timedelta(seconds=4)
PAUSE_AFTER_OUTAGE = timedelta(seconds=2)
"""What other gateways have, once the store is back, to take back the jobs that they refused."""


class SweepJobs:
    """Finds stored jobs without a mark of publication and sends them, oldest first.

    The first of a sweep goes alone: it finds out whether the broker is there before more are claimed. A job that
    isn't confirmed rests for a moment, so that one whose queue is gone doesn't stand before the others.
    What was refused is taken back before anything is swept.
    """

    def __init__(
        self,
        *,
        jobs: Jobs,
        publish: PublishJob,
        published: MarkPublished,
        take_back: TakeBack,
        clock: Clock,
        after: timedelta,
    ) -> None:
        self._jobs = jobs
        self._publish = publish
        self._published = published
        self._clock = clock
        self._after = after
        self._take_back = take_back
        self._was_away = False
        self._rests_until: datetime | None = None

    async def __call__(self) -> int:
        """Sweep until nothing is left or nothing gets through; how many jobs went out. Raises Unavailable."""
        try:
            await self._take_back.flush()
            return 0 if await self._rests() else await self._sweep()
        except Unavailable:
            self._was_away = True
            raise

    async def _rests(self) -> bool:
        """Whether the store has come back only just now."""
        if self._was_away:
            await self._jobs.oldest_unpublished()  # raises as long as the store is away
            self._was_away, self._rests_until = False, self._clock.now() + PAUSE_AFTER_OUTAGE
        return self._rests_until is not None and self._clock.now() < self._rests_until

    async def _sweep(self) -> int:
        total, limit = 0, 1
        while True:
            claimed, sent = await self._batch(limit)
            total += sent
            if claimed < limit or not sent:
                break
            limit = BATCH
        if total:
            log.info("jobs_swept", count=total)
        return total

    async def _batch(self, limit: int) -> tuple[int, int]:
        now = self._clock.now()
        jobs = await self._jobs.claim_unpublished(created_before=now - self._after, now=now, limit=limit)
        confirmed = await asyncio.gather(*(self._publish(job) for job in jobs))
        unsent = [job.id for job, got_through in zip(jobs, confirmed, strict=True) if not got_through]
        if unsent:
            log.warning("jobs_wait_for_the_broker", count=len(unsent))
            await self._jobs.postpone(unsent, until=self._clock.now() + PAUSE_AFTER_FAILURE)
        if len(unsent) < len(jobs):
            await self._mark()
        return len(jobs), len(jobs) - len(unsent)

    async def _mark(self) -> None:
        """Mark now what went out, so that it isn't claimed again; if that fails, the marker goes on trying."""
        try:
            await self._published.flush()
        except Unavailable:
            log.warning("marking_put_off")
