"""What the use cases need from outside."""

from datetime import datetime
from typing import Protocol

from flickrhub_auth.models import App, Connection, Grant, Pending, RequestToken
from flickrhub_common.contracts import Message


class Flickr(Protocol):
    """Flickr's OAuth endpoints. Calls raise UpstreamFailed when Flickr fails, is too slow or answers nonsense."""

    async def request_token(self, app: App, *, callback_url: str | None) -> RequestToken:
        """Ask for a request token; without a callback URL, out of band. Raises AppRefused."""
        ...

    def authorize_url(self, request_token: RequestToken) -> str:
        """The page on which the user agrees."""
        ...

    async def access_token(self, app: App, request_token: RequestToken, *, verifier: str) -> Grant:
        """Exchange an agreed request token. Raises VerifierRefused or AppRefused."""
        ...

    async def perms(self, app: App, grant: Grant) -> str:
        """What the user allowed: read, write or delete. Raises UpstreamFailed."""
        ...


class PendingAuthorisations(Protocol):
    """Authorisations that wait for the user, for 10 minutes at most. Every method raises Unavailable."""

    async def check(self) -> None:
        """Raise Unavailable if none could be kept now."""
        ...

    async def keep(self, pending: Pending) -> None:
        """Keep one until it is used or its time is over."""
        ...

    async def claim(self, oauth_token: str, *, state: str | None) -> Pending:
        """Take one for use by this caller alone.

        Raises InvalidState if there is none or it is claimed, StateMismatch (leaving it usable) if a state is given
        and isn't its own.
        """
        ...

    async def release(self, oauth_token: str) -> None:
        """Give a claimed one back for the rest of its time."""
        ...

    async def forget(self, oauth_token: str) -> None:
        """Drop a claimed one for good."""
        ...


class Tokens(Protocol):
    """The connected accounts. Every method raises Unavailable."""

    async def check(self) -> None:
        """Raise Unavailable if nothing could be stored now."""
        ...

    async def user_of(self, *, user_nsid: str, api_key: str) -> str | None:
        """The ``user_id`` of an account that was connected with this api_key before, revoked or not."""
        ...

    async def add(self, connection: Connection, *, at: datetime) -> bool:
        """Store an account's first token; False if the account is there already."""
        ...

    async def replace(self, connection: Connection, *, at: datetime) -> None:
        """Store a new token in place of the account's old or revoked one."""
        ...

    async def exists(self, user_id: str) -> bool:
        """Whether there is a usable connection."""
        ...

    async def read(self, user_id: str) -> Connection | None:
        """The connection with its secrets, None if there is no usable one. Raises TokenUnreadable."""
        ...

    async def revoke(self, user_id: str, *, fingerprint: str, at: datetime) -> datetime | None:
        """Erase the token if it is the one with this fingerprint.

        Returns since when it is revoked, which is earlier than ``at`` when it was done before; None if the user has
        another token or there is no such user.
        """
        ...


class Meter:
    """What operators see counted; this one counts nothing. No method waits or raises."""

    def connected(self) -> None:
        """An account has a new token."""

    def revoked(self) -> None:
        """A token was erased."""

    def unreadable(self) -> None:
        """A stored token can't be opened."""


UNMETERED = Meter()


class Events(Protocol):
    """The broker."""

    async def send_event(self, event: Message) -> None:
        """Tell everybody who reads such events. Raises Unavailable if RabbitMQ doesn't confirm it."""
        ...
