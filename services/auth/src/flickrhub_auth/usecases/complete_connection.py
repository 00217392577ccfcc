"""Finish connecting a Flickr account."""

import asyncio
import uuid

from flickrhub_auth.models import App, CompleteRequest, Connection, Grant, Pending
from flickrhub_auth.ports import UNMETERED, Events, Flickr, Meter, PendingAuthorisations, Tokens
from flickrhub_common.clock import Clock
from flickrhub_common.contracts import TokenReplaced
from flickrhub_common.errors import HubError, Unavailable
from flickrhub_common.logs import logger

log = logger(__name__)

ANNOUNCE_SECONDS = 2.0


class CompleteConnection:
    """Exchanges the verifier for a token and stores it; an account known with this api_key keeps its user_id."""

    def __init__(
        self,
        flickr: Flickr,
        pending: PendingAuthorisations,
        tokens: Tokens,
        events: Events,
        clock: Clock,
        *,
        meter: Meter = UNMETERED,
    ) -> None:
        self._meter = meter
        self._flickr = flickr
        self._pending = pending
        self._tokens = tokens
        self._events = events
        self._clock = clock

    async def __call__(self, request: CompleteRequest) -> str:
        """Returns the user_id. Raises InvalidState, AppRefused, UpstreamFailed or Unavailable.

        An authorisation is used up when Flickr has given the token. Until then it can be tried again: after a failure
        of Flickr's, a mistyped verifier or a wrong state.
        """
        await self._tokens.check()  # before anything is used up: a token that can't be stored would be lost
        pending = await self._pending.claim(request.oauth_token, state=request.state)
        grant = await self._exchange(pending, request.oauth_verifier)
        perms = await self._perms(pending.app, grant)
        user_id, replaced = await self._store(pending.app, grant, perms)
        self._meter.connected()
        log.info("account_connected", user_id=user_id, replaced=replaced, perms=perms)
        if replaced:
            await self._announce(user_id)
        return user_id

    async def _exchange(self, pending: Pending, verifier: str) -> Grant:
        token = pending.request_token
        try:
            grant = await self._flickr.access_token(pending.app, token, verifier=verifier)
        except HubError:
            await self._pending.release(token.token)
            raise
        try:
            await self._pending.forget(token.token)
        except Unavailable:
            # It stays claimed until its time is over, so nobody can use it; not worth losing the token for.
            log.warning("authorisation_not_forgotten")
        return grant

    async def _perms(self, app: App, grant: Grant) -> str | None:
        try:
            return await self._flickr.perms(app, grant)
        except HubError as error:
            # The connection is good without it; Flickr itself refuses what isn't allowed.
            log.warning("perms_unknown", code=error.code, error=str(error.__cause__ or error))
            return None

    async def _store(self, app: App, grant: Grant, perms: str | None) -> tuple[str, bool]:
        """Returns the user_id and whether an earlier token was replaced."""
        now = self._clock.now()
        known = await self._tokens.user_of(user_nsid=grant.user_nsid, api_key=app.api_key)
        while known is None:
            fresh = Connection(str(uuid.uuid4()), app, grant, perms)
            if await self._tokens.add(fresh, at=now):
                return fresh.user_id, False
            # Another request has stored the account in between; accounts are never deleted, so it is found now.
            known = await self._tokens.user_of(user_nsid=grant.user_nsid, api_key=app.api_key)
        await self._tokens.replace(Connection(known, app, grant, perms), at=now)
        return known, True

    async def _announce(self, user_id: str) -> None:
        """Tell who may hold the old token; without the event they forget it by themselves within a minute."""
        try:
            async with asyncio.timeout(ANNOUNCE_SECONDS):
                await self._events.send_event(TokenReplaced(user_id=user_id, at=self._clock.now()))
        except (Unavailable, TimeoutError):
            log.warning("replacement_not_announced", user_id=user_id)
