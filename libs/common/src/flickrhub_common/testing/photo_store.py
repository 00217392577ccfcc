"""A photo store in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from flickrhub_common.errors import Unavailable
from flickrhub_common.photo_store import OpenPhoto, PhotoNotStored
from flickrhub_common.photo_writing import taken


class FakePhotoStore:
    """Keeps photos in ``photos``. Set ``away`` to make every call fail as an absent store would.

    ``presign_url`` is what presigned URLs begin with; None is a store that can't make any. A photo is read in pieces
    of ``piece_bytes``.
    """

    def __init__(self, *, presign_url: str | None = None, piece_bytes: int = 1024 * 1024) -> None:
        self.photos: dict[str, bytes] = {}
        self.content_types: dict[str, str] = {}
        self.away = False
        self._presign_url = presign_url
        self._piece_bytes = piece_bytes

    async def put(self, ref: str, chunks: AsyncIterator[bytes], *, content_type: str) -> int:
        """Remember a photo once all of it came."""
        self._reach()
        if ref in self.photos:
            raise taken()
        photo = b"".join([chunk async for chunk in chunks])
        self._reach()
        self.photos[ref] = photo
        self.content_types[ref] = content_type
        return len(photo)

    async def find(self, ref: str) -> int | None:
        """The size of a photo, if there is one."""
        self._reach()
        return len(self.photos[ref]) if ref in self.photos else None

    @asynccontextmanager
    async def open(self, ref: str) -> AsyncIterator[OpenPhoto]:
        """Read a photo."""
        self._reach()
        if ref not in self.photos:
            raise PhotoNotStored(ref)
        photo = self.photos[ref]
        yield OpenPhoto(len(photo), self._pieces(photo))

    async def delete(self, ref: str) -> None:
        """Forget a photo."""
        self._reach()
        self.photos.pop(ref, None)
        self.content_types.pop(ref, None)

    async def presign(self, ref: str, *, seconds: float) -> str | None:
        """A URL that names the reference, where ``presign_url`` is set."""
        self._reach()
        return None if self._presign_url is None else f"{self._presign_url}/{ref}?seconds={seconds:g}"

    async def ping(self) -> None:
        """Fail when away."""
        self._reach()

    async def _pieces(self, photo: bytes) -> AsyncIterator[bytes]:
        for at in range(0, len(photo), self._piece_bytes):
            self._reach()
            yield photo[at : at + self._piece_bytes]

    def _reach(self) -> None:
        if self.away:
            raise Unavailable("photo_store")
