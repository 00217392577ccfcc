"""Promises a place in the photo store, to which a client puts its photo itself."""

import uuid
from datetime import timedelta

from flickrhub_common.clock import Clock
from flickrhub_common.errors import Conflict, TokenNotFound
from flickrhub_common.logs import logger
from flickrhub_common.photo_store import PhotoStore
from flickrhub_gateway.models import is_uuid
from flickrhub_gateway.ports import Uploads
from flickrhub_gateway.uploads import Presigned, Upload, UploadState, plain_filename
from flickrhub_gateway.usecases.check_connection import CheckConnection

log = logger(__name__)

NO_URLS = "This hub's photo store gives out no URLs: send the photo to POST /api/v1/uploads."


class PresignUpload:
    """Stores the record, whose photo is still to come, and gives out the URL for it."""

    def __init__(
        self,
        *,
        check_connection: CheckConnection,
        uploads: Uploads,
        store: PhotoStore,
        clock: Clock,
        lifetime: timedelta,
    ) -> None:
        self._check_connection = check_connection
        self._uploads = uploads
        self._store = store
        self._clock = clock
        self._lifetime = lifetime

    async def __call__(self, *, user_id: str, filename: str | None) -> Presigned:
        """Where to put the photo. Raises Conflict where the store gives no URLs, TokenNotFound and Unavailable."""
        if not is_uuid(user_id):
            raise TokenNotFound
        await self._check_connection(user_id.lower())
        ref, now = str(uuid.uuid4()), self._clock.now()
        url = await self._store.presign(ref, seconds=self._lifetime.total_seconds())
        if url is None:
            raise Conflict(NO_URLS)
        expires_at = now + self._lifetime
        record = Upload(
            ref=ref,
            user_id=user_id.lower(),
            state=UploadState.PRESIGNED,
            filename=plain_filename(filename),
            created_at=now,
            expires_at=expires_at,
            put_until=expires_at,
        )
        await self._uploads.add(record)
        log.info("upload_presigned", user_id=record.user_id, photo_ref=ref)
        return Presigned(ref=ref, url=url, expires_at=expires_at)
