"""Dead letters as services, the edge and the broker itself leave them."""

from datetime import UTC, datetime
from typing import Any

from flickrhub_common.contracts import CallbackDue, JobRequested, Message, Target
from flickrhub_common.topology import CALLBACK_DLQ, FLICKR_DLQ
from flickrhub_dlq.letters import Letter

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
JOB_ID = "5d0f1cf7-7f70-4d39-a2f6-3f3b3c0b7f10"
TRACE_ID = "0af76519-16cd-43dd-8448-eb211c80319c"


def a_job(**given: Any) -> JobRequested:
    """A job as it failed."""
    fields: dict[str, Any] = {
        "job_id": JOB_ID,
        "user_id": "user-1",
        "target": Target.REST,
        "method": "flickr.photos.addTags",
        "params": {"photo_id": "1", "tags": "private-value"},
        "trace_id": TRACE_ID,
        "attempt": 3,
        **given,
    }
    return JobRequested(**fields)


def an_end(message: Message, *, position: int = 1, code: str = "FLICKR_105", **headers: Any) -> Letter:
    """The dead letter of a job that failed, or of a delivery that was given up."""
    told: dict[str, Any] = {
        "reason": "Gave up after 3 attempts.",
        "attempts": 3,
        "trace_id": TRACE_ID,
        "job_id": JOB_ID,
    }
    if isinstance(message, JobRequested):
        told |= {"code": code, "queue": f"flickr_{message.target.value}"}
    return Letter(
        position=position,
        dead_letter_queue=FLICKR_DLQ if isinstance(message, JobRequested) else CALLBACK_DLQ,
        type=message.name,
        body=message.to_bytes(),
        headers={**told, **headers},
        correlation_id=JOB_ID,
        timestamp=NOW,
        tag=position,
    )


def unhandled(body: bytes, *, reason: str, queue: str | None, type_: str | None = None, **headers: Any) -> Letter:
    """The dead letter of a message that nobody could handle."""
    told = {"reason": reason, **({"queue": queue} if queue else {}), **headers}
    return Letter(position=1, dead_letter_queue=FLICKR_DLQ, type=type_, body=body, headers=told, tag=1)


def a_due(**given: Any) -> CallbackDue:
    """The note of a delivery that was given up."""
    return CallbackDue(**{"job_id": JOB_ID, "attempt": 3, "job_replay": 2, **given})
