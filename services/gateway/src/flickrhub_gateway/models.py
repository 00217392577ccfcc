"""Jobs as the gateway sees them, and the one table that says how their state may move."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from flickrhub_common.addresses import AddressPolicy
from flickrhub_common.contracts import Callback, Failure, JobCompleted, JobFailed, JobReplayed, JobRetrying, Target
from flickrhub_common.json_text import dump
from flickrhub_gateway.uploads import InlinePhoto

MAX_RESULT_BYTES = 14 * 1024 * 1024
"""Longest reply of Flickr's that is kept: Mongo holds 16 MiB a document, of which the request may be over 1 MiB."""


_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def is_uuid(text: str) -> bool:
    """Whether it is a UUID as the hub writes them, in either case."""
    return _UUID.fullmatch(text) is not None


class State(StrEnum):
    """Where a job is. ``completed`` is final, ``failed`` is for this run: it may be replayed."""

    QUEUED = "queued"
    RETRYING = "retrying"
    COMPLETED = "completed"
    FAILED = "failed"


MOVES: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        State.QUEUED: frozenset({State.RETRYING, State.COMPLETED, State.FAILED}),
        State.RETRYING: frozenset({State.RETRYING, State.COMPLETED, State.FAILED}),
        State.COMPLETED: frozenset(),
        State.FAILED: frozenset(),
    }
)
"""The moves that are allowed, from each state; whatever else an event asks for is late or repeated, and ignored."""


class Run(StrEnum):
    """Which run of a job an event tells of, beside the one that the job is in: each replay is another run."""

    SAME = "same"
    NEWER = "newer"
    OLDER = "older"

    @classmethod
    def of(cls, *, event: int, job: int) -> "Run":
        """By the numbers of both runs."""
        return cls.SAME if event == job else cls.NEWER if event > job else cls.OLDER


OPEN = frozenset(source for source, targets in MOVES.items() if targets)
"""The states of a job that hasn't ended."""


def sources_of(state: State, run: Run = Run.SAME) -> frozenset[State]:
    """The states from which a job may come into this one, by an event of this run.

    A newer run opens a job that failed, whichever of its events comes first. Of an older one only its success counts,
    as long as the job is open: it can't be undone. What has completed stays so.
    """
    if run is Run.NEWER:
        return frozenset(State) - {State.COMPLETED}
    if run is Run.OLDER:
        return OPEN if state is State.COMPLETED else frozenset()
    return frozenset(source for source, targets in MOVES.items() if state in targets)


@dataclass(frozen=True, slots=True)
class AddressPolicies:
    """Which addresses a client may have the hub call: for callbacks, and for photos."""

    callback: AddressPolicy = field(default_factory=AddressPolicy)
    photo: AddressPolicy = field(default_factory=AddressPolicy)

    @classmethod
    def of(cls, context: object) -> "AddressPolicies":
        """What a check was given to go by; without it only public addresses pass."""
        return context if isinstance(context, cls) else cls()


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorisation:
    """The first half of the OAuth walk: where the account's owner goes, and what brings the second half back to it."""

    authorize_url: str
    oauth_token: str = field(repr=False)
    state: str = field(repr=False)
    mode: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """What a client asks for, checked. ``photo`` is the photo_ref it names, or a photo that came with the call."""

    user_id: str
    target: Target
    method: str | None
    params: dict[str, Any]
    callback_url: str | None
    callback_secret: str | None = field(repr=False)
    meta: dict[str, Any] | None
    photo: str | InlinePhoto | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job that was accepted and has to reach its executor.

    ``params`` and ``meta`` are compact JSON text, so that any key and number survives storage. ``trace_headers`` carry
    the trace of the enqueue request.
    """

    id: str
    user_id: str
    target: Target
    method: str | None
    params: str
    meta: str | None
    callback: Callback | None
    trace_id: str
    trace_headers: dict[str, str]
    created_at: datetime

    @property
    def size(self) -> int:
        """About how many bytes it takes in memory."""
        return 1024 + len(self.params) + len(self.meta or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a completed job brought; ``flickr`` is Flickr's reply as JSON text, its values untouched."""

    flickr: str
    from_cache: bool
    http_status: int
    duration_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReport:
    """What a client may read about its job."""

    id: str
    target: Target
    state: State
    attempts: int
    trace_id: str
    result: Result | None
    failure: Failure | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobChange:
    """What one event does to a job, where the table of moves allows it.

    A change to ``retrying`` applies only if ``attempts`` is more than the job has recorded of this run. ``expires_at``
    is None for a job that is kept. ``replay`` is the run that the event tells of.
    """

    job_id: str
    state: State
    attempts: int
    at: datetime
    result: Result | None = None
    failure: Failure | None = None
    retry_reason: str | None = None
    next_attempt_at: datetime | None = None
    expires_at: datetime | None = None
    replay: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How many days an ended job is kept; 0 is for good."""

    completed_days: float
    failed_days: float

    def expiry(self, state: State, now: datetime) -> datetime | None:
        """When a job that ended so may go."""
        days = self.completed_days if state is State.COMPLETED else self.failed_days
        return now + timedelta(days=days) if days else None


def change_of(
    event: JobCompleted | JobFailed | JobRetrying | JobReplayed, *, now: datetime, retention: Retention
) -> JobChange:
    """Decide what an event does to its job."""
    if isinstance(event, JobReplayed):
        return JobChange(job_id=event.job_id, state=State.QUEUED, attempts=0, at=event.at, replay=event.replay)
    if isinstance(event, JobRetrying):
        return JobChange(
            job_id=event.job_id,
            state=State.RETRYING,
            attempts=event.attempts_made,
            at=event.at,
            retry_reason=event.reason,
            next_attempt_at=event.next_attempt_at,
            replay=event.replay,
        )
    outcome = _outcome_of(event)
    state = State.FAILED if isinstance(outcome, Failure) else State.COMPLETED
    return JobChange(
        job_id=event.job_id,
        state=state,
        attempts=event.attempts_made,
        at=event.at,
        result=outcome if isinstance(outcome, Result) else None,
        failure=outcome if isinstance(outcome, Failure) else None,
        expires_at=retention.expiry(state, now),
        replay=event.replay,
    )


def _outcome_of(event: JobCompleted | JobFailed) -> Result | Failure:
    if isinstance(event, JobFailed):
        return event.failure
    size = len(event.flickr.encode())
    if size > MAX_RESULT_BYTES:  # can't be: executors take at most 8 MiB. It must not block the queue if it is.
        message = f"Flickr's reply of {size} bytes is more than the hub can keep."
        return Failure(message=message, code="ERR_PAYLOAD_TOO_LARGE", chain=[f"ResultTooLarge: {message}"])
    return Result(
        flickr=event.flickr,
        from_cache=event.from_cache,
        http_status=event.http_status,
        duration_ms=event.duration_ms,
    )


def returnvalue_of(report: JobReport) -> str:
    """The contract's ``returnvalue`` as JSON text, with Flickr's reply put in as it is; ``null`` without a result."""
    if report.result is None:
        return "null"
    observability = {
        "ok": True,
        "status": report.result.http_status,
        "trace_id": report.trace_id,
        "attempt": report.attempts,
        "duration_ms": report.result.duration_ms,
    }
    return (
        f'{{"from_cache":{dump(report.result.from_cache)},"flickr":{report.result.flickr},'
        f'"observability":{dump(observability)}}}'
    )
