"""Finds photos whose time is over: unused, unfinished, or left behind by a job that ended."""

from datetime import timedelta

from flickrhub_common.clock import Clock
from flickrhub_common.logs import logger
from flickrhub_gateway.models import OPEN
from flickrhub_gateway.ports import Jobs, Uploads
from flickrhub_gateway.uploads import Upload, UploadState
from flickrhub_gateway.usecases.discard_upload import DiscardUpload

log = logger(__name__)

BATCH = 100


class SweepUploads:
    """Discards what has expired, oldest first; what an open job uses stays as long as that is open.

    Every step is one update of a record as it was seen, so gateways that sweep at the same time do no harm.
    """

    def __init__(
        self, *, uploads: Uploads, jobs: Jobs, discard: DiscardUpload, clock: Clock, lifetime: timedelta
    ) -> None:
        self._uploads = uploads
        self._jobs = jobs
        self._discard = discard
        self._clock = clock
        self._lifetime = lifetime

    async def __call__(self) -> int:
        """Sweep until nothing is left; how many photos went. Raises Unavailable."""
        total = 0
        while True:
            batch = await self._uploads.expired(now=self._clock.now(), limit=BATCH)
            held = {upload.job_id for upload in batch if upload.job_id is not None}
            states = await self._jobs.states(held) if held else {}
            for upload in batch:
                in_use = upload.job_id is not None and states.get(upload.job_id) in OPEN
                total += await self._settle(upload, in_use=in_use)
            if len(batch) < BATCH:
                break
        if total:
            log.info("uploads_swept", count=total)
        return total

    async def _settle(self, upload: Upload, *, in_use: bool) -> bool:
        if in_use and upload.state is not UploadState.DOOMED:
            await self._uploads.extend(upload, until=self._clock.now() + self._lifetime, job_id=upload.job_id)
            return False
        return await self._discard(upload)
