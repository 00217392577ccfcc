"""Claims on a real Redis, asked by copies of messages of several runs in any order, while leases end and owners die.

The fake that the use cases are tested with answers the same, word for word.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from flickrhub_common.contracts import JobRequested, UploadProgress
from flickrhub_common.redis import PipelinedRedis, make_redis
from flickrhub_common.settings import RedisSettings
from flickrhub_common.testing import FakeClock
from flickrhub_executor.adapters.redis_claims import RedisClaims
from flickrhub_executor.models import Claim, Concluded, Held, Outcome, Taken
from flickrhub_executor.ports import Claims
from tests.support.samples import a_completion, a_failure, a_job
from tests.unit.executor.fakes import FakeClaims

LEASE = 600.0
"""Longer than a walk; a lease ends when the walk says so."""


class _Walk:
    """One job, copies of whose messages are taken, ended and told of by owners of whom any may have died."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._clock = FakeClock()
        self._both: tuple[Claims, Claims] = (
            RedisClaims(PipelinedRedis(redis), lease_seconds=LEASE, telling_seconds=LEASE),
            FakeClaims(self._clock, lease=LEASE, telling=LEASE),
        )
        self._job = a_job()
        self._owners: list[tuple[str, str]] = []
        self._outcomes: dict[int, Outcome] = {}
        self._told: set[int] = set()
        self._owner: JobRequested | None = None
        self._lapsed = False
        self._latest = -1

    async def take(self, copy: JobRequested) -> None:
        claim, fake = [await claims.take(copy) for claims in self._both]
        assert _plain(claim) == _plain(fake)
        if isinstance(claim, Concluded):
            self._is_told(copy, claim)
        if isinstance(claim, Taken):
            assert isinstance(fake, Taken)
            self._taken(copy, claim)
            self._owners.append((claim.owner, fake.owner))

    def _taken(self, copy: JobRequested, claim: Taken) -> None:
        """Nobody begins while another holds the job, in a run that ended, after a success, or before it is told."""
        assert self._owner is None or self._lapsed
        ended, completed = max(self._outcomes, default=-1), a_completion(self._job.job_id) in self._outcomes.values()
        assert copy.replay > ended
        assert not completed
        assert set(self._outcomes) <= self._told
        assert claim.doubtful or self._owner is None
        assert claim.deaths or self._owner is None or self._owner.replay < copy.replay
        self._owner, self._lapsed, self._latest = copy, False, copy.replay

    async def renew(self, copy: JobRequested) -> None:
        if self._owners:
            owners = self._owners[-copy.sequence % len(self._owners)]
            renewed, fake = [
                await claims.renew(copy, owner=each) for claims, each in zip(self._both, owners, strict=True)
            ]
            assert renewed == fake
            assert not renewed or self._owner is not None
            self._lapsed = self._lapsed and not renewed

    async def complete(self, copy: JobRequested) -> None:
        await self._conclude(copy, a_completion(self._job.job_id))

    async def fail(self, copy: JobRequested) -> None:
        await self._conclude(copy, a_failure(self._job.job_id))

    async def give_up_job(self, copy: JobRequested) -> None:
        await self._conclude(copy, a_failure(self._job.job_id), interrupts=True)

    async def _conclude(self, copy: JobRequested, outcome: Outcome, *, interrupts: bool = False) -> None:
        mine = outcome.model_copy(update={"replay": copy.replay})
        before = dict(self._outcomes)
        owners = self._learnt_by(copy) if not interrupts else ("", "")
        verdict, fake = [
            await claims.conclude(copy, mine, owner=each, interrupts=interrupts)
            for claims, each in zip(self._both, owners, strict=True)
        ]
        assert _plain(verdict) == _plain(fake)
        if not isinstance(verdict, Concluded) or verdict.outcome is None:
            return
        if verdict.outcome.replay in before:
            self._is_told(copy, verdict)
            return
        assert verdict.outcome == mine
        assert set(before) <= self._told
        assert verdict.doubtful or not (copy.doubtful or (interrupts and self._owner is not None))
        self._outcomes[copy.replay] = mine
        self._owner, self._lapsed = None, False

    def _is_told(self, copy: JobRequested, claim: Concluded) -> None:
        if claim.outcome is not None:
            assert claim.outcome == self._outcomes[claim.outcome.replay]
            assert claim.outcome.replay not in self._told
            assert claim.buried or claim.outcome.replay == copy.replay

    async def give_up_attempt(self, copy: JobRequested) -> None:
        """By somebody who took the job once, perhaps long ago."""
        if copy.replay > self._latest:
            return
        following = self.copy(copy.sequence + 1, copy.replay, copy.doubtful)
        kept, fake = [
            await claims.give_up_attempt(copy, following, due=0.0, owner=each)
            for claims, each in zip(self._both, self._learnt_by(copy), strict=True)
        ]
        assert kept == fake
        if kept:
            self._owner, self._lapsed = None, False

    def _learnt_by(self, copy: JobRequested) -> tuple[str, str]:
        """Somebody who took the job once, perhaps long ago; or nobody in particular."""
        if not (copy.doubtful and self._owners):
            return "", ""
        return self._owners[-copy.sequence % len(self._owners)]

    async def tell(self, copy: JobRequested) -> None:
        """Bury and tell what ended, or only bury."""
        for run in self._outcomes:
            for claims in self._both:
                await claims.mark_buried(self._job.job_id, replay=run)
                if copy.doubtful:
                    await claims.mark_reported(self._job.job_id, replay=run)
                    self._told.add(run)

    async def lapse(self, _: JobRequested) -> None:
        """Nobody renews: the lease is over, or the time for telling."""
        self._clock.advance(LEASE + 1)
        key = f"claim:{self._job.job_id}"
        if await self._redis.hexists(key, "until"):
            await self._redis.hset(key, "until", "0")
        self._lapsed = True

    def copy(self, sequence: int, replay: int, doubtful: bool) -> JobRequested:
        """One of two messages that an attempt has."""
        progress = UploadProgress(step="look", sequence=sequence)
        attempt = (sequence + 1) // 2
        return self._job.model_copy(
            update={"attempt": attempt, "progress": progress, "replay": replay, "doubtful": doubtful}
        )


