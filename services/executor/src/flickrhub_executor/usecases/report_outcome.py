"""How a job ended, told to everybody: stored with the claim, buried if it failed, published, in this order.

Events may be repeated, readers take them once; a dead letter may not, so that it was buried is stored on its own.
"""

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from flickrhub_common.clock import Clock
from flickrhub_common.contracts import (
    Failure,
    JobCompleted,
    JobFailed,
    JobRequested,
    JobRetrying,
    TokenRejected,
    queue_of,
)
from flickrhub_common.logs import logger
from flickrhub_common.topology import FLICKR_DLQ
from flickrhub_executor.errors import CallFailed
from flickrhub_executor.models import CachedReply, Concluded, Credentials, Held, Outcome
from flickrhub_executor.ports import UNMETERED, Claims, Messages, Meter, Tokens
from flickrhub_executor.usecases.hold_outcome import AT_ONCE, Hold

log = logger(__name__)


class ReportOutcome:
    """Makes an outcome final and known. Safe to repeat: the first outcome stored is the one that counts.

    ``hold`` is how long what Flickr has answered is kept in hand, here and by all who work beside it.
    """

    def __init__(
        self,
        *,
        messages: Messages,
        claims: Claims,
        tokens: Tokens,
        clock: Clock,
        meter: Meter = UNMETERED,
        hold: Hold = AT_ONCE,
    ) -> None:
        self.hold = hold
        self._meter = meter
        self._messages = messages
        self._claims = claims
        self._tokens = tokens
        self._clock = clock

    async def __call__(self, job: JobRequested, outcome: Outcome, *, owner: str = "", interrupts: bool = False) -> None:
        """Returns when the outcome's event is confirmed. Raises Unavailable; then it is reported on redelivery.

        ``owner`` of the claim under which the outcome was learnt from Flickr: nobody else has it, so it is held.
        ``interrupts``: the outcome comes from outside, whoever has a claim on the job may be in the middle of its call.
        """
        conclude = partial(self._claims.conclude, job, outcome, owner=owner, interrupts=interrupts)
        claim = await (self.hold(conclude) if owner else conclude())
        if isinstance(claim, Held):
            await self.look_again(job, seconds=claim.seconds)
            return
        if claim.outcome is outcome:  # stored just now, and not found there
            self._meter.ended(job, outcome)
        await self.tell(job, claim)

    async def tell(self, job: JobRequested, claim: Concluded) -> None:
        """Tell what isn't told yet of an outcome that is stored. Raises Unavailable.

        It may be that of an earlier run than this message's, which has to come again then.
        """
        outcome = claim.outcome
        if outcome is None:
            return
        if isinstance(outcome, JobFailed) and not claim.buried:
            await self._bury(job.model_copy(update={"doubtful": job.doubtful or claim.doubtful}), outcome)
            await self._claims.mark_buried(job.job_id, replay=job.replay)
        await self._messages.send_event(outcome)
        await self._claims.mark_reported(job.job_id, replay=outcome.replay)
        log.info(
            "job_ended", outcome=outcome.name, user_id=job.user_id, method=job.method, attempts=outcome.attempts_made
        )
        if outcome.replay < job.replay:
            await self.look_again(job, seconds=0.0)

    async def look_again(self, job: JobRequested, *, seconds: float) -> None:
        """Put this copy of the message aside until the one at work has finished or died. Raises Unavailable."""
        again = job.model_copy(update={"reservation": None})
        await self._messages.send_later(again, queue=queue_of(job.target), seconds=seconds)

    async def token_dead(self, job: JobRequested, credentials: Credentials, failure: CallFailed) -> None:
        """Tell auth that Flickr refuses this token, and stop using it here."""
        self._tokens.forget(job.user_id)
        self._meter.token_rejected()
        rejected = TokenRejected(
            user_id=job.user_id,
            fingerprint=credentials.fingerprint,
            reason=failure.message,
            at=self._clock.now(),
        )
        await self._messages.send_event(rejected)

    async def _bury(self, job: JobRequested, outcome: JobFailed) -> None:
        headers = {
            "reason": outcome.failure.message,
            "code": outcome.failure.code or "",
            "attempts": outcome.attempts_made,
            "trace_id": outcome.trace_id,
            "job_id": job.job_id,
            "queue": queue_of(job.target),
            "replays": job.replay,
        }
        await self._messages.send_dead(job, queue=FLICKR_DLQ, headers=headers)


def completed(
    job: JobRequested,
    answer: CachedReply,
    max_attempts: int,
    now: datetime,
    *,
    from_cache: bool = False,
    duration_ms: int = 0,
) -> JobCompleted:
    """The event of a job that has Flickr's answer."""
    return JobCompleted(
        **_of(job, max_attempts, now),
        from_cache=from_cache,
        flickr=answer.flickr,
        http_status=answer.status,
        duration_ms=duration_ms,
        callback=job.callback,
        meta=job.meta,
    )


def failed(job: JobRequested, failure: CallFailed, max_attempts: int, now: datetime) -> JobFailed:
    """The event of a job that failed for good."""
    return JobFailed(
        **_of(job, max_attempts, now),
        failure=Failure(message=failure.message, code=failure.code, chain=failure.chain()),
        callback=job.callback,
        meta=job.meta,
    )


def retrying(job: JobRequested, failure: CallFailed, max_attempts: int, now: datetime, wait: float) -> JobRetrying:
    """The event of an attempt that will be repeated after ``wait`` seconds."""
    return JobRetrying(
        **_of(job, max_attempts, now),
        reason=failure.message,
        next_attempt_at=now + timedelta(seconds=wait),
    )


def _of(job: JobRequested, max_attempts: int, now: datetime) -> dict[str, Any]:
    """What every event of a job says; looking for a lost photo after the last attempt isn't one more."""
    return {
        "job_id": job.job_id,
        "user_id": job.user_id,
        "target": job.target,
        "trace_id": job.trace_id,
        "attempts_made": min(job.attempt, max_attempts),
        "max_attempts": max_attempts,
        "at": now,
        "accepted_at": job.accepted_at,
        "replay": job.replay,
    }
