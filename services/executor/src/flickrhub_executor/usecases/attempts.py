"""What every message of a job goes through, whatever its target: token, turn, claim; and how it goes on from there."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from flickrhub_common.clock import Clock
from flickrhub_common.contracts import JobRequested, queue_of
from flickrhub_common.errors import TokenNotFound
from flickrhub_common.logs import logger
from flickrhub_common.retry import Backoff
from flickrhub_executor.errors import AttemptsExhausted, CallFailed, PermanentFailure
from flickrhub_executor.models import CachedReply, Concluded, Credentials, Held, Superseded, Taken, WaitForTurn
from flickrhub_executor.ports import UNMETERED, Claims, Limits, Messages, Meter, Tokens
from flickrhub_executor.usecases.give_up_job import GiveUpJob
from flickrhub_executor.usecases.report_outcome import ReportOutcome, completed, failed, retrying

log = logger(__name__)

MOST_DEATHS = 5
"""Executors that an attempt may end by dying or crashing; the same as a message's crashes elsewhere."""


@dataclass(frozen=True)
class RetryRules:
    """How often a job is tried and how long is waited in between."""

    max_attempts: int
    backoff: Backoff


class Attempts:
    """Makes sure that a call may be made now, and by this copy of the message; every method raises Unavailable."""

    def __init__(
        self,
        *,
        messages: Messages,
        tokens: Tokens,
        limits: Limits,
        claims: Claims,
        report: ReportOutcome,
        rules: RetryRules,
        clock: Clock,
        meter: Meter = UNMETERED,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._meter = meter
        self._messages = messages
        self._tokens = tokens
        self._limits = limits
        self._claims = claims
        self._report = report
        self._give_up = GiveUpJob(report=report, max_attempts=rules.max_attempts, clock=clock)
        self._rules = rules
        self._clock = clock
        self._pause = pause

    async def lend(self, job: JobRequested) -> Credentials:
        """The token to sign with. Raises PermanentFailure when the account isn't connected."""
        try:
            return await self._tokens.lend(job.user_id)
        except TokenNotFound as error:
            raise PermanentFailure("The Flickr account isn't connected.", code=error.code) from error

    async def has_turn(self, job: JobRequested, credentials: Credentials) -> bool:
        """Whether the call may be made now; if not, the message has been sent to wait for its turn."""
        turn = await self._limits.admit(user_id=job.user_id, api_key=credentials.api_key, reservation=job.reservation)
        if isinstance(turn, WaitForTurn):
            waiting = job.model_copy(update={"reservation": turn.reservation})
            await self.send_later(waiting, seconds=turn.seconds)
            self._meter.waits(turn.reservation.limit if turn.reservation else "", seconds=turn.seconds)
            return False
        if turn.seconds:
            await self._pause(turn.seconds)
        return True

    async def take(self, job: JobRequested) -> Taken | None:
        """The claim, if this copy of the message is the one to act; None if what it needs has been done.

        A job at which executors died again and again isn't tried any more: it fails.
        """
        claim = await self._claims.take(job)
        match claim:
            case Taken(deaths=deaths) if deaths >= MOST_DEATHS:
                log.error("job_given_up", deaths=deaths)
                await self._give_up(job)
            case Taken():
                return claim
            case Concluded():
                await self._report.tell(job, claim)
            case Held(seconds):
                await self._report.look_again(job, seconds=seconds)
            case Superseded(retry, due):
                if retry is not None:
                    await self.send_later(retry, seconds=max(0.0, due - self._clock.now().timestamp()))
        return None

    async def go_on(
        self,
        job: JobRequested,
        following: JobRequested,
        *,
        owner: str,
        seconds: float,
        failure: CallFailed | None = None,
    ) -> None:
        """Have ``following`` come after ``seconds``, unless another copy of the message has gone further.

        With a ``failure`` everybody is told that the attempt is repeated because of it.
        """
        now = self._clock.now()
        due = now.timestamp() + seconds
        if not await self._report.hold(partial(self._claims.give_up_attempt, job, following, due=due, owner=owner)):
            return
        if failure is not None:
            self._meter.retries(job)
            await self._messages.send_event(retrying(job, failure, self._rules.max_attempts, now, seconds))
        await self.send_later(following, seconds=seconds)
        if failure is not None:
            log.info("job_retrying", attempt=job.attempt, reason=failure.message, seconds=round(seconds, 3))

    async def send_later(self, job: JobRequested, *, seconds: float) -> None:
        """Send a message of the job through the delay ladder."""
        await self._messages.send_later(job, queue=queue_of(job.target), seconds=seconds)

    async def complete(
        self,
        job: JobRequested,
        answer: CachedReply,
        *,
        owner: str = "",
        from_cache: bool = False,
        duration_ms: int = 0,
    ) -> None:
        """End the job with Flickr's answer; with the claim's ``owner`` it is held until it is stored."""
        outcome = completed(
            job,
            answer,
            self._rules.max_attempts,
            self._clock.now(),
            from_cache=from_cache,
            duration_ms=duration_ms,
        )
        await self._report(job, outcome, owner=owner)

    async def fail(self, job: JobRequested, failure: CallFailed, *, owner: str = "") -> None:
        """End the job with the reason why it failed.

        With the claim's ``owner`` it is held until it is stored, unless another has taken the job: it may yet succeed.
        """
        await self._report(job, failed(job, failure, self._rules.max_attempts, self._clock.now()), owner=owner)


def exhausted(last: CallFailed, attempts: int) -> AttemptsExhausted:
    """The failure of a job whose last attempt failed too."""
    times = "1 attempt" if attempts == 1 else f"{attempts} attempts"
    outline = f"Gave up after {times}"
    error = AttemptsExhausted(f"{outline}: {last.message}", code=last.code, outline=outline)
    error.__cause__ = last
    return error
