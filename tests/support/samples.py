"""One of each message, for tests to which its content is of no matter."""

import uuid
from datetime import UTC, datetime
from typing import Any

from flickrhub_common.contracts import (
    CallbackDue,
    Failure,
    JobCompleted,
    JobFailed,
    JobRequested,
    JobRetrying,
    Target,
    TokenRejected,
    TokenReplaced,
    TokenRevoked,
)

MOMENT = datetime(2026, 1, 1, 12, tzinfo=UTC)


def a_job(job_id: str | None = None, *, target: Target = Target.REST, **more: Any) -> JobRequested:
    """A job for an executor."""
    return JobRequested(
        job_id=job_id or str(uuid.uuid4()),
        user_id="user-1",
        target=target,
        method="flickr.test.echo",
        trace_id=str(uuid.uuid4()),
        **more,
    )


def _of_job(job_id: str | None) -> dict[str, Any]:
    return {
        "job_id": job_id or str(uuid.uuid4()),
        "user_id": "user-1",
        "target": Target.REST,
        "trace_id": str(uuid.uuid4()),
        "attempts_made": 1,
        "max_attempts": 3,
        "at": MOMENT,
    }


def a_completion(job_id: str | None = None) -> JobCompleted:
    """The event of a job that is done."""
    return JobCompleted(**_of_job(job_id), from_cache=False, flickr='{"stat":"ok"}', http_status=200, duration_ms=12)


def a_failure(job_id: str | None = None) -> JobFailed:
    """The event of a job that failed for good."""
    return JobFailed(**_of_job(job_id), failure=Failure(message="Photo not found.", code="FLICKR_1"))


def a_retry(job_id: str | None = None) -> JobRetrying:
    """The event of an attempt that will be repeated."""
    return JobRetrying(**_of_job(job_id), reason="Flickr answered 503.", next_attempt_at=MOMENT)


def a_due_callback(job_id: str | None = None) -> CallbackDue:
    """The notifier's note to itself."""
    return CallbackDue(job_id=job_id or str(uuid.uuid4()), attempt=2)


def a_rejection() -> TokenRejected:
    """The event of a token that Flickr refused."""
    return TokenRejected(user_id="user-1", fingerprint="0123456789abcdef", reason="98: invalid token", at=MOMENT)


def a_revocation(user_id: str = "user-1") -> TokenRevoked:
    """The event of a connection that is no longer usable."""
    return TokenRevoked(user_id=user_id, reason="98: invalid token", at=MOMENT)


def a_replacement(user_id: str = "user-1") -> TokenReplaced:
    """The event of an account that was connected anew."""
    return TokenReplaced(user_id=user_id, at=MOMENT)
