"""Photos in MongoDB, as GridFS describes files: bucket ``photos``, readable by any GridFS tool.

PyMongo's own GridFS writer holds up to 44 MiB before it inserts (``gridfs.grid_file_shared._UPLOAD_BUFFER_SIZE``), and
its reader fetches batches of 16 MiB. Here chunks go and come one by one, one of them on its way while the next is
collected, so that a photo of any size takes about 4 MiB.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractContextManager, aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime

import pymongo
from bson import ObjectId
from opentelemetry.instrumentation.utils import suppress_instrumentation
from pymongo import ASCENDING, DESCENDING, ReadPreference, WriteConcern
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError

from flickrhub_common.errors import Unavailable
from flickrhub_common.logs import logger
from flickrhub_common.mongo import Database, Document, mongo_errors
from flickrhub_common.photo_store import OpenPhoto, PhotoNotStored
from flickrhub_common.photo_writing import in_pieces, taken, to_the_end

log = logger(__name__)

CHUNK_BYTES = 1024 * 1024
"""Below this the round trips cost (128 against 170 MiB/s at 255 KiB), above it nothing is won."""
CHUNKS_AHEAD = 2
"""How many are being read while one is handed on."""
CHUNK_SECONDS = 5.0
"""Time limit of one chunk, twice that of other operations: a checkpoint on a slow disk may hold an insert up."""
DURABLE_SECONDS = 10.0
"""Time limit of the last insert: the other members may have all of the photo still to fetch."""
DELETED_AT_ONCE = 64

_MAJORITY = WriteConcern("majority", j=True)
_RECEIVED = WriteConcern(1, j=False)


class GridFsPhotoStore:
    """A PhotoStore in a database: ``photos.files`` and ``photos.chunks``.

    Chunks are written without waiting for the disk and the other members. The files document, written last, waits for
    both, and as oplog and journal are sequential, the chunks before it are then durable as well. Only a change of
    primary in between may have rolled some back: so they are counted afterwards.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._files = database.get_collection(
            "photos.files", read_preference=ReadPreference.PRIMARY, write_concern=_MAJORITY
        )
        self._chunks = database.get_collection(
            "photos.chunks", read_preference=ReadPreference.PRIMARY, write_concern=_MAJORITY
        )
        self._prepared = False

    async def prepare(self) -> None:
        """Make the collections and their indexes, once; harmless when they are there or others make them too.

        The chunks are stored uncompressed where the server takes the option: photos are compressed already.
        """
        if self._prepared:
            return
        with _errors():
            with suppress(OperationFailure):  # it exists, or the server has another engine
                await self._database.create_collection(
                    "photos.chunks",
                    check_exists=False,
                    storageEngine={"wiredTiger": {"configString": "block_compressor=none"}},
                )
            await self._chunks.create_index([("files_id", ASCENDING), ("n", ASCENDING)], unique=True)
            await self._files.create_index([("filename", ASCENDING), ("uploadDate", ASCENDING)])
        self._prepared = True

    async def put(self, ref: str, chunks: AsyncIterator[bytes], *, content_type: str) -> int:
        """Store a photo; its size in bytes. Raises ValueError when there is one under this reference."""
        await self.prepare()
        if await self.find(ref) is not None:
            raise taken()
        upload = _Upload(self._chunks.with_options(write_concern=_RECEIVED), ref)
        try:
            async for piece in in_pieces(chunks, CHUNK_BYTES):
                await upload.insert(piece)
            await upload.settle()
            await self._finish(upload, content_type)
        except DuplicateKeyError as error:
            raise taken() from error
        except BaseException:
            await to_the_end(self._undo(upload))
            raise
        return upload.size

    async def find(self, ref: str) -> int | None:
        """The size of a finished photo."""
        with _errors():
            found = await self._files.find_one({"_id": ref}, {"length": True})
        return None if found is None else int(found["length"])

    @asynccontextmanager
    async def open(self, ref: str) -> AsyncIterator[OpenPhoto]:
        """Read a finished photo."""
        with _errors():
            found = await self._files.find_one({"_id": ref}, {"length": True, "chunkSize": True})
        if found is None:
            raise PhotoNotStored(ref)
        async with aclosing(self._read(ref, int(found["length"]), int(found["chunkSize"]))) as chunks:
            yield OpenPhoto(int(found["length"]), chunks, whole=True)  # only the gateway can write here

    async def delete(self, ref: str) -> None:
        """Remove a photo: first what makes it one, then its chunks, a few at a time."""
        with _errors():
            await self._files.delete_one({"_id": ref})
            last = await self._chunks.find_one({"files_id": ref}, {"_id": False, "n": True}, sort=[("n", DESCENDING)])
            for first in range(0, last["n"] + 1 if last else 0, DELETED_AT_ONCE):
                some = {"$gte": first, "$lt": first + DELETED_AT_ONCE}
                await self._chunks.delete_many({"files_id": ref, "n": some})

    async def presign(self, ref: str, *, seconds: float) -> str | None:
        """None: clients can't write to MongoDB."""
        return None

    async def ping(self) -> None:
        """Fail when MongoDB is away."""
        with _errors():
            await self._database.command("ping")

    async def _finish(self, upload: "_Upload", content_type: str) -> None:
        """Make the photo one that can be found, and durable."""
        document = {
            "_id": upload.ref,
            "length": upload.size,
            "chunkSize": CHUNK_BYTES,
            "uploadDate": datetime.now(UTC),
            "filename": upload.ref,
            "metadata": {"contentType": content_type},
        }
        with _errors():
            with pymongo.timeout(DURABLE_SECONDS):
                await self._files.insert_one(document)
            stored = await self._chunks.count_documents({"files_id": upload.ref})
        if stored != upload.count:
            raise Unavailable("photo_store")

    async def _undo(self, upload: "_Upload") -> None:
        await upload.abandon()
        try:
            await self.delete(upload.ref)
        except (Unavailable, PyMongoError) as error:
            log.warning("photo_left_behind", photo_ref=upload.ref, error=type(error).__name__)

    async def _read(self, ref: str, length: int, chunk_size: int) -> AsyncGenerator[bytes]:
        count = -(-length // chunk_size)
        ahead = [asyncio.create_task(self._chunk(ref, n)) for n in range(min(count, CHUNKS_AHEAD))]
        try:
            for n in range(count):
                if n + CHUNKS_AHEAD < count:
                    ahead.append(asyncio.create_task(self._chunk(ref, n + CHUNKS_AHEAD)))
                data = await ahead[0]
                del ahead[0]
                if len(data) != min(chunk_size, length - n * chunk_size):
                    raise PhotoNotStored(ref)
                yield data
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)

    async def _chunk(self, ref: str, n: int) -> bytes:
        with _errors(), suppress_instrumentation(), pymongo.timeout(CHUNK_SECONDS):
            found = await self._chunks.find_one({"files_id": ref, "n": n}, {"_id": False, "data": True})
        return b"" if found is None else bytes(found["data"])


