"""Begin to connect a Flickr account."""

import secrets

from flickrhub_auth.models import App, Mode, Pending, Started, StartRequest
from flickrhub_auth.ports import Flickr, PendingAuthorisations
from flickrhub_common.logs import logger

log = logger(__name__)

STATE_BYTES = 24


class StartConnection:
    """Gets a request token from Flickr and keeps what is needed to finish later."""

    def __init__(self, flickr: Flickr, pending: PendingAuthorisations, *, callback_url: str | None) -> None:
        self._flickr = flickr
        self._pending = pending
        self._callback_url = callback_url
        self._mode = Mode.CALLBACK if callback_url else Mode.OOB

    async def __call__(self, request: StartRequest) -> Started:
        """Returns where to send the user. Raises AppRefused, UpstreamFailed or Unavailable."""
        await self._pending.check()  # first, so that an absent Redis is said at once and not after Flickr's answer
        app = App(request.api_key, request.api_secret)
        token = await self._flickr.request_token(app, callback_url=self._callback_url)
        state = secrets.token_urlsafe(STATE_BYTES)
        await self._pending.keep(Pending(app, token, state, self._mode))
        log.info("authorisation_started", mode=self._mode.value)
        return Started(self._flickr.authorize_url(token), token.token, state, self._mode)
