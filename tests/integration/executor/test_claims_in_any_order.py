"""Claims on a real Redis, asked by copies of messages in any order: one outcome a job, and no call after it."""

import asyncio
from collections.abc import Awaitable, Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flickrhub_common.contracts import JobRequested
from flickrhub_common.redis import make_redis
from flickrhub_common.settings import RedisSettings
from flickrhub_executor.adapters.redis_claims import RedisClaims
from flickrhub_executor.models import Concluded, Held, Outcome, Taken
from tests.support.samples import a_completion, a_failure, a_job


class _Walk:
    """One job, copies of whose messages are taken, ended and told of; every lease is longer than the walk."""

    def __init__(self, claims: RedisClaims) -> None:
        self._claims = claims
        self._job = a_job()
        self._outcome: Outcome | None = None
        self._reported = self._running = False

    async def take(self, attempt: int) -> None:
        claim = await self._claims.take(self._copy(attempt))
        assert not (isinstance(claim, Taken) and (self._outcome or self._running))
        if isinstance(claim, Concluded):
            assert claim.outcome == (None if self._reported else self._outcome)
        self._running = self._running or isinstance(claim, Taken)

    async def complete(self, attempt: int) -> None:
        await self._conclude(attempt, a_completion(self._job.job_id))

    async def fail(self, attempt: int) -> None:
        await self._conclude(attempt, a_failure(self._job.job_id))

    async def _conclude(self, attempt: int, mine: Outcome) -> None:
        verdict = await self._claims.conclude(self._copy(attempt), mine)
        if self._outcome is None:
            assert isinstance(verdict, Concluded)
            self._outcome = mine
        assert isinstance(verdict, Held) or verdict.outcome == (None if self._reported else self._outcome)
        self._running = False

    async def give_up(self, attempt: int) -> None:
        copy = self._copy(attempt)
        kept = await self._claims.give_up_attempt(copy, self._copy(attempt + 1), due=0.0)
        assert not (kept and self._outcome)
        self._running = self._running and not kept

    async def tell(self, attempt: int) -> None:
        if self._outcome:
            await self._claims.mark_buried(self._job.job_id)
        if self._outcome and attempt > 1:
            await self._claims.mark_reported(self._job.job_id)
            self._reported = True

    def _copy(self, attempt: int) -> JobRequested:
        return self._job.model_copy(update={"attempt": attempt})


Step = Callable[[_Walk, int], Awaitable[None]]
STEPS: tuple[Step, ...] = (_Walk.take, _Walk.take, _Walk.complete, _Walk.fail, _Walk.give_up, _Walk.tell)


async def _walk(claims: RedisClaims, told: list[tuple[Step, int]]) -> None:
    walk = _Walk(claims)
    for step, attempt in told:
        await step(walk, attempt)


def test_whatever_copies_come_there_is_one_outcome_and_no_call_after_it(redis_settings: RedisSettings) -> None:
    @settings(max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(1, 3)), max_size=14))
    def try_out(told: list[tuple[Step, int]]) -> None:
        runner.run(_walk(claims, told))

    with asyncio.Runner() as runner:
        redis = make_redis(redis_settings)
        claims = RedisClaims(redis, lease_seconds=60, telling_seconds=60)
        try:
            try_out()
        finally:
            runner.run(redis.aclose())