class _Upload:
    """The chunks of one new photo, of which one may be on its way.

    They are sent in tasks of their own: a cancelled operation closes its connection, and a removal on the next one
    might overtake the insert.
    """

    def __init__(self, chunks: AsyncCollection[Document], ref: str) -> None:
        self.ref = ref
        self.count = 0
        self.size = 0
        self._chunks = chunks
        self._flight: asyncio.Task[None] | None = None

    async def insert(self, piece: bytes) -> None:
        """Send the next chunk, once the one before has arrived. The first is waited for: it claims the reference."""
        await self.settle()
        self._flight = asyncio.create_task(self._send(self.count, piece))
        self.count += 1
        self.size += len(piece)
        if self.count == 1:
            await self.settle()

    async def settle(self) -> None:
        """Wait until everything sent has arrived."""
        if self._flight is not None:
            await asyncio.wait({self._flight})
            await self._flight

    async def abandon(self) -> None:
        """Wait for the end of what is on its way, whatever it is."""
        if self._flight is not None:
            await asyncio.gather(self._flight, return_exceptions=True)

    async def _send(self, n: int, piece: bytes) -> None:
        chunk = {"_id": ObjectId(), "files_id": self.ref, "n": n, "data": piece}
        with _errors(), suppress_instrumentation(), pymongo.timeout(CHUNK_SECONDS):
            await self._chunks.insert_one(chunk)


def _errors() -> AbstractContextManager[None]:
    return mongo_errors("photo_store")
