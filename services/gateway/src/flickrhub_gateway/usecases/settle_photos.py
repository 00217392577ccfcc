"""What becomes of a job's photo when the job has ended."""

from datetime import timedelta

from flickrhub_common.clock import Clock
from flickrhub_common.contracts import JobCompleted, JobFailed
from flickrhub_gateway.ports import Uploads
from flickrhub_gateway.uploads import Upload
from flickrhub_gateway.usecases.discard_upload import DiscardUpload


class SettlePhotos:
    """A photo goes when its job has completed, or when it came inside the call; else it is free for another job."""

    def __init__(self, *, uploads: Uploads, discard: DiscardUpload, clock: Clock, lifetime: timedelta) -> None:
        self._uploads = uploads
        self._discard = discard
        self._clock = clock
        self._lifetime = lifetime

    async def __call__(self, event: JobCompleted | JobFailed) -> None:
        """Settle, again and again if need be: a repeated event finds nothing left to do. Raises Unavailable."""
        for upload in await self._uploads.of_job(event.job_id):
            if isinstance(event, JobCompleted) or upload.hidden:
                await self._discard(upload)
            else:
                await self._free(upload)

    async def _free(self, upload: Upload) -> None:
        await self._uploads.extend(upload, until=self._clock.now() + self._lifetime, job_id=None)
