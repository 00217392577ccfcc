"""The REST endpoint: from a request to the method's answer, refusing in Flickr's order.

With OAuth: the failures of `verification`, a dead token being error 98. Without: the key's form (100), the key (100).
Then for both: the format (111), the method (112), the permission (99), POST for what writes (116). Where 111 and 116
stand in that order is not recorded; Flickr's answer to GET on a writing method is known from 2013 only.
"""

from flickr_sim import formats
from flickr_sim.answers import Answer
from flickr_sim.authentication import authenticated, check_permission
from flickr_sim.catalogue import WRITING, permissions
from flickr_sim.credentials import AccessToken
from flickr_sim.errors import POST_REQUIRED, ApiError, NotSimulated
from flickr_sim.incoming import Incoming
from flickr_sim.methods import simulated
from flickr_sim.methods.call import MethodCall
from flickr_sim.simulator import Simulator


class Rest:
    """Answers calls of Flickr's methods."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._methods = simulated()
        self._permissions = permissions()

    def __call__(self, incoming: Incoming) -> Answer:
        """Answer one call; API errors are answers too, OAuthProblem and NotSimulated are raised."""
        try:
            token = authenticated(self._simulator, incoming, dead_token=_dead_token)
            return formats.success(incoming.fields, self._payload(incoming, token))
        except ApiError as error:
            return formats.failure(incoming.fields, error)

    def _payload(self, incoming: Incoming, token: AccessToken | None) -> formats.Payload:
        name = incoming.fields.get("method", "")
        if not formats.known(incoming.fields.get("format", "")):
            raise ApiError(111, f'Format "{incoming.fields["format"]}" not found')
        permission = self._permissions.get(name)
        if permission is None:
            raise ApiError(112, f'Method "{name}" not found')
        check_permission(permission, token)
        if permission in WRITING and incoming.http_method != "POST":
            raise ApiError(116, POST_REQUIRED)
        method = self._methods.get(name)
        if method is None:
            raise NotSimulated(f"the method {name}")
        world = self._simulator.world
        viewer = world.people.get(token.account) if token else None
        return method(MethodCall(world, incoming, token, viewer, self._simulator.clock()))


def _dead_token() -> ApiError:
    return ApiError(98, "Invalid auth token")
