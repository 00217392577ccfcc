"""A store that goes away: Unavailable in time, nothing left when it is back, and the same store goes on."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from flickrhub_common import gridfs_store, s3_store
from flickrhub_common.errors import Unavailable
from flickrhub_common.photo_store import PhotoStore
from tests.integration.photo_store.conftest import MIB, Place, bytes_of, photo
from tests.support.tcp_proxy import TcpProxy

Call = Callable[[PhotoStore, str], Awaitable[object]]


async def _put(store: PhotoStore, ref: str) -> object:
    return await store.put(ref, photo(MIB), content_type="image/png")


async def _read(store: PhotoStore, ref: str) -> object:
    async with store.open(ref) as found:
        return [piece async for piece in found.chunks]


CALLS: dict[str, Call] = {
    "put": _put,
    "open": _read,
    "find": lambda store, ref: store.find(ref),
    "delete": lambda store, ref: store.delete(ref),
    "ping": lambda store, _: store.ping(),
}


@pytest.fixture(params=["gridfs", "s3_place"])
def place(request: pytest.FixtureRequest) -> Place:
    """Every store that has a network."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Place)
    return found


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gridfs_store, "CHUNK_SECONDS", 1)
    monkeypatch.setattr(s3_store, "UNDO_SECONDS", 0.5)


@pytest.fixture
def network(place: Place) -> TcpProxy:
    """Its network."""
    assert place.proxy is not None
    return place.proxy


async def _unavailable(call: Awaitable[object], *, within: float) -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        await call
    assert caught.value.dependency == "photo_store"
    assert time.monotonic() - began < within


async def test_one_that_is_away_is_unavailable_within_3_seconds(place: Place, network: TcpProxy, ref: str) -> None:
    await place.store.put(ref, photo(MIB), content_type="image/png")
    await network.cut()
    await asyncio.gather(*(_unavailable(call(place.store, ref), within=3) for call in CALLS.values()))
    await network.restore()
    assert await place.store.find(ref) == MIB


async def test_one_that_is_silent_is_unavailable_within_3_seconds(place: Place, network: TcpProxy, ref: str) -> None:
    await place.store.put(ref, photo(MIB), content_type="image/png")
    network.stall()
    await asyncio.gather(*(_unavailable(call(place.store, ref), within=3) for call in CALLS.values()))


async def test_a_put_that_loses_its_store_is_unavailable_and_what_it_left_can_be_deleted(
    place: Place, network: TcpProxy, ref: str
) -> None:
    async def cutting() -> AsyncIterator[bytes]:
        async for piece in photo(13 * MIB):
            yield piece
        await network.cut()
        yield bytes(12 * MIB)

    await _unavailable(place.store.put(ref, cutting(), content_type="image/png"), within=5)
    await network.restore()
    assert await place.store.find(ref) is None
    await place.store.delete(ref)
    await place.store.put(ref, photo(MIB), content_type="image/png")
    assert await place.store.find(ref) == MIB


async def test_a_put_that_meets_silence_ends(place: Place, network: TcpProxy, ref: str) -> None:
    stalled = asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        async for piece in photo(13 * MIB):
            yield piece
        network.stall()
        stalled.set()
        yield bytes(12 * MIB)

    putting = asyncio.create_task(place.store.put(ref, stalling(), content_type="image/png"))
    if isinstance(place.store, s3_store.S3PhotoStore):  # whose limits are the driver's: here a cancellation comes
        await stalled.wait()
        putting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(putting, 3)
    else:
        await _unavailable(putting, within=5)


async def test_a_reader_that_loses_its_store_is_told(place: Place, network: TcpProxy, ref: str) -> None:
    await place.store.put(ref, photo(30 * MIB), content_type="image/png")
    async with place.store.open(ref) as found:
        first = await anext(found.chunks)
        assert first == bytes_of(0, len(first))
        await network.cut()

        async def go_on() -> None:
            async for _ in found.chunks:
                pass

        await _unavailable(go_on(), within=3)
