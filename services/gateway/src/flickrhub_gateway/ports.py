"""What the use cases need from outside."""

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from flickrhub_common.contracts import JobRequested
from flickrhub_gateway.models import Authorisation, Job, JobChange, JobReport


class Jobs(Protocol):
    """The store of jobs. Every call raises Unavailable when the store is away."""

    async def add(self, job: Job) -> None:
        """Store an accepted job; when this returns it is durable."""
        ...

    async def find(self, job_id: str, *, user_id: str) -> JobReport | None:
        """What is known of this user's job; None if there is none, or it is another user's."""
        ...

    async def apply(self, change: JobChange) -> bool:
        """Change a job in one step if its present state allows it; whether it did."""
        ...

    async def mark_published(self, job_ids: Collection[str], *, at: datetime) -> None:
        """Note that the broker has confirmed these jobs."""
        ...

    async def claim_unpublished(self, *, created_before: datetime, now: datetime, limit: int) -> list[Job]:
        """Take, oldest first, jobs that the broker never confirmed, for a while in which no other sweeper gets them."""
        ...

    async def postpone(self, job_ids: Collection[str], *, until: datetime) -> None:
        """Give claimed jobs back to the sweeps after this moment."""
        ...


class JobSender(Protocol):
    """The way to the executors."""

    async def send_job(self, job: JobRequested) -> None:
        """Put a job into its target's queue. Raises Unavailable unless the broker confirms it."""
        ...


class Auth(Protocol):
    """The auth service. Every call raises Unavailable when it is away, or the error it answered with."""

    async def start(self, *, api_key: str, api_secret: str) -> Authorisation:
        """Begin the OAuth walk for an app."""
        ...

    async def complete(self, *, oauth_token: str, oauth_verifier: str, state: str | None) -> str:
        """End the OAuth walk; the connection's user_id."""
        ...

    async def knows(self, user_id: str) -> bool:
        """Whether there is a usable connection."""
        ...

    async def ping(self) -> None:
        """Raise Unavailable unless auth lives."""
        ...


class Publisher(Protocol):
    """Takes accepted jobs off a request's hands."""

    def hand_over(self, job: Job) -> None:
        """See to it that a stored job is published soon; never waits, never raises."""
        ...
