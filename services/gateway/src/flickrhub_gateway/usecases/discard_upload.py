"""Lets a photo go: its bytes first, then its record."""

from datetime import timedelta

from flickrhub_common.clock import Clock
from flickrhub_common.logs import logger
from flickrhub_common.photo_store import PhotoStore
from flickrhub_gateway.ports import Uploads
from flickrhub_gateway.uploads import Upload

log = logger(__name__)

REST = timedelta(minutes=1)
"""When a photo that couldn't be deleted is tried again: after all others that have expired."""
LAST_PUT = timedelta(hours=1)
"""How long after its URL ended a client may still be putting a photo to the store."""


class DiscardUpload:
    """Marks the record, so that nobody claims it any more, deletes the bytes, then forgets it.

    Where a presigned URL can still bring new bytes, the record stays until it can't, and the bytes are deleted again.
    """

    def __init__(self, *, uploads: Uploads, store: PhotoStore, clock: Clock) -> None:
        self._uploads = uploads
        self._store = store
        self._clock = clock

    async def __call__(self, seen: Upload) -> bool:
        """Whether the record was still as it was seen, so that it could go. Raises Unavailable; the sweeper goes on."""
        now = self._clock.now()
        last_put = now if seen.put_until is None else seen.put_until + LAST_PUT
        if not await self._uploads.doom(seen, until=max(last_put, now + REST)):
            return False
        await self._store.delete(seen.ref)
        if last_put <= now:
            await self._uploads.remove(seen.ref)
        log.debug("upload_discarded", photo_ref=seen.ref)
        return True
