"""Takes back what a refused call may have left: its client was told to come again, so it must not run as well."""

import asyncio
from datetime import timedelta
from itertools import islice

from flickrhub_common.clock import Clock
from flickrhub_common.errors import Unavailable
from flickrhub_common.logs import logger
from flickrhub_gateway.ports import Jobs, Uploads

log = logger(__name__)

RETRY_SECONDS = 0.5
MOST_AT_ONCE = 32
MOST_WAITING = 10_000
"""Beyond this the oldest are let go: what landed of them runs, as it does when this process dies."""
REMEMBERED = timedelta(days=1)
"""How long the store remembers that a job was taken back: far longer than a write can be on its way."""


class TakeBack:
    """Remembers refused jobs and takes them back as soon as the store answers; then their photos are free again.

    Nothing waits for it but the sweeper, which would publish what it hasn't come to.
    """

    def __init__(
        self, *, jobs: Jobs, uploads: Uploads, clock: Clock, lifetime: timedelta, most_waiting: int = MOST_WAITING
    ) -> None:
        self._jobs = jobs
        self._uploads = uploads
        self._clock = clock
        self._lifetime = lifetime
        self._most_waiting = most_waiting
        self._refused: dict[str, None] = {}
        self._some = asyncio.Event()
        self._one_flush = asyncio.Lock()

    def note(self, job_id: str) -> None:
        """This job couldn't be stored, or nobody knows. Never waits, never raises."""
        if len(self._refused) >= self._most_waiting:
            oldest = next(iter(self._refused))
            del self._refused[oldest]
            log.warning("job_not_taken_back", job_id=oldest, error="too many wait for it")
        self._refused[job_id] = None
        self._some.set()

    async def run(self) -> None:
        """Take back what is noted, until cancelled."""
        while True:
            await self._some.wait()
            try:
                await self.flush()
            except Unavailable:
                await asyncio.sleep(RETRY_SECONDS)

    async def flush(self) -> None:
        """Take back everything noted so far. Raises Unavailable; what wasn't taken back stays noted."""
        async with self._one_flush:
            while batch := list(islice(self._refused, MOST_AT_ONCE)):
                outcomes = await asyncio.gather(*map(self._settle, batch), return_exceptions=True)
                for outcome in outcomes:
                    if isinstance(outcome, BaseException):
                        raise outcome
            self._some.clear()

    async def _settle(self, job_id: str) -> None:
        try:
            await self._take_back(job_id)
        except Unavailable:
            raise
        except Exception:  # the edge of the loop: one that can't be taken back must not keep the others from it
            log.exception("job_not_taken_back", job_id=job_id)
        self._refused.pop(job_id, None)

    async def _take_back(self, job_id: str) -> None:
        now = self._clock.now()
        if not await self._jobs.take_back(job_id, now=now, remembered_until=now + REMEMBERED):
            log.warning("job_not_taken_back", job_id=job_id, error="it is under way")
            return
        for upload in await self._uploads.of_job(job_id):
            if not upload.hidden:  # one that came inside the call is nobody else's, and swept
                await self._uploads.extend(upload, until=now + self._lifetime, job_id=None)
        log.info("job_taken_back", job_id=job_id)
