"""What the use cases need from outside."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from flickrhub_common.contracts import JobRequested, Message, Reservation
from flickrhub_executor.errors import CallFailed
from flickrhub_executor.models import (
    CachedReply,
    CacheKey,
    Claim,
    Concluded,
    Credentials,
    FlickrCall,
    FlickrReply,
    Go,
    Held,
    Outcome,
    Photo,
    UploadCall,
    WaitForTurn,
)


class Messages(Protocol):
    """The broker. Every method returns when RabbitMQ has confirmed, or raises Unavailable."""

    async def send_event(self, event: Message) -> None:
        """Tell everybody who reads such events."""
        ...

    async def send_later(self, message: Message, *, queue: str, seconds: float) -> None:
        """Deliver after a delay."""
        ...

    async def send_dead(self, message: Message, *, queue: str, headers: dict[str, Any]) -> None:
        """Put among the dead letters."""
        ...


class Tokens(Protocol):
    """Auth, as far as executors know it."""

    async def lend(self, user_id: str) -> Credentials:
        """The connection's token. Raises TokenNotFound or Unavailable."""
        ...

    def forget(self, user_id: str) -> None:
        """Drop what is kept in memory."""
        ...


class Flickr(Protocol):
    """Flickr's REST endpoint."""

    async def call(self, call: FlickrCall, credentials: Credentials) -> FlickrReply:
        """Make one signed call. Raises TransientFailure when no answer came."""
        ...


class Photos(Protocol):
    """Where the bytes of uploads come from."""

    def open(self, params: Mapping[str, Any]) -> AbstractAsyncContextManager[Photo]:
        """The photo that ``photo_url`` or ``photo_ref`` of the params names, ready to be read, not yet looked at.

        Raises TransientFailure or PermanentFailure when it isn't to be had, also from its chunks; and Unavailable.
        """
        ...


class Uploads(Protocol):
    """Flickr's upload endpoint, or its replace endpoint."""

    async def send(self, call: UploadCall, credentials: Credentials, *, before_end: Callable[[], None]) -> FlickrReply:
        """Send one signed upload; ``before_end`` is called before its last bytes go out, and may raise to stop it.

        Raises what the photo's chunks or ``before_end`` raise, as it is; TransientFailure when no answer came, which
        is doubtful only if every byte had been sent.
        """
        ...


class Cache(Protocol):
    """Answers kept from before."""

    async def find(self, user_id: str, digest: str) -> tuple[CacheKey, CachedReply | None]:
        """The answer, if there is one, and the key under which a fresh one may be kept. Raises Unavailable."""
        ...

    async def keep(self, key: CacheKey, reply: CachedReply) -> None:
        """Keep an answer. Raises Unavailable."""
        ...

    async def make_stale(self, user_id: str) -> None:
        """Make all of a user's answers stale at once. Raises Unavailable."""
        ...


class Limits(Protocol):
    """The rate limits, shared by all executors."""

    async def admit(self, *, user_id: str, api_key: str, reservation: Reservation | None) -> Go | WaitForTurn:
        """Ask for a turn, or redeem a reserved one. Raises Unavailable."""
        ...


class Meter:
    """What operators see counted; this one counts nothing. No method waits or raises."""

    def called(self, http_method: str, *, seconds: float | None, failure: CallFailed | None) -> None:
        """A call to Flickr is over; ``seconds`` if there was an answer, ``failure`` unless it is the one wanted."""

    def looked_up(self, *, found: bool) -> None:
        """The cache was asked."""

    def waits(self, limit: str, *, seconds: float) -> None:
        """A job was sent to wait for its turn."""

    def retries(self, job: JobRequested) -> None:
        """An attempt is repeated."""

    def token_rejected(self) -> None:
        """Flickr takes a token no more."""

    def ended(self, job: JobRequested, outcome: Outcome) -> None:
        """A run of a job has its outcome."""


UNMETERED = Meter()


class Claims(Protocol):
    """Who works on which job, and how it ended."""

    async def take(self, job: JobRequested) -> Claim:
        """Claim a job's attempt before the call. Raises Unavailable."""
        ...

    async def renew(self, job: JobRequested, *, owner: str) -> bool:
        """Hold a claim for another lease; False if it isn't ours any more. Raises Unavailable."""
        ...

    async def conclude(
        self, job: JobRequested, outcome: Outcome, *, owner: str = "", interrupts: bool = False
    ) -> Concluded | Held:
        """Keep the outcome unless there is one; the one that counts, or who tells it already. Raises Unavailable.

        ``owner`` of the claim under which it was learnt may ask again, and is told the same; a failure isn't kept when
        another has taken the job meanwhile, who may yet succeed: then for how long that one holds it.
        ``interrupts``: whoever has a claim on the job may have been in the middle of its call.
        """
        ...

    async def give_up_attempt(self, job: JobRequested, retry: JobRequested, *, due: float, owner: str = "") -> bool:
        """Keep that this attempt is over and which comes next; False if another copy went further. Unavailable."""
        ...

    async def mark_buried(self, job_id: str, *, replay: int = 0) -> None:
        """Note that this run of the job lies among the dead letters. Raises Unavailable."""
        ...

    async def mark_reported(self, job_id: str, *, replay: int = 0) -> None:
        """Note that every reader of this run's outcome has been told. Raises Unavailable."""
        ...
