"""What only this process knows, kept in hand while Redis is away: else a call would be made twice, or given up."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from flickrhub_common.errors import Unavailable
from flickrhub_common.logs import logger

T = TypeVar("T")

log = logger(__name__)

HOLD_SECONDS = 120.0
"""Twice this (the cache, then the claim) and the longest send (1500 s) are less than RabbitMQ's consumer_timeout."""
UPLOAD_HOLD_SECONDS = 5.0
"""Of an upload the next message says as much as the claim, and isn't lost with this process: it soon goes out, before a
stop is over."""
FIRST_AGAIN_SECONDS, LONGEST_AGAIN_SECONDS = 0.1, 0.5


class Hold:
    """Stores again and again while Redis is away, for so many ``seconds`` at most.

    The message is held with it, and a place in which nothing could be done anyway: no call is made without a claim. A
    claim that runs out meanwhile does no harm, for none can be taken either; and whoever is faster when Redis is back
    is seen by its owner (``Claims``). When the process stops, it is cut off with its message.
    """

    def __init__(
        self,
        seconds: float,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = seconds
        self._pause = pause
        self._monotonic = monotonic

    async def __call__(self, store: Callable[[], Awaitable[T]]) -> T:
        """What ``store`` returns, which is called until it works. Raises Unavailable when the time is over."""
        began, wait = self._monotonic(), FIRST_AGAIN_SECONDS
        while True:
            try:
                stored = await store()
            except Unavailable as error:
                if self._monotonic() + wait - began > self._seconds:
                    raise
                if wait == FIRST_AGAIN_SECONDS:
                    log.warning("outcome_held", dependency=error.dependency)
            else:
                if wait != FIRST_AGAIN_SECONDS:
                    log.info("outcome_stored_late", seconds=round(self._monotonic() - began, 1))
                return stored
            await self._pause(wait)
            wait = min(2 * wait, LONGEST_AGAIN_SECONDS)


AT_ONCE = Hold(0.0)
"""Tries once."""
