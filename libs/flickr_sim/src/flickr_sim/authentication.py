"""Who calls, and whether they may: what REST and uploads ask alike.

With OAuth: the failures of `verification`. Without: the key's form (100), the key (100).
"""

import re
from collections.abc import Callable

from flickr_sim.credentials import AccessToken, App
from flickr_sim.errors import ApiError, permission_missing
from flickr_sim.incoming import Incoming
from flickr_sim.simulator import Simulator

_KEY_FORM = re.compile(r"[0-9a-f]{32}\Z")


def authenticated(
    simulator: Simulator, incoming: Incoming, *, dead_token: Callable[[], Exception]
) -> AccessToken | None:
    """Return the token the call was signed with, or None for a call with nothing but an api key.

    `dead_token` builds what is raised for a token that isn't there; otherwise raises ApiError and OAuthProblem.
    """
    if not incoming.oauth_attempted:
        _check_key(simulator, incoming.fields.get("api_key", ""))
        return None
    tokens = simulator.credentials.access_tokens

    def secret(app: App) -> str:
        token = tokens.get(incoming.oauth["oauth_token"])
        if token is None or token.api_key != app.api_key:
            raise dead_token()
        return token.secret

    simulator.verifier.verify(incoming, needed=("oauth_token",), token_secret=secret)
    return tokens[incoming.oauth["oauth_token"]]


def check_permission(permission: str, token: AccessToken | None) -> None:
    """Raise error 99 unless the token reaches the permission a method needs."""
    if permission in ("none", "signed"):
        return
    if token is None or not token.allows(permission):
        raise permission_missing(permission, token.perms if token else "none")


def _check_key(simulator: Simulator, api_key: str) -> None:
    if not _KEY_FORM.match(api_key):
        raise ApiError(100, "Invalid API Key (Key has invalid format)")
    if api_key not in simulator.credentials.apps:
        raise ApiError(100, "Invalid API Key (Key not found)")
