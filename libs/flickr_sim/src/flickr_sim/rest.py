"""The REST endpoint: from a request to the method's answer, refusing in Flickr's order.

With OAuth: the failures of `verification`, a dead token being error 98. Without: the key's form (100), the key (100).
Then for both: the format (111), the method (112), the permission (99), POST for what writes (116). Where 111 and 116
stand in that order is not recorded; Flickr's answer to GET on a writing method is known from 2013 only.
"""

import re

from flickr_sim import formats
from flickr_sim.answers import Answer
from flickr_sim.catalogue import WRITING, permissions
from flickr_sim.credentials import AccessToken, App
from flickr_sim.errors import POST_REQUIRED, ApiError, NotSimulated, permission_missing
from flickr_sim.incoming import Incoming
from flickr_sim.methods import simulated
from flickr_sim.methods.call import MethodCall
from flickr_sim.simulator import Simulator

_KEY_FORM = re.compile(r"[0-9a-f]{32}\Z")


class Rest:
    """Answers calls of Flickr's methods."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._methods = simulated()
        self._permissions = permissions()

    def __call__(self, incoming: Incoming) -> Answer:
        """Answer one call; API errors are answers too, OAuthProblem and NotSimulated are raised."""
        try:
            token = self._authenticated(incoming)
            return formats.success(incoming.fields, self._payload(incoming, token))
        except ApiError as error:
            return formats.failure(incoming.fields, error)

    def _authenticated(self, incoming: Incoming) -> AccessToken | None:
        """Return the token the call was signed with, or None for a call with nothing but an api key."""
        if not incoming.oauth_attempted:
            self._check_key(incoming.fields.get("api_key", ""))
            return None
        tokens = self._simulator.credentials.access_tokens

        def secret(app: App) -> str:
            token = tokens.get(incoming.oauth["oauth_token"])
            if token is None or token.api_key != app.api_key:
                raise ApiError(98, "Invalid auth token")
            return token.secret

        self._simulator.verifier.verify(incoming, needed=("oauth_token",), token_secret=secret)
        return tokens[incoming.oauth["oauth_token"]]

    def _check_key(self, api_key: str) -> None:
        if not _KEY_FORM.match(api_key):
            raise ApiError(100, "Invalid API Key (Key has invalid format)")
        if api_key not in self._simulator.credentials.apps:
            raise ApiError(100, "Invalid API Key (Key not found)")

    def _payload(self, incoming: Incoming, token: AccessToken | None) -> formats.Payload:
        name = incoming.fields.get("method", "")
        if not formats.known(incoming.fields.get("format", "")):
            raise ApiError(111, f'Format "{incoming.fields["format"]}" not found')
        permission = self._permissions.get(name)
        if permission is None:
            raise ApiError(112, f'Method "{name}" not found')
        _check_permission(permission, token)
        if permission in WRITING and incoming.http_method != "POST":
            raise ApiError(116, POST_REQUIRED)
        method = self._methods.get(name)
        if method is None:
            raise NotSimulated(f"the method {name}")
        world = self._simulator.world
        viewer = world.people.get(token.account) if token else None
        return method(MethodCall(world, incoming, token, viewer, int(self._simulator.clock())))


def _check_permission(permission: str, token: AccessToken | None) -> None:
    if permission in ("none", "signed"):
        return
    if token is None or not token.allows(permission):
        raise permission_missing(permission, token.perms if token else "none")
