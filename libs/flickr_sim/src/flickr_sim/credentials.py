"""Apps, request tokens and access tokens the simulator has given out."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flickr_sim.journal import Journal

PERMS = ("read", "write", "delete")
REQUEST_TOKEN_LIFETIME_SECONDS = 3600  # not documented by Flickr; long enough for a person to press a button


@dataclass(frozen=True, slots=True)
class App:
    """A registered application."""

    api_key: str
    api_secret: str


@dataclass(slots=True)
class RequestToken:
    """A token on its way to be authorised; `verifier` and `account` are empty until somebody approves."""

    token: str
    secret: str
    api_key: str
    callback: str
    issued_at: float
    verifier: str = ""
    account: str = ""
    perms: str = ""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token that acts for `account` (an NSID) with `perms`, which include the levels below."""

    token: str
    secret: str
    api_key: str
    account: str
    perms: str

    def allows(self, needed: str) -> bool:
        """Say whether the token reaches the level `needed` (read < write < delete)."""
        return PERMS.index(needed) <= PERMS.index(self.perms)


class Credentials:
    """Who may call, and in whose name."""

    def __init__(self, *, demo: App, clock: Callable[[], float], journal: Journal) -> None:
        self._demo = demo
        self._clock = clock
        self._journal = journal
        self.apps: dict[str, App] = {}
        self.request_tokens: dict[str, RequestToken] = {}
        self.access_tokens: dict[str, AccessToken] = {}
        self._clear()
        journal.replay(self._remember)

    def reset(self) -> None:
        """Forget every app but the demo pair, and every token."""
        self._clear()
        self._journal.forget()

    def register(self, app: App) -> None:
        """Make an app known, or give a known one a new secret."""
        self.apps[app.api_key] = app
        self._journal.write({"event": "app", "api_key": app.api_key, "api_secret": app.api_secret})

    def issue_request_token(self, api_key: str, callback: str) -> RequestToken:
        """Start a walk through OAuth."""
        self._drop_stale_request_tokens()
        token = RequestToken(_token(), secrets.token_hex(8), api_key, callback, self._clock())
        self.request_tokens[token.token] = token
        return token

    def approve(self, token: RequestToken, *, account: str, perms: str) -> None:
        """Let `account` (an NSID) grant `perms`; the verifier has nine digits for oob, sixteen hex for a callback."""
        digits = f"{secrets.randbelow(10**9):09d}"
        oob = f"{digits[:3]}-{digits[3:6]}-{digits[6:]}"
        token.verifier = oob if token.callback == "oob" else secrets.token_hex(8)
        token.account = account
        token.perms = perms

    def exchange(self, request_token: RequestToken) -> AccessToken:
        """Turn an approved request token into an access token; the request token is used up."""
        del self.request_tokens[request_token.token]
        token = AccessToken(
            _token(), secrets.token_hex(8), request_token.api_key, request_token.account, request_token.perms
        )
        self.access_tokens[token.token] = token
        self._journal.write(
            {
                "event": "access_token",
                "token": token.token,
                "secret": token.secret,
                "api_key": token.api_key,
                "account": token.account,
                "perms": token.perms,
            }
        )
        return token

    def revoke(self, token: str) -> bool:
        """Take an access token back; False when there is none of that name."""
        if self.access_tokens.pop(token, None) is None:
            return False
        self._journal.write({"event": "revoked", "token": token})
        return True

    def _clear(self) -> None:
        self.apps = {self._demo.api_key: self._demo}
        self.request_tokens = {}
        self.access_tokens = {}

    def _remember(self, line: dict[str, Any]) -> None:
        if line["event"] == "app":
            self.apps[line["api_key"]] = App(line["api_key"], line["api_secret"])
        elif line["event"] == "access_token":
            token = AccessToken(line["token"], line["secret"], line["api_key"], line["account"], line["perms"])
            self.access_tokens[token.token] = token
        elif line["event"] == "revoked":
            self.access_tokens.pop(line["token"], None)

    def _drop_stale_request_tokens(self) -> None:
        oldest_kept = self._clock() - REQUEST_TOKEN_LIFETIME_SECONDS
        for name, token in list(self.request_tokens.items()):
            if token.issued_at >= oldest_kept:
                return  # they are in the order they were issued
            del self.request_tokens[name]


def _token() -> str:
    """Make a token of Flickr's form: 17 digits, a dash, 16 hex digits."""
    return f"72157{secrets.randbelow(10**12):012d}-{secrets.token_hex(8)}"
