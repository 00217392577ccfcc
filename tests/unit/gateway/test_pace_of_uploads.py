"""How slowly a body may come, and how it is read ahead."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import pytest
from starlette.requests import ClientDisconnect

from flickrhub_common.errors import InvalidRequest, Unavailable
from flickrhub_gateway.handlers.upload_body import paced
from flickrhub_gateway.reading_ahead import reading_ahead

TOO_SLOW = "The body came too slowly, or stopped coming."


async def _coming(pieces: Sequence[bytes | float]) -> AsyncGenerator[bytes, None]:
    """Pieces, with waits of so many seconds between them."""
    for piece in pieces:
        if isinstance(piece, float):
            await asyncio.sleep(piece)
        else:
            yield piece


async def _taken(pieces: Sequence[bytes | float], **pace: float) -> int:
    stream = paced(_coming(pieces), least_speed=1000, **pace)
    return sum([len(chunk) async for chunk in stream])


async def test_what_comes_in_good_time_passes() -> None:
    assert await _taken([b"x" * 100, 0.01, b"x" * 100, 0.01, b"x"], grace=0.05, idle=1) == 201


async def test_a_trickle_ends_after_the_grace() -> None:
    began = time.monotonic()
    with pytest.raises(InvalidRequest, match=TOO_SLOW):
        await _taken([b"x", 0.02] * 100, grace=0.1, idle=1)
    assert time.monotonic() - began < 1


async def test_silence_ends_it_however_fast_it_was_before() -> None:
    with pytest.raises(InvalidRequest, match=TOO_SLOW):
        await _taken([b"x" * 1_000_000, 5.0], grace=0.05, idle=0.05)


async def test_bytes_that_came_buy_time() -> None:
    assert await _taken([b"x" * 1000, 0.2, b"x"], grace=0.01, idle=1) == 1001
    with pytest.raises(InvalidRequest, match=TOO_SLOW):
        await _taken([b"x" * 100, 0.5, b"x"], grace=0.01, idle=1)


async def test_the_time_that_the_store_takes_isnt_the_clients() -> None:
    taken = 0
    async for chunk in paced(_coming([b"x"] * 5), least_speed=1000, grace=0.05):
        await asyncio.sleep(0.03)
        taken += len(chunk)
    assert taken == 5


async def test_a_client_that_hangs_up_is_a_bad_request() -> None:
    async def stream() -> AsyncGenerator[bytes, None]:
        yield b"x"
        raise ClientDisconnect

    with pytest.raises(InvalidRequest, match="The body ended before its end"):
        [chunk async for chunk in paced(stream(), least_speed=1)]


class Source:
    """Numbers up to a limit, then maybe an error; knows how many were taken from it, and whether it was ended."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self._count = count
        self._error = error
        self.taken = 0
        self.ended = False

    async def __aiter__(self) -> AsyncIterator[int]:
        try:
            while self.taken < self._count:
                self.taken += 1
                yield self.taken
                await asyncio.sleep(0)
            if self._error is not None:
                raise self._error
            if self._count > 5:
                await asyncio.Event().wait()
        finally:
            self.ended = True


async def _a_moment() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_all_items_come_in_order() -> None:
    async with reading_ahead(aiter(Source(5)), most=2) as items:
        assert [item async for item in items] == [1, 2, 3, 4, 5]


async def test_only_so_much_is_read_ahead() -> None:
    source = Source(5)
    async with reading_ahead(aiter(source), most=2) as items:
        await _a_moment()
        assert source.taken == 3, "two that wait, and one that has no room yet"
        await anext(items)
        await _a_moment()
        assert source.taken == 4


async def test_an_error_comes_after_what_was_read_before_it() -> None:
    async with reading_ahead(aiter(Source(2, Unavailable("mongo"))), most=5) as items:
        assert [await anext(items), await anext(items)] == [1, 2]
        with pytest.raises(Unavailable):
            await anext(items)


@pytest.mark.parametrize("read", [0, 1, 6])
async def test_leaving_ends_the_reading_whether_it_waits_for_room_or_for_more(read: int) -> None:
    source = Source(6)
    generator = aiter(source)
    async with reading_ahead(generator, most=2) as items:
        for _ in range(read):
            await anext(items)
        await _a_moment()
    await generator.aclose()  # type: ignore[attr-defined]
    assert source.ended


async def test_an_error_nobody_read_any_more_disturbs_nobody() -> None:
    async with reading_ahead(aiter(Source(1, ValueError("later"))), most=5):
        await _a_moment()
