"""Notes which jobs the broker has, many in one update, and only of those that need it."""

import asyncio
from collections import deque
from datetime import datetime, timedelta

from flickrhub_common.clock import Clock
from flickrhub_common.errors import Unavailable
from flickrhub_common.logs import logger
from flickrhub_gateway.models import Job
from flickrhub_gateway.ports import Jobs

log = logger(__name__)

LOOK_SECONDS = 0.05
RETRY_SECONDS = 1.0
MOST_AT_ONCE = 1000
MOST_WAITING = 50_000
"""Beyond this the oldest notes are dropped; the sweeper then publishes those jobs once more, which is harmless."""


class MarkPublished:
    """Collects ids for a while and marks them together.

    A job that has moved on is never swept and needs no mark, so one that is quick costs no write: its mark is put off
    until the job is a quarter of ``swept_after`` old, which leaves three quarters to make it.
    """

    def __init__(self, jobs: Jobs, clock: Clock, *, swept_after: timedelta) -> None:
        self._jobs = jobs
        self._clock = clock
        self._put_off = swept_after / 4
        self._ids: deque[str] = deque(maxlen=MOST_WAITING)
        self._due: datetime | None = None
        self._some = asyncio.Event()

    def note(self, job: Job) -> None:
        """The broker has confirmed this job."""
        due = job.created_at + self._put_off
        self._due = due if self._due is None else min(due, self._due)
        self._ids.append(job.id)
        self._some.set()

    async def run(self) -> None:
        """Mark what is noted when the first of it is due, until cancelled."""
        while True:
            await self._some.wait()
            await asyncio.sleep(LOOK_SECONDS)
            if self._due is not None and self._clock.now() < self._due:
                continue
            try:
                await self.flush()
            except Unavailable:
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:  # the edge of the loop: unmarked jobs are only published twice
                log.exception("marking_crashed")

    async def flush(self) -> None:
        """Mark everything noted so far. Raises Unavailable; what isn't marked stays noted, and due."""
        left, due = len(self._ids), self._due
        self._due = None
        self._some.clear()
        while batch := [self._ids.popleft() for _ in range(min(left, len(self._ids), MOST_AT_ONCE))]:
            left -= len(batch)
            try:
                await self._jobs.mark_published(batch, at=self._clock.now())
            except (Unavailable, asyncio.CancelledError):
                self._ids.extendleft(reversed(batch))
                self._due = due
                self._some.set()
                raise
