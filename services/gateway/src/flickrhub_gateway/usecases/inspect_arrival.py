"""Looks at a photo while it comes in: whose it is, what it is, how large, whether all of it is there."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable

from flickrhub_common.errors import InvalidRequest, TokenNotFound
from flickrhub_common.photo_formats import HEAD_BYTES, Completeness, PhotoFormat, recognise
from flickrhub_gateway.models import is_uuid
from flickrhub_gateway.uploads import (
    EMPTY,
    NOT_RECOGNISED,
    TRUNCATED,
    Arriving,
    FileBegins,
    UserNamed,
    too_large,
    wrong_photo,
)

NO_USER = "user_id: is required"
PIECE_BYTES = 1024 * 1024
"""The bytes go on in pieces of just this size, that of GridFS chunks: nothing has to be joined or cut again."""


class InspectArrival:
    """One arrival: ``begin`` reads until it is known what the photo is, ``pieces`` brings it all, then all is known.

    Whatever is wrong raises at once: InvalidRequest, PayloadTooLarge, TokenNotFound, or what checking the user raises.
    """

    def __init__(self, arriving: AsyncIterator[Arriving], check_user: Callable[[str], Awaitable[None]]) -> None:
        self._arriving = arriving
        self._check_user = check_user
        self._sha256 = hashlib.sha256()
        self._waiting: list[bytes | memoryview] = []
        self._waiting_bytes = 0
        self._user_id: str | None = None
        self._at_least = 0
        self._begun = False
        self._format: PhotoFormat | None = None
        self.filename: str | None = None
        self.size = 0

    @property
    def user_id(self) -> str:
        """Whose photo it is; known after all pieces at the latest."""
        if self._user_id is None:
            raise InvalidRequest(details=[NO_USER])
        return self._user_id

    @property
    def sha256(self) -> str:
        """Of all pieces so far, in hex."""
        return self._sha256.hexdigest()

    async def named(self, user_id: str) -> None:
        """The user_id has come, here or there; it may not come twice with another meaning."""
        if self._user_id not in {None, user_id.lower()}:
            raise InvalidRequest(details=["user_id: was given twice, and not the same"])
        if not is_uuid(user_id):
            raise TokenNotFound  # no connection was ever called that: as unknown as any other
        self._user_id = user_id.lower()
        await self._check_user(self._user_id)

    async def begin(self) -> PhotoFormat:
        """Read as far as it takes to know the photo's format."""
        while self._waiting_bytes < HEAD_BYTES and await self._more():
            pass
        if not self._begun:
            raise wrong_photo("is required")
        head = b"".join(self._waiting)
        found = recognise(head[:HEAD_BYTES])
        if found is None:
            raise wrong_photo(NOT_RECOGNISED if head else EMPTY)
        self._format = found
        self._check_size(max(self._at_least, self._waiting_bytes))
        return found

    async def pieces(self, found: PhotoFormat) -> AsyncIterator[bytes]:
        """The photo, in pieces; the last one only when everything is known to be right."""
        whole = Completeness(found)
        more = True
        while more or self._waiting_bytes:
            while self._waiting_bytes < PIECE_BYTES and more:
                more = await self._more()
            piece = self._take()
            whole.feed(piece)
            if not more and not self._waiting_bytes:
                self._check_end(whole)
            yield piece

    async def _more(self) -> bool:
        """Take what arrives next; whether anything did."""
        arrived = await anext(self._arriving, None)
        if isinstance(arrived, UserNamed):
            await self.named(arrived.user_id)
        elif isinstance(arrived, FileBegins):
            self._begun, self.filename, self._at_least = True, arrived.filename, arrived.at_least
        elif arrived is not None:
            self._waiting.append(arrived)
            self._waiting_bytes += len(arrived)
            self._check_size(self.size + self._waiting_bytes)
        return arrived is not None

    def _take(self) -> bytes:
        """The next piece: what is waiting, and of the last chunk only as much as fits."""
        over = self._waiting_bytes - PIECE_BYTES
        kept: list[bytes | memoryview] = []
        if over > 0:
            last = memoryview(self._waiting.pop())
            self._waiting.append(last[:-over])
            kept.append(last[-over:])
        piece = b"".join(self._waiting)
        self._waiting, self._waiting_bytes = kept, max(0, over)
        self.size += len(piece)
        self._sha256.update(piece)
        return piece

    def _check_end(self, whole: Completeness) -> None:
        if not whole.whole:
            raise wrong_photo(TRUNCATED)
        if self._user_id is None:
            raise InvalidRequest(details=[NO_USER])

    def _check_size(self, size: int) -> None:
        if self._format is not None and size > self._format.most_bytes:
            raise too_large(self._format)
