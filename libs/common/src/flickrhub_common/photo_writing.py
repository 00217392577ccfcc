"""What every adapter needs to write a photo piece by piece and to leave nothing when it ends early."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_going_on: set[asyncio.Task[Any]] = set()
"""The loop itself holds tasks weakly."""


def taken() -> ValueError:
    """What ``put`` raises for a reference that is in use: they are fresh UUIDs, so it is a mistake in a program."""
    return ValueError("there is a photo under this reference already")


async def in_pieces(chunks: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    """The same bytes in pieces of exactly ``size``, but for the last."""
    parts: list[bytes] = []
    held = 0
    async for chunk in chunks:
        parts.append(chunk)
        held += len(chunk)
        if held >= size:
            joined = b"".join(parts)
            whole = held - held % size
            for at in range(0, whole, size):
                yield joined[at : at + size]
            parts, held = [joined[whole:]], held - whole
    if held:
        yield b"".join(parts)


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Wait for work that a cancellation mustn't cut: it ends the waiting only, the work goes on."""
    task = asyncio.create_task(work)
    _going_on.add(task)
    task.add_done_callback(_going_on.discard)
    await asyncio.wait({task})
    return task.result()
