"""Where the bytes of uploads come from."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from flickrhub_common.photo_store import OpenPhoto, PhotoNotStored, PhotoStore
from flickrhub_executor.adapters.fetched_photos import FetchedPhotos
from flickrhub_executor.errors import PermanentFailure
from flickrhub_executor.models import Photo


class PhotoSources:
    """Implements the port ``Photos``: the photo store for a ``photo_ref``, others' servers for a ``photo_url``."""

    def __init__(self, *, store: PhotoStore, fetched: FetchedPhotos) -> None:
        self._store = store
        self._fetched = fetched

    @asynccontextmanager
    async def open(self, params: Mapping[str, Any]) -> AsyncIterator[Photo]:
        """The photo, under its own file name if there is one, its content type not known yet."""
        try:
            async with self._source(params) as photo:
                filename = params.get("filename", "photo")
                yield Photo(photo.size, filename, "application/octet-stream", photo.chunks, photo.whole)
        except PhotoNotStored as error:
            raise PermanentFailure("The photo is no longer kept.", code="ERR_PHOTO_NOT_FOUND") from error

    def _source(self, params: Mapping[str, Any]) -> AbstractAsyncContextManager[OpenPhoto]:
        if "photo_ref" in params:
            return self._store.open(params["photo_ref"])
        return self._fetched.open(params["photo_url"])
