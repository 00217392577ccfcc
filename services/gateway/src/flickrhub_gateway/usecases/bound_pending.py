"""May this user have one more job waiting? Asked for every job, counted now and then."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

from flickrhub_common.clock import Clock
from flickrhub_gateway.errors import TooManyPending
from flickrhub_gateway.ports import Jobs

LEAST_REMEMBERED = timedelta(seconds=2)
MOST_REMEMBERED = timedelta(seconds=60)
QUICKEST = 1000
"""Jobs a second that one user may be taken to hand over to all gateways: a count is good until these can have used up
the room that was left. Whoever is quicker gets so much further beyond the limit."""
MOST_KNOWN = 100_000


@dataclass(slots=True)
class _Count:
    at: datetime
    jobs: int

    def is_good(self, now: datetime, *, most: int) -> bool:
        """Far from the limit it is for long: counting tens of thousands takes Mongo a while, each time."""
        room = timedelta(seconds=(most - self.jobs) / QUICKEST)
        return now - self.at < min(max(room, LEAST_REMEMBERED), MOST_REMEMBERED)


class BoundPending:
    """Bounds the jobs of a user that haven't ended, about: a count is good for 2 to 60 s, the less room the shorter,
    in which this gateway adds what it takes in itself, but not what others do. 0 switches it off.
    """

    def __init__(self, jobs: Jobs, clock: Clock, *, most: int) -> None:
        self._jobs = jobs
        self._clock = clock
        self._most = most
        self._counts: dict[str, _Count] = {}
        self._counting: dict[str, asyncio.Task[_Count]] = {}

    async def __call__(self, user_id: str) -> None:
        """Count one more job. Raises TooManyPending, or Unavailable when the store is away."""
        if not self._most:
            return
        known = self._counts.get(user_id)
        if known is None or not known.is_good(self._clock.now(), most=self._most):
            known = await self._counted(user_id)
        if known.jobs >= self._most:
            raise TooManyPending(self._most)
        known.jobs += 1

    async def _counted(self, user_id: str) -> _Count:
        """Count in the store, once for all who ask meanwhile."""
        counting = self._counting.get(user_id)
        if counting is None:
            counting = asyncio.create_task(self._count(user_id), name="pending-count")
            self._counting[user_id] = counting
        return await asyncio.shield(counting)

    async def _count(self, user_id: str) -> _Count:
        try:
            jobs = await self._jobs.count_open(user_id, most=self._most)
        finally:
            del self._counting[user_id]
        self._counts.pop(user_id, None)
        self._counts[user_id] = known = _Count(self._clock.now(), jobs)
        if len(self._counts) > MOST_KNOWN:
            del self._counts[next(iter(self._counts))]
        return known
