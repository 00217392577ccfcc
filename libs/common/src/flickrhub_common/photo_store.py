"""Where photos wait between the client who hands them over and the executor who sends them.

The gateway writes and deletes, executors read; messages carry only the reference. Two adapters: ``gridfs_store`` in the
MongoDB that is there, ``s3_store`` in any S3. Neither ever holds more than a few MiB of a photo in memory. See
docs/adr/0014-photo-store.md.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from flickrhub_common.settings import GRIDFS, PhotoStoreSettings

if TYPE_CHECKING:
    from flickrhub_common.mongo import Database


class PhotoNotStored(LookupError):
    """There is nothing under this reference: never finished, expired, or deleted after its job succeeded."""


@dataclass(frozen=True)
class OpenPhoto:
    """A photo being read: its size in bytes, and its bytes, in pieces of at most a few MiB.

    ``whole``: it was looked at to its end when it came, and need not be again.
    """

    size: int
    chunks: AsyncIterator[bytes] = field(repr=False)
    whole: bool = False


class PhotoStore(Protocol):
    """Keeps photos under references of the hub's own making (UUIDs). Every call raises Unavailable("photo_store")."""

    async def put(self, ref: str, chunks: AsyncIterator[bytes], *, content_type: str) -> int:
        """Store a photo piece by piece; its size in bytes, when it is durable.

        Whatever ends it early (an error of ``chunks``, a cancellation) leaves nothing to be found under ``ref``; what
        the death of the process leaves goes with ``delete``.
        """
        ...

    async def find(self, ref: str) -> int | None:
        """The size of a finished photo in bytes; None if there is none."""
        ...

    def open(self, ref: str) -> AbstractAsyncContextManager[OpenPhoto]:
        """Read a finished photo. Raises PhotoNotStored."""
        ...

    async def delete(self, ref: str) -> None:
        """Remove a photo, finished or not; harmless when there is none."""
        ...

    async def presign(self, ref: str, *, seconds: float) -> str | None:
        """A URL to which a client may PUT the photo itself, for so long; None where that isn't possible."""
        ...

    async def ping(self) -> None:
        """Raise Unavailable unless the store answers."""
        ...


@asynccontextmanager
async def open_photo_store(settings: PhotoStoreSettings, *, database: "Database | None") -> AsyncIterator[PhotoStore]:
    """The store that the settings name, ready to use; one in ``gridfs:`` keeps its photos in this database."""
    # The adapters import this module, and a process needs one of them only.
    if settings.upload_store_url == GRIDFS:
        if database is None:
            raise ValueError("a gridfs: store needs a database")
        from flickrhub_common.gridfs_store import GridFsPhotoStore  # noqa: PLC0415

        yield GridFsPhotoStore(database)
    else:
        from flickrhub_common.s3_store import make_s3_store  # noqa: PLC0415

        yield make_s3_store(settings)
