"""Work beside a service's main work: begun when it opens, ended for certain when it closes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from flickrhub_common.errors import Unavailable
from flickrhub_common.logs import logger

log = logger(__name__)

CANCEL_AGAIN_SECONDS = 1.0


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run ``work`` while the block runs.

    At the end it is cancelled again and again: PyMongo 4.20 was seen to swallow a cancellation that met an operation
    on a failing network, after which the work went on.
    """
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=CANCEL_AGAIN_SECONDS)


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
        except Unavailable as error:
            log.warning("put_off", dependency=error.dependency)
        except Exception:  # the edge of the loop: the process serves what it can meanwhile, and readiness tells
            log.exception("attempt_failed")
        else:
            return
        await asyncio.sleep(seconds)
