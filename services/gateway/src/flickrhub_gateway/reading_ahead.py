"""Reads on while what was read is still being worked on: a bounded hand-over between two ends of a pipe."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

T = TypeVar("T")


@asynccontextmanager
async def reading_ahead(source: AsyncIterator[T], *, most: int) -> AsyncIterator[AsyncIterator[T]]:
    """The source's items, of which up to ``most`` are read before they are asked for.

    What the source raises comes out where its next item would. Leaving the block ends the reading.
    """
    read: asyncio.Queue[T | None] = asyncio.Queue()
    room = asyncio.Semaphore(most)

    async def read_on() -> None:
        try:
            async for item in source:
                await room.acquire()
                read.put_nowait(item)
        finally:
            read.put_nowait(None)

    async def items() -> AsyncIterator[T]:
        while (item := await read.get()) is not None:
            room.release()
            yield item
        await reading

    reading = asyncio.create_task(read_on())
    try:
        yield items()
    finally:
        reading.cancel()
        await asyncio.wait({reading})
        if not reading.cancelled():
            reading.exception()  # it was told where the items were read, or something else came first
