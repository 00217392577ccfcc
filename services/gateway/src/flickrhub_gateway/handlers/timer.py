"""What happens by itself, from time to time."""

import asyncio
from collections.abc import Awaitable, Callable

from flickrhub_common.errors import Unavailable
from flickrhub_common.logs import logger

log = logger(__name__)


async def every(seconds: float, act: Callable[[], Awaitable[object]]) -> None:
    """Act, wait, and so on until cancelled; whatever goes wrong once may go right the next time."""
    while True:
        try:
            await act()
        except Unavailable as error:
            log.warning("put_off", dependency=error.dependency)
        except Exception:  # the edge of the loop: a sweep that crashed must not be the last one
            log.exception("timer_crashed")
        await asyncio.sleep(seconds)


async def until_done(seconds: float, act: Callable[[], Awaitable[object]]) -> None:
    """Act until it goes right once, with a wait between the attempts."""
    while True:
        try:
            await act()
        except Exception:  # the edge of the loop: the process serves what it can meanwhile, and readiness tells
            log.exception("attempt_failed")
        else:
            return
        await asyncio.sleep(seconds)
