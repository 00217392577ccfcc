"""What the replay of a letter is: decided here as a value, carried out elsewhere (docs/adr/0019-replays.md).

The end of a job or a delivery begins a new run of it, with the next number: that is how copies, and whatever is left of
older runs, are told apart. Any other letter is a message that nobody could handle: it goes back to its queue as it is.
"""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flickrhub_common.contracts import CallbackDue, JobReplayed, JobRequested, Message, Target
from flickrhub_common.settling import CRASHES_HEADER, WAITS_HEADER, Headers, own_headers
from flickrhub_common.topology import EVENTS_EXCHANGE, JOBS_EXCHANGE, NOTIFIER_CALLBACKS_DUE, WORK_QUEUES
from flickrhub_dlq.letters import Letter

OUTCOME_UNKNOWN = "ERR_OUTCOME_UNKNOWN"
NOT_PROCESSED = "ERR_UPLOAD_NOT_PROCESSED"
_NOT_KEPT = {"reason", "queue", WAITS_HEADER, CRASHES_HEADER}
_TRACE = ("traceparent", "tracestate")


@dataclass(frozen=True)
class Post:
    """A message to send; to the default exchange, ``key`` is a queue."""

    exchange: str
    key: str
    body: bytes = field(repr=False)
    type: str | None
    correlation_id: str | None
    headers: Headers = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Replay:
    """What has to be sent, in this order, before the letter may go."""

    posts: tuple[Post, ...]


@dataclass(frozen=True)
class Refusal:
    """Why a letter stays."""

    why: str


def plan_replay(letter: Letter, *, even_if_unknown: bool, now: datetime) -> Replay | Refusal:
    """Decide how a letter is replayed. ``even_if_unknown``: also a call that Flickr may have done already."""
    message = letter.message
    try:
        if letter.is_an_end and isinstance(message, JobRequested):
            return _job(letter, message, even_if_unknown=even_if_unknown, now=now)
        if letter.is_an_end and isinstance(message, CallbackDue):
            return _callback(letter, message)
    except ValueError:  # numbers that JSON doesn't have
        return Refusal("it can't be written as JSON again")
    return _put_back(letter)


def _job(letter: Letter, job: JobRequested, *, even_if_unknown: bool, now: datetime) -> Replay | Refusal:
    unknown = letter.code == OUTCOME_UNKNOWN
    if unknown and job.target is Target.REST and not even_if_unknown:
        return Refusal("Flickr may have done this call, and would do it twice: look there, then --even-if-unknown")
    change: dict[str, Any] = {
        "attempt": 1,
        "reservation": None,
        "replay": job.replay + 1,
        "doubtful": _doubtful(letter, job),
        "progress": _first_step(letter, job),
    }
    ref = job.params.get("photo_ref")
    event = JobReplayed(
        job_id=job.job_id,
        user_id=job.user_id,
        target=job.target,
        trace_id=job.trace_id,
        photo_ref=ref if isinstance(ref, str) and job.target is not Target.REST else None,
        at=now,
        replay=job.replay + 1,
    )
    announced = Post(EVENTS_EXCHANGE, event.name, event.to_bytes(), event.name, job.job_id, _trace(letter))
    return Replay((announced, Post(JOBS_EXCHANGE, job.target.value, **_changed(letter, job, change))))


def _doubtful(letter: Letter, job: JobRequested) -> bool:
    """Whether the new run starts knowing that Flickr may have done the call; the operator may say it never mind."""
    unknown = letter.code == OUTCOME_UNKNOWN
    return not unknown and job.doubtful if job.target is Target.REST else unknown or job.doubtful


def _first_step(letter: Letter, job: JobRequested) -> dict[str, Any] | None:
    """An upload that may be at Flickr is asked for before it is sent: by its ticket, or by its tag (ADR 15).

    A replacement is simply sent again: the same bytes on the same photo change nothing more.
    """
    if job.target is not Target.UPLOAD:
        return None
    progress = job.progress
    if progress is not None and progress.step == "poll" and letter.code != NOT_PROCESSED:
        return {"step": "poll", "sequence": 1, "ticket": progress.ticket, "dedup": progress.dedup}
    looked_for = progress is not None and progress.step == "look"
    return {"step": "look", "sequence": 1} if looked_for or _doubtful(letter, job) else None


def _callback(letter: Letter, due: CallbackDue) -> Replay:
    change = {"attempt": 1, "replay": due.replay + 1}
    return Replay((Post("", NOTIFIER_CALLBACKS_DUE, **_changed(letter, due, change)),))


def _changed(letter: Letter, message: CallbackDue | JobRequested, change: dict[str, Any]) -> dict[str, Any]:
    """The message with some fields changed, and those kept that this version doesn't know."""
    fields = json.loads(letter.body) | change
    body = json.dumps(fields, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    _check(type(message), body)
    return {"body": body, "type": message.name, "correlation_id": message.job_id, "headers": _trace(letter)}


def _check(kind: type[Message], body: bytes) -> None:
    """Raises ValueError unless the message can be read again."""
    kind.model_validate_json(body)


def _put_back(letter: Letter) -> Replay | Refusal:
    if letter.queue not in WORK_QUEUES:
        return Refusal("it doesn't say which queue it came from")
    kept = {name: value for name, value in own_headers(letter.headers).items() if name not in _NOT_KEPT}
    headers = {**kept, "replays": letter.replays + 1}
    return Replay((Post("", letter.queue, letter.body, letter.type, letter.correlation_id, headers),))


def _trace(letter: Letter) -> Headers:
    kept = own_headers(letter.headers)
    return {name: kept[name] for name in _TRACE if isinstance(kept.get(name), str)}
