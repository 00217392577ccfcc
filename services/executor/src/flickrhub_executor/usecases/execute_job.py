"""One message of ``flickr_rest``: make the call, or find out why not and what comes next."""

import asyncio
import hashlib
import random
import time
from collections.abc import Awaitable, Callable
from functools import partial

from flickrhub_common.clock import Clock
from flickrhub_common.contracts import JobRequested
from flickrhub_common.errors import Unavailable
from flickrhub_common.json_text import dump
from flickrhub_common.logs import logger
from flickrhub_common.method_classes import is_write
from flickrhub_executor.errors import CallFailed, OutcomeUnknown, PermanentFailure
from flickrhub_executor.methods import NOT_REPEATABLE, is_cacheable
from flickrhub_executor.models import CachedReply, CacheKey, Credentials, FlickrCall, json_params
from flickrhub_executor.ports import UNMETERED, Cache, Claims, Flickr, Limits, Messages, Meter, Tokens
from flickrhub_executor.usecases.attempts import Attempts, RetryRules, exhausted
from flickrhub_executor.usecases.call_and_judge import call_and_judge
from flickrhub_executor.usecases.hold_claim import Lease
from flickrhub_executor.usecases.report_outcome import ReportOutcome

log = logger(__name__)

LEASE_MARGIN_SECONDS = 10.0
"""By how much the lease is longer than a call; so old may a claim be when the call goes out."""


