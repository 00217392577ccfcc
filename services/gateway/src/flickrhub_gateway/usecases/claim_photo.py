"""Gives a job its photo: one that was handed over before, or one that came inside the call."""

import uuid
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from flickrhub_common.clock import Clock
from flickrhub_common.errors import Conflict, InvalidRequest
from flickrhub_common.photo_formats import MAX_VIDEO_BYTES
from flickrhub_common.photo_store import PhotoStore
from flickrhub_gateway.models import OPEN, State
from flickrhub_gateway.ports import Jobs, Uploads
from flickrhub_gateway.uploads import EMPTY, InlinePhoto, Upload, UploadState

UNFINISHED = timedelta(minutes=5)
TAKE_OVER_AFTER = timedelta(seconds=10)
"""A job that claimed a photo and isn't stored so long afterwards never will be: its request ended long before."""

NO_SUCH_UPLOAD = "there is no such upload for this user_id, or it has expired"
NOTHING_PUT = "nothing has been uploaded to it yet"
PUT_TOO_LARGE = "what has been uploaded to it is more than the 1 GiB that Flickr takes"
IN_USE = "This photo_ref is used by another job that hasn't ended."


class ClaimPhoto:
    """One job uses a photo at a time; which one is decided by one update of its record.

    A claim outlives its request when the job couldn't be stored, or nobody can tell: then the next job takes it over
    after a moment, or the sweeper finds it.
    """

    def __init__(self, *, uploads: Uploads, jobs: Jobs, store: PhotoStore, clock: Clock, lifetime: timedelta) -> None:
        self._uploads = uploads
        self._jobs = jobs
        self._store = store
        self._clock = clock
        self._lifetime = lifetime

    async def __call__(self, photo: str | InlinePhoto, *, user_id: str, job_id: str) -> dict[str, str]:
        """The params that lead the executor to the photo.

        Raises InvalidRequest for a photo_ref that isn't this user's to use, Conflict for one that another open job
        uses, Unavailable when Mongo or the store is away.
        """
        if isinstance(photo, InlinePhoto):
            return {"photo_ref": await self._store_inline(photo, user_id=user_id, job_id=job_id)}
        upload = await self._claim(photo, user_id=user_id, job_id=job_id)
        return {"photo_ref": upload.ref, **({"filename": upload.filename} if upload.filename else {})}

    async def _claim(self, ref: str, *, user_id: str, job_id: str) -> Upload:
        now = self._clock.now()
        seen = await self._uploads.find(ref)
        if seen is None or not _usable(seen, user_id, now):
            raise _wrong_ref(NO_SUCH_UPLOAD)
        if seen.job_id is not None:
            await self._check_holder(seen.job_id, claimed_at=seen.claimed_at or now, now=now)
        if seen.state is UploadState.PRESIGNED:
            await self._check_bytes(ref)
        claimed = await self._uploads.claim(
            ref, user_id=user_id, held_by=seen.job_id, job_id=job_id, now=now, until=now + self._lifetime
        )
        if claimed is None:
            raise Conflict(IN_USE)  # somebody was faster
        return claimed

    async def _check_holder(self, holder: str, *, claimed_at: datetime, now: datetime) -> None:
        """Return if the photo may be taken from the job that claimed it last."""
        states = await self._jobs.states([holder])
        state = states.get(holder)
        if state is State.COMPLETED:
            raise _wrong_ref(NO_SUCH_UPLOAD)  # it is about to go
        if state in OPEN or (holder not in states and now - claimed_at < TAKE_OVER_AFTER):
            raise Conflict(IN_USE)

    async def _check_bytes(self, ref: str) -> None:
        size = await self._store.find(ref)
        if size is None:
            raise _wrong_ref(NOTHING_PUT)
        if size == 0:
            raise _wrong_ref(f"what has been uploaded to it {EMPTY}")
        if size > MAX_VIDEO_BYTES:
            raise _wrong_ref(PUT_TOO_LARGE)

    async def _store_inline(self, photo: InlinePhoto, *, user_id: str, job_id: str) -> str:
        """Have the photo in the store, for this job only; its record lets the sweeper find it if the job never is."""
        now = self._clock.now()
        record = Upload(
            ref=str(uuid.uuid4()),
            user_id=user_id,
            state=UploadState.RECEIVING,
            filename=None,
            created_at=now,
            expires_at=now + UNFINISHED,
            hidden=True,
            job_id=job_id,
            claimed_at=now,
        )
        await self._uploads.add(record)
        await self._store.put(record.ref, _once(photo.data), content_type=photo.format.content_type)
        return record.ref


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _usable(upload: Upload, user_id: str, now: datetime) -> bool:
    claimable = upload.state in {UploadState.READY, UploadState.PRESIGNED} and not upload.hidden
    return claimable and upload.user_id == user_id and upload.expires_at > now


def _wrong_ref(what: str) -> InvalidRequest:
    return InvalidRequest(details=[f"params.photo_ref: {what}"])
