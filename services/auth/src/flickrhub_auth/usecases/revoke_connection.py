"""End a connection whose token Flickr no longer takes."""

from datetime import timedelta

from flickrhub_auth.ports import UNMETERED, Events, Meter, Tokens
from flickrhub_common.clock import Clock
from flickrhub_common.contracts import TokenRejected, TokenRevoked
from flickrhub_common.logs import logger

log = logger(__name__)

STORED_TO = timedelta(milliseconds=1)
"""How exactly a store keeps the time."""


class RevokeConnection:
    """Erases a rejected token and tells everybody. Safe to repeat: the same event tells it again."""

    def __init__(self, tokens: Tokens, events: Events, clock: Clock, *, meter: Meter = UNMETERED) -> None:
        self._meter = meter
        self._tokens = tokens
        self._events = events
        self._clock = clock

    async def __call__(self, event: TokenRejected) -> None:
        """Raises Unavailable, after which the event has to come again."""
        now = self._clock.now()
        since = await self._tokens.revoke(event.user_id, fingerprint=event.fingerprint, at=now)
        if since is None:
            log.info("rejection_of_another_token", user_id=event.user_id)
            return
        if timedelta() <= now - since < STORED_TO:  # just now: every job under way with the token tells that it is dead
            self._meter.revoked()
        log.info("connection_revoked", user_id=event.user_id, reason=event.reason)
        # Also when it was revoked before: a crash may have come between storing and telling.
        await self._events.send_event(TokenRevoked(user_id=event.user_id, reason=event.reason, at=since))
