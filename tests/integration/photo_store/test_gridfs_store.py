"""GridFS: the same files as every other tool's, durable when they are there, and whole or not at all."""

import asyncio
import io
from collections.abc import AsyncIterator

import pytest
from gridfs import AsyncGridFSBucket
from pymongo.errors import DuplicateKeyError

from flickrhub_common.errors import Unavailable
from flickrhub_common.gridfs_store import DELETED_AT_ONCE, GridFsPhotoStore
from flickrhub_common.mongo import Database, make_mongo
from flickrhub_common.photo_store import PhotoNotStored, open_photo_store
from flickrhub_common.settings import MongoSettings, PhotoStoreSettings
from tests.integration.photo_store.conftest import MIB, Place, bytes_of, photo


@pytest.fixture
async def database(mongo_settings: MongoSettings) -> AsyncIterator[Database]:
    """The database, without a proxy."""
    async with make_mongo(mongo_settings, service="test") as client:
        yield client[mongo_settings.mongo_db]


@pytest.fixture
def store(database: Database) -> GridFsPhotoStore:
    """A store in it."""
    return GridFsPhotoStore(database)


async def read(store: GridFsPhotoStore, ref: str) -> bytes:
    async with store.open(ref) as found:
        assert found.whole, "nobody but the gateway, which looks at photos, can have written it"
        return b"".join([piece async for piece in found.chunks])


async def test_another_tool_reads_what_we_wrote(store: GridFsPhotoStore, database: Database, ref: str) -> None:
    await store.put(ref, photo(3 * MIB + 5), content_type="image/png")
    bucket = AsyncGridFSBucket(database, bucket_name="photos")
    file = await bucket.open_download_stream(ref)
    assert await file.read() == bytes_of(0, 3 * MIB + 5)
    assert (file.filename, file.length, file.metadata) == (ref, 3 * MIB + 5, {"contentType": "image/png"})
    await bucket.delete(ref)
    assert await store.find(ref) is None


@pytest.mark.parametrize("chunk", [255 * 1024, 5 * MIB])
async def test_we_read_what_another_tool_wrote(
    store: GridFsPhotoStore, database: Database, ref: str, chunk: int
) -> None:
    bucket = AsyncGridFSBucket(database, bucket_name="photos", chunk_size_bytes=chunk)
    await bucket.upload_from_stream_with_id(ref, "a name", io.BytesIO(bytes_of(0, 2 * MIB)))
    assert await read(store, ref) == bytes_of(0, 2 * MIB)


async def test_many_prepare_at_once_and_chunks_are_not_compressed(database: Database, ref: str) -> None:
    stores = [GridFsPhotoStore(database) for _ in range(6)]
    await asyncio.gather(*(store.prepare() for store in stores))
    await stores[0].put(ref, photo(5), content_type="image/png")
    with pytest.raises(DuplicateKeyError):
        await database["photos.chunks"].insert_one({"files_id": ref, "n": 0, "data": b""})
    made = (await database.command("collStats", "photos.chunks"))["wiredTiger"]["creationString"]
    assert "block_compressor=none" in made or "block_compressor=," in made


async def test_of_two_who_write_under_one_reference_one_is_refused(store: GridFsPhotoStore, ref: str) -> None:
    ends = await asyncio.gather(
        *(store.put(ref, photo(3 * MIB), content_type="image/png") for _ in range(2)), return_exceptions=True
    )
    assert sorted(str(end) for end in ends) == [str(3 * MIB), "there is a photo under this reference already"]
    assert await read(store, ref) == bytes_of(0, 3 * MIB)


async def test_what_the_death_of_a_process_left_is_no_photo_and_can_be_deleted(
    store: GridFsPhotoStore, database: Database, ref: str
) -> None:
    await store.prepare()
    left = [{"files_id": ref, "n": n, "data": b"x"} for n in range(2 * DELETED_AT_ONCE + 3)]
    await database["photos.chunks"].insert_many(left)
    assert await store.find(ref) is None
    with pytest.raises(PhotoNotStored):
        await read(store, ref)
    await store.delete(ref)
    assert await database["photos.chunks"].count_documents({}) == 0


@pytest.mark.parametrize("data", [None, b"", b"too short"])
async def test_a_photo_with_a_chunk_missing_or_broken_is_an_error_while_it_is_read(
    store: GridFsPhotoStore, database: Database, ref: str, data: bytes | None
) -> None:
    await store.put(ref, photo(4 * MIB), content_type="image/png")
    chunk = {"files_id": ref, "n": 2}
    if data is None:
        await database["photos.chunks"].delete_one(chunk)
    else:
        await database["photos.chunks"].update_one(chunk, {"$set": {"data": data}})
    async with store.open(ref) as found:
        assert [len(await anext(found.chunks)) for _ in range(2)] == [MIB, MIB]
        with pytest.raises(PhotoNotStored):
            await anext(found.chunks)


async def test_chunks_lost_by_a_change_of_primary_are_noticed(
    store: GridFsPhotoStore, database: Database, ref: str
) -> None:
    async def losing() -> AsyncIterator[bytes]:
        async for piece in photo(4 * MIB):
            yield piece
        assert (await database["photos.chunks"].delete_one({"n": 1})).deleted_count == 1

    with pytest.raises(Unavailable):
        await store.put(ref, losing(), content_type="image/png")
    assert await database["photos.chunks"].count_documents({}) == 0
    assert await store.find(ref) is None


async def test_nobody_can_put_a_photo_there_himself(gridfs: Place, ref: str) -> None:
    assert await gridfs.store.presign(ref, seconds=60) is None


async def test_a_store_without_a_database_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="needs a database"):
        async with open_photo_store(PhotoStoreSettings(), database=None):
            pass
