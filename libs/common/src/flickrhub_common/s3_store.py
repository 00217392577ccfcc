"""Photos in any S3: parts of 5 MiB on their way while the next is collected, so a photo of any size takes about 20 MiB.

The bucket's policy must allow GetObject, PutObject, DeleteObject, AbortMultipartUpload and, so that "no such object"
is told from "not allowed", ListBucket. Parts left by the death of a process are no object and can't be seen from here:
give the bucket a lifecycle rule that aborts incomplete uploads after a day.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from flickrhub_common.errors import Unavailable
from flickrhub_common.logs import logger
from flickrhub_common.photo_store import OpenPhoto, PhotoNotStored
from flickrhub_common.photo_writing import in_pieces, taken, to_the_end
from flickrhub_common.settings import PhotoStoreSettings

if TYPE_CHECKING:  # names of its stubs only
    from obstore import AsyncWritableFile, GetResult
    from obstore.store import ClientConfig, RetryConfig, S3Config

log = logger(__name__)

CALL_SECONDS = 2.5
"""Time limit of a call that moves no photo, so that a request that needs S3 has its 503 within 3 s."""
PART_SECONDS = 30
"""Time limit of one request that carries a part, and of waiting for the next bytes of a photo being read."""
PHOTO_SECONDS = 3600
UNDO_SECONDS = 10
PART_BYTES = 5 * 1024 * 1024
PARTS_AT_ONCE = 2
PIECE_BYTES = 1024 * 1024

_RETRY: "RetryConfig" = {
    "max_retries": 2,
    "retry_timeout": timedelta(seconds=PART_SECONDS),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=1), "base": 2},
}


class S3Failure(Exception):
    """What S3 answered, in a few words; the driver's own text holds addresses, access key ids and whole replies."""


def make_s3_store(settings: PhotoStoreSettings) -> "S3PhotoStore":
    """A store in the bucket that the settings name. Plain http is used only if the endpoint's own URL says so."""
    return S3PhotoStore(
        _driver(settings, timeout=PART_SECONDS),
        reading=_driver(settings, timeout=PHOTO_SECONDS),
    )


def _driver(settings: PhotoStoreSettings, *, timeout: int) -> S3Store:
    bucket, prefix = settings.photo_bucket()
    endpoint, secret = settings.upload_s3_endpoint, settings.upload_s3_secret_access_key
    client: ClientConfig = {
        "allow_http": endpoint is not None and endpoint.lower().startswith("http://"),
        "connect_timeout": timedelta(seconds=1),
        "read_timeout": timedelta(seconds=PART_SECONDS),
        "timeout": timedelta(seconds=timeout),
    }
    config: S3Config = {"region": settings.upload_s3_region}
    if endpoint is not None:
        config["endpoint"] = endpoint
    if settings.upload_s3_access_key_id is not None and secret is not None:
        config["access_key_id"] = settings.upload_s3_access_key_id
        config["secret_access_key"] = secret.get_secret_value()
    return S3Store(bucket, prefix=prefix or None, config=config, client_options=client, retry_config=_RETRY)


