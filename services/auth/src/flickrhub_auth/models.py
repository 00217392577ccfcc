"""What auth speaks of. The text form of a model never holds a secret."""

import hashlib
import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

LONGEST_VALUE = 256


class Mode(StrEnum):
    """How the verifier comes back: typed in by the user, or with the browser."""

    OOB = "oob"
    CALLBACK = "callback"


def _plain(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be blank")
    if any(unicodedata.category(character) == "Cc" for character in value):
        raise ValueError("must not hold control characters")
    return value


Plain = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_VALUE), AfterValidator(_plain)]


class StartRequest(BaseModel):
    """Body of ``POST /internal/v1/oauth/start``: the Flickr app that shall be allowed to act for the user."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    api_key: Plain
    api_secret: Plain = Field(repr=False)


class CompleteRequest(BaseModel):
    """Body of ``POST /internal/v1/oauth/complete``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    oauth_token: Plain = Field(repr=False)
    oauth_verifier: Plain = Field(repr=False)
    state: Annotated[str, StringConstraints(max_length=LONGEST_VALUE)] | None = Field(None, repr=False)


@dataclass(frozen=True)
class App:
    """A Flickr app: the pair that signs."""

    api_key: str
    api_secret: str = field(repr=False)


@dataclass(frozen=True)
class RequestToken:
    """What Flickr gives before the user has agreed."""

    token: str = field(repr=False)
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Pending:
    """An authorisation that waits for the user. ``state`` is the random value its starter was given."""

    app: App
    request_token: RequestToken
    state: str = field(repr=False)
    mode: Mode


@dataclass(frozen=True)
class Started:
    """The reply to a start; the names are those of the contract."""

    authorize_url: str = field(repr=False)
    oauth_token: str = field(repr=False)
    state: str = field(repr=False)
    mode: Mode


@dataclass(frozen=True)
class Grant:
    """What Flickr gives when the user has agreed: the access token and whose it is."""

    oauth_token: str = field(repr=False)
    oauth_token_secret: str = field(repr=False)
    user_nsid: str
    username: str
    fullname: str = ""


@dataclass(frozen=True)
class Connection:
    """A usable token of a Flickr account. ``perms`` is read, write or delete; None when Flickr didn't say."""

    user_id: str
    app: App
    grant: Grant
    perms: str | None

    @property
    def fingerprint(self) -> str:
        """Names the token without being it."""
        return fingerprint(self.grant.oauth_token)

    def lent(self) -> dict[str, str | None]:
        """The reply to a lend, secrets in clear: for internal HTTP only."""
        return {
            "user_id": self.user_id,
            "api_key": self.app.api_key,
            "api_secret": self.app.api_secret,
            "oauth_token": self.grant.oauth_token,
            "oauth_token_secret": self.grant.oauth_token_secret,
            "fingerprint": self.fingerprint,
            "perms": self.perms,
            "nsid": self.grant.user_nsid,
        }


def fingerprint(oauth_token: str) -> str:
    """The first 16 hex digits of the token's SHA-256."""
    return hashlib.sha256(oauth_token.encode()).hexdigest()[:16]
