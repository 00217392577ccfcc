"""Decide whether a signed request is what it claims to be.

Signatures are checked by oauthlib's server side, never by code that signs. The order of failures is the one of the
project's facts, section 7: parameters absent, key unknown, timestamp, nonce, token, signature.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from oauthlib.oauth1.rfc5849 import signature

from flickr_sim.credentials import App, Credentials
from flickr_sim.errors import OAuthProblem, Unreadable
from flickr_sim.incoming import Incoming, Pairs

ALLOWED_SKEW_SECONDS = 600
SIGNATURE_METHOD = "HMAC-SHA1"

_ALWAYS_NEEDED = (
    "oauth_consumer_key",
    "oauth_signature_method",
    "oauth_signature",
    "oauth_nonce",
    "oauth_timestamp",
)


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What oauthlib's verifying functions read of a request."""

    http_method: str
    uri: str
    params: Pairs
    signature: str


class Nonces:
    """Nonces that were used, each kept as long as its timestamp would still be accepted."""

    def __init__(self) -> None:
        self._by_timestamp: dict[int, set[tuple[str, str, str]]] = {}
        self._pruned_at = 0

    def used(self, timestamp: int, nonce: tuple[str, str, str]) -> bool:
        """Say whether (api key, token, nonce) came with this timestamp before."""
        return nonce in self._by_timestamp.get(timestamp, ())

    def remember(self, timestamp: int, nonce: tuple[str, str, str], now: float) -> None:
        """Note that it was used."""
        self._by_timestamp.setdefault(timestamp, set()).add(nonce)
        if now - self._pruned_at >= 1:
            self._pruned_at = int(now)
            for old in [kept for kept in self._by_timestamp if kept < now - ALLOWED_SKEW_SECONDS]:
                del self._by_timestamp[old]


class Verifier:
    """Check signed requests against the known apps."""

    def __init__(self, credentials: Credentials, clock: Callable[[], float]) -> None:
        self._credentials = credentials
        self._clock = clock
        self._nonces = Nonces()

    def reset(self) -> None:
        """Forget every nonce."""
        self._nonces = Nonces()

    def verify(self, incoming: Incoming, *, needed: tuple[str, ...], token_secret: Callable[[App], str]) -> App:
        """Return the app that signed the request.

        `needed` names parameters this endpoint needs besides those every signed call has. `token_secret` is asked for
        the secret of the request's token when its turn in the order of failures has come, and raises if the token is
        no good. Raises OAuthProblem, and whatever `token_secret` raises.
        """
        oauth = incoming.oauth
        absent = [name for name in (*_ALWAYS_NEEDED, *needed) if name not in oauth]
        if absent:
            raise OAuthProblem.absent(absent)
        app = self._credentials.apps.get(oauth["oauth_consumer_key"])
        if app is None:
            raise OAuthProblem.named("consumer_key_unknown")
        _check_protocol(oauth)
        now = self._clock()
        timestamp = _timestamp(oauth["oauth_timestamp"], now)
        nonce = (app.api_key, oauth.get("oauth_token", ""), oauth["oauth_nonce"])
        if self._nonces.used(timestamp, nonce):
            raise OAuthProblem.named("nonce_used")
        check_signature(incoming, app, token_secret(app))
        # Only a genuine request uses its nonce up: otherwise anybody could spoil somebody else's.
        self._nonces.remember(timestamp, nonce, now)
        return app


def check_signature(incoming: Incoming, app: App, token_secret: str) -> None:
    """Raise `signature_invalid`, with the server's own base string, unless oauthlib finds the signature right."""
    params = [pair for pair in incoming.params if pair[0] != "oauth_signature"]
    request = SignedRequest(incoming.http_method, incoming.uri, params, incoming.oauth["oauth_signature"])
    server_side: Any = signature  # the stubs ask for more than these functions read
    try:
        if server_side.verify_hmac_sha1(request, app.api_secret, token_secret):
            return
        uri = server_side.base_string_uri(request.uri)
        normalized = server_side.normalize_parameters(params)
        base_string = server_side.signature_base_string(request.http_method, uri, normalized)
    except ValueError as error:  # a Host header that is no host
        raise Unreadable(400, "The request's URL can't be read.") from error
    raise OAuthProblem.bad_signature(base_string)


def _check_protocol(oauth: dict[str, str]) -> None:
    """Refuse other methods and versions, in the words of OAuth Problem Reporting: Flickr's own were not recorded."""
    if oauth["oauth_signature_method"] != SIGNATURE_METHOD:
        raise OAuthProblem.named("signature_method_rejected", 400)
    if oauth.get("oauth_version", "1.0") != "1.0":
        raise OAuthProblem.named("version_rejected", 400)


def _timestamp(value: str, now: float) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 12):
        raise OAuthProblem.named("timestamp_refused")
    if abs(int(value) - now) > ALLOWED_SKEW_SECONDS:
        raise OAuthProblem.named("timestamp_refused")
    return int(value)
