"""What holds for every photo store, the fake included."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from flickrhub_common.photo_store import PhotoNotStored
from tests.integration.photo_store.conftest import MIB, Place, bytes_of, photo

SIZES = [0, 1, MIB - 1, MIB, MIB + 1, 11 * MIB + 7]


async def read(place: Place, ref: str) -> bytes:
    async with place.store.open(ref) as found:
        pieces = [piece async for piece in found.chunks]
    assert sum(map(len, pieces)) == found.size
    assert all(isinstance(piece, bytes) and 0 < len(piece) <= 8 * MIB for piece in pieces)
    return b"".join(pieces)


@pytest.mark.parametrize("size", SIZES)
async def test_a_photo_comes_back_as_it_was_put(place: Place, ref: str, size: int) -> None:
    assert await place.store.put(ref, photo(size), content_type="image/jpeg") == size
    assert await place.store.find(ref) == size
    assert await read(place, ref) == bytes_of(0, size)


@pytest.mark.parametrize("piece", [70_000, 3 * MIB, 12 * MIB])
async def test_the_pieces_it_comes_in_make_no_difference(place: Place, ref: str, piece: int) -> None:
    await place.store.put(ref, photo(9 * MIB, piece=piece), content_type="image/jpeg")
    assert await read(place, ref) == bytes_of(0, 9 * MIB)


async def test_there_is_nothing_under_a_reference_that_nobody_used(place: Place, ref: str) -> None:
    assert await place.store.find(ref) is None
    await place.store.delete(ref)
    with pytest.raises(PhotoNotStored):
        async with place.store.open(ref):
            pass


async def test_a_deleted_photo_is_gone_and_others_stay(place: Place, ref: str) -> None:
    await place.store.put("another", photo(2 * MIB), content_type="image/jpeg")
    others = await place.kept()
    await place.store.put(ref, photo(2 * MIB), content_type="image/jpeg")
    await place.store.delete(ref)
    assert await place.store.find(ref) is None
    assert await place.kept() == others
    assert await place.store.find("another") == 2 * MIB


async def test_a_reference_in_use_is_refused_and_its_photo_stays(place: Place, ref: str) -> None:
    await place.store.put(ref, photo(2 * MIB), content_type="image/jpeg")
    with pytest.raises(ValueError, match="already"):
        await place.store.put(ref, photo(3 * MIB), content_type="image/jpeg")
    assert await read(place, ref) == bytes_of(0, 2 * MIB)


@pytest.mark.parametrize("after", [0, MIB, 13 * MIB])
async def test_a_put_whose_source_fails_leaves_nothing_and_the_error_is_the_sources(
    place: Place, ref: str, after: int
) -> None:
    async def failing() -> AsyncIterator[bytes]:
        async for piece in photo(after):
            yield piece
        raise KeyError("the source failed")

    with pytest.raises(KeyError, match="the source failed"):
        await place.store.put(ref, failing(), content_type="image/jpeg")
    assert await place.store.find(ref) is None
    assert await place.kept() == 0


@pytest.mark.parametrize("after", [MIB // 2, 13 * MIB])
async def test_a_cancelled_put_leaves_nothing(place: Place, ref: str, after: int) -> None:
    waiting = asyncio.Event()

    async def stopping() -> AsyncIterator[bytes]:
        async for piece in photo(after):
            yield piece
        waiting.set()
        await asyncio.sleep(60)

    putting = asyncio.create_task(place.store.put(ref, stopping(), content_type="image/jpeg"))
    await waiting.wait()
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert await place.store.find(ref) is None
    assert await place.kept() == 0


async def test_a_put_may_be_cancelled_at_any_moment(place: Place) -> None:
    for number in range(12):
        putting = asyncio.create_task(place.store.put(str(number), photo(7 * MIB), content_type="image/jpeg"))
        await asyncio.sleep(number * 0.008)
        putting.cancel()
        [end] = await asyncio.gather(putting, return_exceptions=True)
        assert end == 7 * MIB or isinstance(end, asyncio.CancelledError)
        await place.store.delete(str(number))
    assert await place.kept() == 0


async def test_reading_may_stop_half_way(place: Place, ref: str) -> None:
    await place.store.put(ref, photo(9 * MIB), content_type="image/jpeg")
    async with place.store.open(ref) as found:
        first = await anext(found.chunks)
    assert bytes_of(0, len(first)) == first
    assert await read(place, ref) == bytes_of(0, 9 * MIB)


async def test_two_may_write_and_read_at_a_time(place: Place) -> None:
    await asyncio.gather(*(place.store.put(name, photo(6 * MIB), content_type="image/jpeg") for name in ("one", "two")))
    both = await asyncio.gather(read(place, "one"), read(place, "two"), read(place, "two"))
    assert set(both) == {bytes_of(0, 6 * MIB)}


async def test_a_store_that_is_there_answers(place: Place) -> None:
    await place.store.ping()


async def test_a_source_may_be_read_no_further_than_it_goes(place: Place, ref: str) -> None:
    async with aclosing(photo(3 * MIB)) as source:  # type: ignore[type-var]
        assert await place.store.put(ref, source, content_type="image/jpeg") == 3 * MIB
