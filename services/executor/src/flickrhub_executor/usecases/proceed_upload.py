"""How an upload goes on after one of its steps: to the next message, to its end, or to nothing."""

from functools import partial

from flickrhub_common.contracts import JobRequested, Target
from flickrhub_common.errors import Unavailable
from flickrhub_common.logs import logger
from flickrhub_executor.errors import CallFailed, OutcomeUnknown
from flickrhub_executor.models import CachedReply, FlickrReply
from flickrhub_executor.ports import Cache
from flickrhub_executor.usecases.attempts import Attempts
from flickrhub_executor.usecases.hold_claim import LEASE_SECONDS, Lease
from flickrhub_executor.usecases.next_step import Next, after_untold_success, progress_of
from flickrhub_executor.usecases.report_outcome import ReportOutcome

log = logger(__name__)


class ProceedUpload:
    """Every method raises Unavailable only when the same message may come again without harm."""

    def __init__(self, *, attempts: Attempts, report: ReportOutcome, cache: Cache | None) -> None:
        self._attempts = attempts
        self._report = report
        self._cache = cache

    async def go_on(
        self, job: JobRequested, following: Next, lease: Lease, *, failure: CallFailed | None = None
    ) -> None:
        """Have the next message come; with a ``failure`` everybody is told that the attempt is repeated.

        The next message says what has happened, so it goes out also when the claim can't be marked: should Redis come
        back without its data, the same message coming again would send the photo again.
        """
        progress = progress_of(following.job)
        log.info("upload_goes_on", step=progress.step, asked=progress.asked, failed=progress.failed)
        try:
            await self._attempts.go_on(
                job, following.job, owner=lease.owner, seconds=following.seconds, failure=failure
            )
        except Unavailable as error:
            log.warning("claim_not_marked", dependency=error.dependency)
            await self._attempts.send_later(following.job, seconds=following.seconds)

    async def succeed(self, job: JobRequested, flickr: str, reply: FlickrReply, lease: Lease) -> None:
        """End the job with its photo; if that can't be noted just after an upload, have the photo looked for."""
        await self.make_stale(job)
        try:
            answer = CachedReply(flickr, reply.status)
            await self._attempts.complete(job, answer, owner=lease.owner, duration_ms=reply.duration_ms)
        except Unavailable as error:
            if job.target is not Target.UPLOAD or progress_of(job).step != "send":
                raise
            log.warning("success_not_told", dependency=error.dependency)
            following = after_untold_success(job)
            await self._attempts.send_later(following.job, seconds=following.seconds)

    async def fail(self, job: JobRequested, failure: CallFailed, lease: Lease) -> None:
        """End the job with the reason, unless another executor has taken it over and may yet succeed."""
        await self._attempts.fail(job, failure, owner=lease.owner)

    async def put_aside(self, job: JobRequested) -> None:
        """Do nothing more about a job whose claim is lost: this copy of the message comes again, and learns why."""
        log.warning("claim_lost")
        await self._report.look_again(job, seconds=LEASE_SECONDS)

    async def make_stale(self, job: JobRequested) -> None:
        """Make the user's cached reads stale. Without Redis they aren't read either."""
        if self._cache is None:
            return
        try:
            await self._report.hold(partial(self._cache.make_stale, job.user_id))
        except Unavailable as error:
            log.warning("cache_not_updated", error=str(error))


def unknown(reason: str, cause: BaseException | None = None) -> OutcomeUnknown:
    """The failure of a job whose photo may be at Flickr; ``reason`` is the beginning of its sentence."""
    error = OutcomeUnknown(f"{reason}; look at Flickr before you repeat it.", code="ERR_OUTCOME_UNKNOWN")
    error.__cause__ = cause
    return error
