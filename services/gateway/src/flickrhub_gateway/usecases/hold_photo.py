"""A job that is run again has its photo again, if that is still there and nobody else's."""

from flickrhub_common.contracts import JobReplayed
from flickrhub_common.errors import Conflict, InvalidRequest
from flickrhub_common.logs import logger
from flickrhub_gateway.usecases.claim_photo import ClaimPhoto

log = logger(__name__)


class HoldPhoto:
    """Claims the photo of a replayed upload or replacement, so that it neither expires nor goes to another job.

    Without it the executor finds out for itself whether the photo is there, and fails the job if it isn't.
    """

    def __init__(self, claim_photo: ClaimPhoto) -> None:
        self._claim_photo = claim_photo

    async def __call__(self, event: JobReplayed) -> None:
        """Hold it; repeated, it finds it held. Raises Unavailable."""
        if event.photo_ref is None:
            return
        try:
            await self._claim_photo(event.photo_ref, user_id=event.user_id, job_id=event.job_id)
        except (InvalidRequest, Conflict) as refused:
            log.info("photo_not_held", photo_ref=event.photo_ref, error=refused.code)