def _plain(claim: Claim) -> Claim:
    """A claim without what no two sides can agree on."""
    if isinstance(claim, Held):
        return Held(0.0)
    return replace(claim, owner="") if isinstance(claim, Taken) else claim


Step = Callable[[_Walk, JobRequested], Awaitable[None]]
STEPS: tuple[Step, ...] = (
    _Walk.take,
    _Walk.take,
    _Walk.take,
    _Walk.renew,
    _Walk.complete,
    _Walk.fail,
    _Walk.give_up_job,
    _Walk.give_up_attempt,
    _Walk.tell,
    _Walk.lapse,
    _Walk.lapse,
)
COPIES = st.tuples(st.integers(1, 4), st.integers(0, 2), st.booleans())


async def _walk(redis: Redis, told: list[tuple[Step, tuple[int, int, bool]]]) -> None:
    walk = _Walk(redis)
    for step, copy in told:
        await step(walk, walk.copy(*copy))


def test_whatever_copies_come_a_run_has_one_outcome_told_before_the_next_and_no_call_after_it(
    redis_settings: RedisSettings,
) -> None:
    @settings(max_examples=150, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(st.tuples(st.sampled_from(STEPS), COPIES), max_size=20))
    def try_out(told: list[tuple[Step, tuple[int, int, bool]]]) -> None:
        runner.run(_walk(redis, told))

    with asyncio.Runner() as runner:
        redis = make_redis(redis_settings)
        try:
            try_out()
        finally:
            runner.run(redis.aclose())
