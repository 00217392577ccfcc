"""What the use cases need from outside."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from flickrhub_common.contracts import JobRequested
from flickrhub_gateway.limits import Bucket, Standing
from flickrhub_gateway.models import Authorisation, Job, JobChange, JobReport, State
from flickrhub_gateway.uploads import Received, Upload


class Jobs(Protocol):
    """The store of jobs. Every call raises Unavailable when the store is away."""

    async def add(self, job: Job) -> None:
        """Store an accepted job; when this returns it is durable."""
        ...

    async def find(self, job_id: str, *, user_id: str) -> JobReport | None:
        """What is known of this user's job; None if there is none, or it is another user's."""
        ...

    async def take_back(self, job_id: str, *, now: datetime, remembered_until: datetime) -> bool:
        """See to it that this job never runs, be it stored or still on its way; False if it is under way already."""
        ...

    async def states(self, job_ids: Collection[str]) -> dict[str, State | None]:
        """The states of those of these jobs that there are; None of one that was taken back."""
        ...

    async def apply(self, change: JobChange) -> None:
        """Change a job in one step if its present state allows it; when this returns it is durable."""
        ...

    async def mark_published(self, job_ids: Collection[str], *, at: datetime) -> None:
        """Note that the broker has confirmed these jobs; one that has moved on needs no note."""
        ...

    async def claim_unpublished(self, *, created_before: datetime, now: datetime, limit: int) -> list[Job]:
        """Take, oldest first, jobs that the broker never confirmed, for a while in which no other sweeper gets them."""
        ...

    async def oldest_unpublished(self) -> datetime | None:
        """When the oldest job was accepted that isn't marked as published and hasn't moved on, if there is one."""
        ...

    async def count_open(self, user_id: str, *, most: int) -> int:
        """How many of a user's jobs haven't ended; it counts no further than ``most``."""
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


class Meter:
    """What operators see counted; this one counts nothing. No method waits or raises."""

    def accepted(self, job: Job) -> None:
        """A job was stored."""


UNMETERED = Meter()


class Publisher(Protocol):
    """Takes accepted jobs off a request's hands."""

    def hand_over(self, job: Job) -> None:
        """See to it that a stored job is published soon; never waits, never raises."""
        ...


class Uploads(Protocol):
    """The records of photos in the photo store. Every call raises Unavailable when Mongo is away.

    Whatever decides from a record names it as it was seen: another gateway may have changed it meanwhile.
    """

    async def add(self, upload: Upload) -> None:
        """Store a new record; when this returns it is durable."""
        ...

    async def keep(self, ref: str, *, until: datetime) -> None:
        """Have a photo that is still coming in expire later."""
        ...

    async def finish(self, received: Received, *, user_id: str) -> bool:
        """Note that the whole photo is here and whose it is; False if its record has gone meanwhile."""
        ...

    async def find(self, ref: str) -> Upload | None:
        """A record."""
        ...

    async def claim(
        self, ref: str, *, user_id: str, held_by: str | None, job_id: str, now: datetime, until: datetime
    ) -> Upload | None:
        """Have a job use this user's photo, if ``held_by`` has it and it hasn't expired; in one step, so one wins."""
        ...

    async def of_job(self, job_id: str) -> list[Upload]:
        """The photos a job has claimed."""
        ...

    async def expired(self, *, now: datetime, limit: int) -> list[Upload]:
        """Records past their time, oldest first."""
        ...

    async def extend(self, seen: Upload, *, until: datetime, job_id: str | None) -> bool:
        """Have an unchanged record expire later, and belong to this job, or to none; whether it was unchanged."""
        ...

    async def doom(self, seen: Upload, *, until: datetime) -> bool:
        """Have nobody claim an unchanged record any more; it is looked at again at ``until``. Whether it was so."""
        ...

    async def remove(self, ref: str) -> None:
        """Forget a record; harmless when there is none."""
        ...


class RequestCounts(Protocol):
    """Where requests are counted."""

    async def take(self, buckets: Sequence[Bucket]) -> Standing:
        """Count one request in all these buckets, or in none if one has no room. May raise Unavailable."""
        ...
