"""Connects a Flickr account: both halves of the OAuth walk, made by auth."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from flickrhub_gateway.models import Authorisation
from flickrhub_gateway.ports import Auth

T = TypeVar("T")

PATIENCE_SECONDS = 1.5


class ConnectAccount:
    """Passes the walk on to auth. Raises what auth answered, or Unavailable within 3 s when auth is away."""

    def __init__(self, auth: Auth, *, patience: float = PATIENCE_SECONDS) -> None:
        self._auth = auth
        self._patience = patience

    async def start(self, *, api_key: str, api_secret: str) -> Authorisation:
        """Begin, for the app with this key."""
        return await self._if_alive(self._auth.start(api_key=api_key, api_secret=api_secret))

    async def complete(self, *, oauth_token: str, oauth_verifier: str, state: str | None) -> str:
        """End; the connection's user_id."""
        call = self._auth.complete(oauth_token=oauth_token, oauth_verifier=oauth_verifier, state=state)
        return await self._if_alive(call)

    async def _if_alive(self, call: Coroutine[Any, Any, T]) -> T:
        """Wait for a reply that may wait for Flickr; but when it is long in coming, only while auth lives."""
        reply = asyncio.ensure_future(call)
        try:
            done, _ = await asyncio.wait({reply}, timeout=self._patience)
            if not done:
                await self._auth.ping()
            return await reply
        finally:
            reply.cancel()
