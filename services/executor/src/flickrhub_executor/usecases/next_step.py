"""Which message of an upload follows which, and when: decided here as values, sent elsewhere.

send ──▶ look, look, … ──▶ send again       an answer was lost: look before anything is sent again
send ──▶ poll, poll, …                      Flickr gave a ticket
send ──▶ send                               nothing was stored: tried again

``attempt`` counts sends and failures of the photo's source; looks and polls are part of the attempt they belong to, a
look of the one that begins if nothing is found. When no attempt is left, it is one beyond the last: looked for it is
all the same. ``sequence`` numbers all messages of a job.
"""

from dataclasses import dataclass, replace
from typing import Any

from flickrhub_common.contracts import JobRequested, Target, UploadProgress
from flickrhub_executor.usecases.attempts import RetryRules

LONGEST_WAIT_SECONDS = 300.0
LAST_POLL_SECONDS = 24 * 3600.0
MAX_FAILED_QUESTIONS = 20
"""With waits from ASK_AGAIN_SECONDS up to LONGEST_WAIT_SECONDS that is about an hour."""
ASK_AGAIN_SECONDS = 1.0
PUT_OFF_SECONDS = 5.0
ASYNC_LOOKS = 4
"""How often each wait for a look is taken when Flickr works on the photo behind our backs."""


@dataclass(frozen=True)
class UploadRules(RetryRules):
    """``looks`` are the waits before each look, in seconds; ``timeout_seconds`` bounds a whole send."""

    looks: tuple[float, ...]
    timeout_seconds: float


@dataclass(frozen=True)
class Next:
    """The message that follows, and in how many seconds."""

    job: JobRequested
    seconds: float


def progress_of(job: JobRequested) -> UploadProgress:
    """How far it has come; the gateway's message says nothing of it."""
    return job.progress or UploadProgress(sequence=job.attempt)


def after_death(job: JobRequested) -> JobRequested:
    """The same message, taken over from an executor that died: of an upload, it may be the photo that is looked for."""
    if job.target is not Target.UPLOAD or progress_of(job).step != "send":
        return job
    look = progress_of(job).model_copy(update={"step": "look", "asked": 0, "failed": 0})
    return job.model_copy(update={"progress": look, "doubtful": True})


def after_loss(job: JobRequested, rules: UploadRules, *, asked: float | None) -> Next:
    """The first look, after the answer of an attempt was lost; ``asked`` is the wait that Flickr asked for."""
    wait = max(rules.looks[0], min(asked or 0.0, rules.backoff.longest_ask))
    look = _following(job, step="look", asked=0, failed=0, ticket=None)
    return Next(look.model_copy(update={"attempt": job.attempt + 1, "doubtful": True}), wait)


def after_untold_success(job: JobRequested) -> Next:
    """A look for the photo that is there, when Redis or RabbitMQ took no note of it."""
    look = _following(job, step="look", asked=0, failed=0)
    return Next(look.model_copy(update={"doubtful": True}), PUT_OFF_SECONDS)


def after_failure(job: JobRequested, rules: UploadRules, *, asked: float | None, chance: float) -> Next:
    """The next attempt, after one that stored nothing for certain."""
    wait = rules.backoff.wait(failed_attempts=job.attempt, chance=chance, asked=asked)
    return Next(_following(job, step="send", asked=0, failed=0).model_copy(update={"attempt": job.attempt + 1}), wait)


def put_off(job: JobRequested) -> Next:
    """The same again later, and later each time, as each time takes a turn: something of ours was away."""
    failed = progress_of(job).failed
    return Next(_following(job, failed=failed + 1), min(PUT_OFF_SECONDS * 2.0 ** min(failed, 32), LONGEST_WAIT_SECONDS))


def without_dedup(job: JobRequested) -> Next:
    """The same photo again, at once, though Flickr knows one like it, which its owner deleted."""
    return Next(_following(job, dedup=False, failed=0), 0.0)


def after_ticket(job: JobRequested, ticket: str) -> Next:
    """The first poll."""
    return Next(_following(job, step="poll", asked=0, failed=0, ticket=ticket), _poll_wait(0))


def after_pending(job: JobRequested) -> Next | None:
    """The next poll; None after a day."""
    asked = progress_of(job).asked + 1
    if sum(_poll_wait(number) for number in range(asked + 1)) > LAST_POLL_SECONDS:
        return None
    return Next(_following(job, asked=asked, failed=0), _poll_wait(asked))


def after_not_found(job: JobRequested, rules: UploadRules) -> Next | None:
    """The next look; after the last one the photo is sent again, if an attempt is left, else None."""
    asked, waits = progress_of(job).asked + 1, _look_waits(job, rules)
    if asked < len(waits):
        return Next(_following(job, asked=asked, failed=0), waits[asked])
    if job.attempt > rules.max_attempts:
        return None
    return Next(_following(job, step="send", asked=0, failed=0), 0.0)


def after_failed_question(job: JobRequested, rules: UploadRules, *, asked: float | None, chance: float) -> Next | None:
    """The same question again, after a look or poll that wasn't answered; None when there were too many of these."""
    failed = progress_of(job).failed + 1
    if failed >= MAX_FAILED_QUESTIONS:
        return None
    backoff = replace(rules.backoff, first=max(rules.backoff.first, ASK_AGAIN_SECONDS), cap=LONGEST_WAIT_SECONDS)
    return Next(_following(job, failed=failed), backoff.wait(failed_attempts=failed, chance=chance, asked=asked))


def _following(job: JobRequested, **changed: Any) -> JobRequested:
    now = progress_of(job)
    progress = now.model_copy(update={**changed, "sequence": now.sequence + 1})
    return job.model_copy(update={"reservation": None, "progress": progress})


def _look_waits(job: JobRequested, rules: UploadRules) -> tuple[float, ...]:
    times = ASYNC_LOOKS if job.params.get("async") == "1" else 1
    return tuple(wait for wait in rules.looks for _ in range(times))


def _poll_wait(asked: int) -> float:
    return min(2.0 ** min(asked, 32), LONGEST_WAIT_SECONDS)
