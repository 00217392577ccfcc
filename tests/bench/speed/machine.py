"""What the machine itself does to the figures: how long its disk takes to flush, and whether its processors sleep."""

import asyncio
import contextlib
import os
import struct
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

FLUSH_EVERY_SECONDS = 0.05
FLUSHED = b"x" * 4096
LATENCY = Path("/dev/cpu_dma_latency")
"""The kernel's PM QoS interface (its documentation: power/pm_qos_interface): a latency in microseconds that the
processors' sleep must keep to, as long as whoever wrote it has it open. Profiles for low latency do the same."""


@contextlib.asynccontextmanager
async def flushes(folder: Path, seconds: list[float]) -> AsyncIterator[None]:
    """Note how long an fdatasync of 4 KiB in this folder takes, 20 times a second inside the block."""
    file = folder / "flush-probe"
    handle = os.open(file, os.O_CREAT | os.O_WRONLY, 0o600)
    ended = asyncio.Event()
    probing = asyncio.create_task(_flush(handle, seconds, ended))
    try:
        yield
    finally:
        ended.set()
        await probing
        os.close(handle)
        file.unlink()


async def _flush(handle: int, seconds: list[float], ended: asyncio.Event) -> None:
    while not ended.is_set():
        seconds.append(await asyncio.to_thread(_flushed_in, handle))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_EVERY_SECONDS):
                await ended.wait()


def _flushed_in(handle: int) -> float:
    began = time.perf_counter()
    os.pwrite(handle, FLUSHED, 0)
    os.fdatasync(handle)
    return time.perf_counter() - began


@contextlib.contextmanager
def awake(wanted: bool) -> Iterator[None]:
    """Keep the processors from sleeping inside the block. Raises OSError where that isn't allowed."""
    if not wanted:
        yield
        return
    handle = os.open(LATENCY, os.O_WRONLY)
    try:
        os.write(handle, struct.pack("i", 0))
        yield
    finally:
        os.close(handle)
