"""Which source a job's params name, and what becomes of a photo that isn't there."""

import pytest

from flickrhub_common.addresses import AddressPolicy
from flickrhub_common.errors import Unavailable
from flickrhub_common.http_client import make_guarded_client
from flickrhub_common.testing import FakePhotoStore
from flickrhub_executor.adapters.fetched_photos import FetchedPhotos
from flickrhub_executor.adapters.photos import PhotoSources
from flickrhub_executor.errors import PermanentFailure
from flickrhub_executor.models import Photo
from tests.support.photo_server import photo_server

LOOPBACK = AddressPolicy.parse("127.0.0.0/8")
REF = "0b8f6a2e-3a86-4d5c-9a53-1f0f3a0d7c11"


@pytest.fixture
def store() -> FakePhotoStore:
    return FakePhotoStore(piece_bytes=4)


async def opened(store: FakePhotoStore, params: dict[str, str]) -> tuple[Photo, bytes]:
    async with make_guarded_client(LOOPBACK, timeout_seconds=5) as client:
        sources = PhotoSources(store=store, fetched=FetchedPhotos(client, policy=LOOPBACK, bytes_per_second=1))
        async with sources.open(params) as photo:
            return photo, b"".join([chunk async for chunk in photo.chunks])


async def test_a_reference_is_looked_up_in_the_store(store: FakePhotoStore) -> None:
    store.photos[REF] = b"a photo"
    photo, content = await opened(store, {"photo_ref": REF, "title": "t"})
    assert (photo.size, photo.filename, photo.content_type) == (7, "photo", "application/octet-stream")
    assert content == b"a photo"


async def test_a_url_is_fetched(store: FakePhotoStore) -> None:
    async with photo_server() as server:
        photo, content = await opened(store, {"photo_url": server.whole(b"a photo"), "filename": "a b.jpg"})
    assert (photo.size, photo.filename, content) == (7, "a b.jpg", b"a photo")


async def test_a_photo_no_longer_kept_is_a_failure_for_good(store: FakePhotoStore) -> None:
    with pytest.raises(PermanentFailure) as caught:
        await opened(store, {"photo_ref": REF})
    assert caught.value.code == "ERR_PHOTO_NOT_FOUND"
    assert REF not in " ".join([caught.value.message, *caught.value.chain()])


async def test_a_store_that_is_away_is_told_as_it_is(store: FakePhotoStore) -> None:
    store.photos[REF] = b"a photo"
    store.away = True
    with pytest.raises(Unavailable):
        await opened(store, {"photo_ref": REF})
