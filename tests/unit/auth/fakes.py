"""The far side of auth's use cases: Flickr and the two stores, in memory, able to fail on demand."""

from dataclasses import dataclass, field
from datetime import datetime

from flickrhub_auth.errors import StateMismatch, VerifierRefused
from flickrhub_auth.models import App, Connection, Grant, Pending, RequestToken
from flickrhub_auth.ports import UNMETERED, Meter
from flickrhub_auth.usecases import UseCases
from flickrhub_auth.wiring import make_usecases
from flickrhub_common.errors import HubError, InvalidState
from flickrhub_common.testing import FakeClock, FakeMessaging

APP = App("key-1", "secret-of-the-app")
VERIFIER = "123-456-789"


class FakeFlickr:
    """Gives numbered tokens to anybody; a failure put into `failures` under a step's name is raised once."""

    def __init__(self) -> None:
        self.failures: dict[str, HubError] = {}
        self.callbacks: list[str | None] = []
        self.account = "1@N01"
        self.granted = 0

    async def request_token(self, app: App, *, callback_url: str | None) -> RequestToken:
        self._fail("request_token")
        self.callbacks.append(callback_url)
        number = len(self.callbacks)
        return RequestToken(f"request-{number}", f"request-secret-{number}")

    def authorize_url(self, request_token: RequestToken) -> str:
        return f"https://flickr.test/authorize?oauth_token={request_token.token}"

    async def access_token(self, app: App, request_token: RequestToken, *, verifier: str) -> Grant:
        self._fail("access_token")
        if verifier != VERIFIER:
            raise VerifierRefused
        self.granted += 1
        return Grant(f"access-{self.granted}", f"access-secret-{self.granted}", self.account, "ann", "Ann Example")

    async def perms(self, app: App, grant: Grant) -> str:
        self._fail("perms")
        return "write"

    def _fail(self, step: str) -> None:
        if step in self.failures:
            raise self.failures.pop(step)


class FakePending:
    """Keeps what is pending for ever; `away` is raised by every call while it is set, `lost_at_forget` by forget."""

    def __init__(self) -> None:
        self.entries: dict[str, Pending] = {}
        self.claimed: set[str] = set()
        self.away: HubError | None = None
        self.lost_at_forget: HubError | None = None

    async def check(self) -> None:
        self._reach()

    async def keep(self, pending: Pending) -> None:
        self._reach()
        self.entries[pending.request_token.token] = pending

    async def claim(self, oauth_token: str, *, state: str | None) -> Pending:
        self._reach()
        pending = self.entries.get(oauth_token)
        if pending is None or oauth_token in self.claimed:
            raise InvalidState
        if state is not None and state != pending.state:
            raise StateMismatch
        self.claimed.add(oauth_token)
        return pending

    async def release(self, oauth_token: str) -> None:
        self._reach()
        self.claimed.discard(oauth_token)

    async def forget(self, oauth_token: str) -> None:
        if self.lost_at_forget is not None:
            raise self.lost_at_forget
        self.entries.pop(oauth_token, None)

    def _reach(self) -> None:
        if self.away is not None:
            raise self.away


@dataclass
class Stored:
    """One account as the fake keeps it."""

    connection: Connection
    revoked_at: datetime | None = None


@dataclass
class FakeTokens:
    """Accounts by user_id; `overtaken_by` is what another request adds just before the next add."""

    accounts: dict[str, Stored] = field(default_factory=dict)
    away: HubError | None = None
    overtaken_by: Connection | None = None

    async def check(self) -> None:
        self._reach()

    async def user_of(self, *, user_nsid: str, api_key: str) -> str | None:
        self._reach()
        for user_id, stored in self.accounts.items():
            if (stored.connection.grant.user_nsid, stored.connection.app.api_key) == (user_nsid, api_key):
                return user_id
        return None

    async def add(self, connection: Connection, *, at: datetime) -> bool:
        if self.overtaken_by is not None:
            self.accounts[self.overtaken_by.user_id] = Stored(self.overtaken_by)
            self.overtaken_by = None
        if await self.user_of(user_nsid=connection.grant.user_nsid, api_key=connection.app.api_key):
            return False
        self.accounts[connection.user_id] = Stored(connection)
        return True

    async def replace(self, connection: Connection, *, at: datetime) -> None:
        self._reach()
        self.accounts[connection.user_id] = Stored(connection)

    async def exists(self, user_id: str) -> bool:
        return await self.read(user_id) is not None

    async def read(self, user_id: str) -> Connection | None:
        self._reach()
        stored = self.accounts.get(user_id)
        return stored.connection if stored and stored.revoked_at is None else None

    async def revoke(self, user_id: str, *, fingerprint: str, at: datetime) -> datetime | None:
        self._reach()
        stored = self.accounts.get(user_id)
        if stored is None or stored.connection.fingerprint != fingerprint:
            return None
        stored.revoked_at = stored.revoked_at or at
        return stored.revoked_at

    def _reach(self) -> None:
        if self.away is not None:
            raise self.away


@dataclass
class World:
    """Auth's use cases with everything around them faked."""

    callback_url: str | None = None
    flickr: FakeFlickr = field(default_factory=FakeFlickr)
    pending: FakePending = field(default_factory=FakePending)
    tokens: FakeTokens = field(default_factory=FakeTokens)
    events: FakeMessaging = field(default_factory=FakeMessaging)
    clock: FakeClock = field(default_factory=FakeClock)
    meter: Meter = UNMETERED

    def usecases(self) -> UseCases:
        """The real use cases over these fakes."""
        return make_usecases(
            flickr=self.flickr,
            pending=self.pending,
            tokens=self.tokens,
            events=self.events,
            clock=self.clock,
            callback_url=self.callback_url,
            meter=self.meter,
        )