class S3PhotoStore:
    """A PhotoStore in a bucket; the reference, after the prefix, is the key.

    ``reading`` is the driver for reading photos: its time limit is that of a whole photo at the reader's pace.
    """

    def __init__(self, store: S3Store, *, reading: S3Store) -> None:
        self._store = store
        self._reading = reading

    async def put(self, ref: str, chunks: AsyncIterator[bytes], *, content_type: str) -> int:
        """Store a photo; its size in bytes. Raises ValueError when there is one under this reference."""
        if await self.find(ref) is not None:
            raise taken()
        upload = _Upload(self._store, ref, content_type)
        try:
            async for piece in in_pieces(chunks, PIECE_BYTES):
                await upload.write(piece)
            await upload.close()
        except BaseException as error:
            await to_the_end(self._undo(upload, error))
            raise
        return upload.size

    async def find(self, ref: str) -> int | None:
        """The size of a photo, ours or one that a client put with a presigned URL: of any size."""
        with _errors():
            async with asyncio.timeout(CALL_SECONDS):
                try:
                    return int((await obstore.head_async(self._store, ref))["size"])
                except FileNotFoundError:
                    return None

    @asynccontextmanager
    async def open(self, ref: str) -> AsyncIterator[OpenPhoto]:
        """Read a photo."""
        with _errors():
            async with asyncio.timeout(CALL_SECONDS):
                try:
                    found = await obstore.get_async(self._reading, ref)
                except FileNotFoundError:
                    raise PhotoNotStored(ref) from None
        yield OpenPhoto(int(found.meta["size"]), _pieces(found))

    async def delete(self, ref: str) -> None:
        """Remove a photo."""
        with _errors(), suppress(FileNotFoundError):
            async with asyncio.timeout(CALL_SECONDS):
                await obstore.delete_async(self._store, ref)

    async def presign(self, ref: str, *, seconds: float) -> str | None:
        """A URL for one PUT."""
        with _errors():
            async with asyncio.timeout(CALL_SECONDS):  # the machine's own identity may have to be asked for
                return await obstore.sign_async(self._store, "PUT", ref, timedelta(seconds=seconds))

    async def ping(self) -> None:
        """Fail when S3 is away, refuses us, or has no such bucket."""
        with _errors():
            async with asyncio.timeout(CALL_SECONDS):
                try:
                    await obstore.get_async(self._store, "ping")
                except FileNotFoundError as error:
                    if "NoSuchBucket" in str(error):
                        raise

    async def _undo(self, upload: "_Upload", error: BaseException) -> None:
        try:
            async with asyncio.timeout(UNDO_SECONDS):
                await upload.abandon(error)
                if upload.closed:  # or perhaps: an error of the last request says nothing about its effect
                    await self.delete(upload.ref)
        except (Unavailable, TimeoutError) as failure:
            log.warning("photo_left_behind", photo_ref=upload.ref, error=type(failure).__name__)


class _Upload:
    """A new object: put at once if it is smaller than a part, else in parts.

    A cancellation ends the waiting for a call, not the call: what it does can be undone only when it is over.
    """

    def __init__(self, store: S3Store, ref: str, content_type: str) -> None:
        self.ref = ref
        self.size = 0
        self.closed = False
        self._call: asyncio.Future[Any] | None = None
        self._writer: AsyncWritableFile = obstore.open_writer_async(
            store,
            ref,
            attributes={"Content-Type": content_type},
            buffer_size=PART_BYTES,
            max_concurrency=PARTS_AT_ONCE,
        )

    async def write(self, piece: bytes) -> None:
        """Take the next bytes, as soon as there is room for them."""
        await self._wait_for(self._writer.write(piece))
        self.size += len(piece)

    async def close(self) -> None:
        """Make it an object."""
        self.closed = True
        await self._wait_for(self._writer.close())

    async def abandon(self, error: BaseException) -> None:
        """Give up the parts that were sent; those on their way first, as S3 may keep one that an abort overtakes."""
        if self._call is not None:
            await asyncio.gather(self._call, return_exceptions=True)
        if not self.closed:
            with suppress(BaseError, OSError):
                await self._writer.flush()
            with _errors():
                await self._writer.__aexit__(type(error), error, None)

    async def _wait_for(self, call: Awaitable[object]) -> None:
        self._call = asyncio.ensure_future(call)
        with _errors():
            await asyncio.wait({self._call})
            self._call.result()


async def _pieces(found: "GetResult") -> AsyncIterator[bytes]:
    stream = found.stream(min_chunk_size=PIECE_BYTES)
    while True:
        with _errors():
            try:
                piece = bytes(await anext(stream))
            except StopAsyncIteration:
                return
        yield piece


@contextmanager
def _errors() -> Iterator[None]:
    """Turn the driver's failures, a missing bucket and a time limit into Unavailable."""
    try:
        yield
    except (BaseError, OSError) as error:  # a TimeoutError is an OSError
        raise Unavailable("photo_store") from S3Failure(_in_short(error))


_TOLD = re.compile(r"status code: (\d{3})|<Code>(\w{1,60})</Code>|HTTP error: ([a-z ]+)", re.ASCII)


def _in_short(error: Exception) -> str:
    """The kind of failure, and the status and code that S3 gave, or why it gave none."""
    told = (word for found in _TOLD.findall(str(error)) for word in found if word)
    return " ".join([type(error).__name__, *dict.fromkeys(told)])