class ExecuteJob:
    """Takes a job as far as it goes now: to its outcome, to its next attempt, or to its turn."""

    def __init__(
        self,
        *,
        messages: Messages,
        tokens: Tokens,
        flickr: Flickr,
        cache: Cache | None,
        limits: Limits,
        claims: Claims,
        report: ReportOutcome,
        rules: RetryRules,
        clock: Clock,
        meter: Meter = UNMETERED,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._claims = claims
        self._monotonic = monotonic
        self._flickr = flickr
        self._cache = cache
        self._report = report
        self._rules = rules
        self._chance = chance
        self._meter = meter
        self._attempts = Attempts(
            messages=messages,
            tokens=tokens,
            limits=limits,
            claims=claims,
            report=report,
            rules=rules,
            clock=clock,
            meter=meter,
            pause=pause,
        )

    async def __call__(self, job: JobRequested) -> None:
        """Returns when what follows is stored and confirmed; Unavailable means that nothing was done yet."""
        if job.method is None:
            failure = PermanentFailure("The job names no method.", code="ERR_INVALID_REQUEST")
            await self._attempts.fail(job, failure)
            return
        try:
            credentials = await self._attempts.lend(job)
        except PermanentFailure as failure:
            await self._without_token(job, job.method, failure)
            return
        await self._with_token(job, job.method, credentials)

    async def _without_token(self, job: JobRequested, method: str, failure: PermanentFailure) -> None:
        """End a job whose account isn't connected, unless somebody is at it, who had its token still."""
        claimed = await self._claim(job, method)
        if claimed is not None:
            await self._attempts.fail(claimed[0], failure)

    async def _with_token(self, job: JobRequested, method: str, credentials: Credentials) -> None:
        key, cached = await self._find_cached(job, method)
        if cached is None and not await self._attempts.has_turn(job, credentials):
            return
        claimed = await self._claim(job, method)
        if claimed is None:
            return
        job, lease = claimed
        if cached is not None:
            await self._attempts.complete(job, cached, from_cache=True)
            return
        await self._attempt(job, method, credentials, key, lease)

    async def _find_cached(self, job: JobRequested, method: str) -> tuple[CacheKey | None, CachedReply | None]:
        if self._cache is None or not is_cacheable(method):
            return None, None
        digest = hashlib.sha256(dump([method, sorted(json_params(job.params))]).encode()).hexdigest()
        key, cached = await self._cache.find(job.user_id, digest)
        self._meter.looked_up(found=cached is not None)
        return key, cached

    async def _claim(self, job: JobRequested, method: str) -> tuple[JobRequested, Lease] | None:
        """The job and its claim, if this copy of the message is the one to act; None if what it needs has been done."""
        began = self._monotonic()
        taken = await self._attempts.take(job)
        if taken is None:
            return None
        if taken.doubtful and is_write(method):
            job = await self._after_death(job)
        if job.doubtful and method in NOT_REPEATABLE:  # a death, or replayed though nobody has looked at Flickr
            await self._attempts.fail(job, _unknown(None))
            return None
        lease = Lease(
            self._claims,
            job,
            owner=taken.owner,
            began=began,
            seconds=LEASE_MARGIN_SECONDS,
            monotonic=self._monotonic,
        )
        return job, lease

    async def _after_death(self, job: JobRequested) -> JobRequested:
        """After a death in the middle of a write: its effect may be there, unseen."""
        if self._cache is not None:
            await self._cache.make_stale(job.user_id)
        return job.model_copy(update={"doubtful": True})

    async def _still_ours(self, job: JobRequested, lease: Lease) -> bool:
        """Whether the call may go out: never by one that slept while another had the job, and told that it ended."""
        while not lease.holds:
            log.warning("claim_old")
            if not await lease.renew():
                await self._report.look_again(job, seconds=LEASE_MARGIN_SECONDS)
                return False
        return True

    async def _attempt(
        self, job: JobRequested, method: str, credentials: Credentials, key: CacheKey | None, lease: Lease
    ) -> None:
        call = FlickrCall(method, "POST" if is_write(method) else "GET", json_params(job.params))
        if not await self._still_ours(job, lease):
            return
        try:
            reply, success = await call_and_judge(self._flickr, call, credentials, self._meter, repeated=job.doubtful)
        except CallFailed as failure:
            await self._failed(job, method, credentials, failure, lease.owner)
            return
        answer = CachedReply(success.flickr, reply.status)
        await self._update_cache(job, method, key, answer)
        await self._attempts.complete(job, answer, owner=lease.owner, duration_ms=reply.duration_ms)

    async def _update_cache(self, job: JobRequested, method: str, key: CacheKey | None, answer: CachedReply) -> None:
        """Keep a read, make reads stale after a write. An answer that can't be kept is an answer all the same."""
        if self._cache is None:
            return
        if is_write(method):
            await self._make_stale(job)
        elif key is not None:
            try:
                await self._cache.keep(key, answer)
            except Unavailable as error:
                log.warning("cache_not_updated", error=str(error))

    async def _make_stale(self, job: JobRequested) -> None:
        """Nobody may read what was there before, after being told of the write: so this waits for Redis, too."""
        if self._cache is not None:
            await self._report.hold(partial(self._cache.make_stale, job.user_id))

    async def _failed(
        self, job: JobRequested, method: str, credentials: Credentials, failure: CallFailed, owner: str
    ) -> None:
        doubtful = failure.doubtful and is_write(method)
        if doubtful:
            await self._make_stale(job)
        if failure.token_dead:
            await self._report.token_dead(job, credentials, failure)
        job = job.model_copy(update={"doubtful": job.doubtful or doubtful})  # a replay has to know, too
        if not failure.retryable:
            await self._attempts.fail(job, failure, owner=owner)
        elif doubtful and method in NOT_REPEATABLE:
            await self._attempts.fail(job, _unknown(failure), owner=owner)
        elif job.attempt >= self._rules.max_attempts:
            await self._attempts.fail(job, exhausted(failure, job.attempt), owner=owner)
        else:
            await self._try_again(job, failure, owner)

    async def _try_again(self, job: JobRequested, failure: CallFailed, owner: str) -> None:
        wait = self._rules.backoff.wait(failed_attempts=job.attempt, chance=self._chance(), asked=failure.retry_after)
        retry = job.model_copy(update={"attempt": job.attempt + 1, "reservation": None})
        await self._attempts.go_on(job, retry, owner=owner, seconds=wait, failure=failure)


def _unknown(cause: CallFailed | None) -> OutcomeUnknown:
    error = OutcomeUnknown(
        "Flickr's answer was lost and repeating this call could do it twice; look at Flickr before you repeat it.",
        code="ERR_OUTCOME_UNKNOWN",
    )
    error.__cause__ = cause
    return error
