"""Is this user_id connected? Asked for every job, answered from memory almost always."""

import asyncio
from datetime import datetime, timedelta
from functools import partial

from flickrhub_common.clock import Clock
from flickrhub_common.errors import TokenNotFound
from flickrhub_gateway.ports import Auth

MOST_KNOWN = 100_000


class CheckConnection:
    """Remembers connected users for a while; events of auth's make it forget sooner.

    Jobs of one user that come together share one question. Unknown users aren't remembered: the next moment may
    connect them.
    """

    def __init__(self, auth: Auth, clock: Clock, *, remember: timedelta, most: int = MOST_KNOWN) -> None:
        self._auth = auth
        self._clock = clock
        self._remember = remember
        self._most = most
        self._until: dict[str, datetime] = {}
        self._asking: dict[str, asyncio.Task[bool]] = {}

    async def __call__(self, user_id: str) -> None:
        """Return if there is a usable connection. Raises TokenNotFound, or Unavailable when auth is away."""
        until = self._until.get(user_id)
        if until is not None and self._clock.now() < until:
            return
        question = self._asking.get(user_id)
        if question is None:
            question = asyncio.create_task(self._auth.knows(user_id), name="connection-lookup")
            self._asking[user_id] = question
            question.add_done_callback(partial(self._answered, user_id))
        # Shielded: a client that goes away doesn't take the answer from the others.
        if not await asyncio.shield(question):
            raise TokenNotFound

    def forget(self, user_id: str) -> None:
        """Ask again next time; an answer that is on its way may be of yesterday and isn't remembered."""
        self._until.pop(user_id, None)
        self._asking.pop(user_id, None)

    def _answered(self, user_id: str, question: asyncio.Task[bool]) -> None:
        good = not question.cancelled() and question.exception() is None and question.result()
        if self._asking.get(user_id) is not question:
            return
        del self._asking[user_id]
        if good:
            self._until.pop(user_id, None)
            self._until[user_id] = self._clock.now() + self._remember
            if len(self._until) > self._most:
                del self._until[next(iter(self._until))]
