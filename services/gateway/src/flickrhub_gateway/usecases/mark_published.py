"""Notes which jobs the broker has, many in one update."""

import asyncio
from collections import deque

from flickrhub_common.clock import Clock
from flickrhub_common.errors import Unavailable
from flickrhub_common.logs import logger
from flickrhub_gateway.ports import Jobs

log = logger(__name__)

GATHER_SECONDS = 0.05
RETRY_SECONDS = 1.0
MOST_AT_ONCE = 1000
MOST_WAITING = 50_000
"""Beyond this the oldest notes are dropped; the sweeper then publishes those jobs once more, which is harmless."""


class MarkPublished:
    """Collects ids for a moment and marks them together: not every job costs an update of its own."""

    def __init__(self, jobs: Jobs, clock: Clock) -> None:
        self._jobs = jobs
        self._clock = clock
        self._ids: deque[str] = deque(maxlen=MOST_WAITING)
        self._some = asyncio.Event()

    def note(self, job_id: str) -> None:
        """The broker has confirmed this job."""
        self._ids.append(job_id)
        self._some.set()

    async def run(self) -> None:
        """Mark what is noted, until cancelled."""
        while True:
            await self._some.wait()
            await asyncio.sleep(GATHER_SECONDS)
            try:
                await self.flush()
            except Unavailable:
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:  # the edge of the loop: unmarked jobs are only published twice
                log.exception("marking_crashed")

    async def flush(self) -> None:
        """Mark everything noted so far. Raises Unavailable; what isn't marked stays noted."""
        while self._ids:
            batch = [self._ids.popleft() for _ in range(min(len(self._ids), MOST_AT_ONCE))]
            try:
                await self._jobs.mark_published(batch, at=self._clock.now())
            except (Unavailable, asyncio.CancelledError):
                self._ids.extendleft(reversed(batch))
                self._some.set()
                raise
        self._some.clear()
