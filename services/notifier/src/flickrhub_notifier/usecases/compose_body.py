"""The body of a callback (contract, section 4): made once, sent as it is by every attempt."""

from datetime import datetime

from flickrhub_common.clock import iso
from flickrhub_common.contracts import JobCompleted, JobFailed, queue_of
from flickrhub_common.json_text import dump


def compose_body(event: JobCompleted | JobFailed, *, now: datetime) -> bytes:
    """Compact JSON, UTF-8 unescaped, keys in the contract's order; Flickr's reply goes in as the text it is.

    Its numbers and their spelling would not all survive being parsed and written again.
    """
    error: dict[str, str | None] | None = None
    state, result, from_cache = "failed", "null", False
    if isinstance(event, JobCompleted):
        state, result, from_cache = "completed", event.flickr, event.from_cache
    else:
        error = {"message": event.failure.message, "code": event.failure.code}
    before = dump({"job_id": event.job_id, "user_id": event.user_id, "queue": queue_of(event.target), "state": state})
    after = dump(
        {
            "error": error,
            "from_cache": from_cache,
            "attempts_made": event.attempts_made,
            "max_attempts": event.max_attempts,
            "timestamp": iso(now),
            "trace_id": event.trace_id,
            "meta": event.meta,
        }
    )
    return f'{before[:-1]},"result":{result},{after[1:]}'.encode()
