"""The steps of an upload that ask: whether the photo of a lost attempt is there, or what became of a ticket."""

import random
from collections.abc import Callable

from flickrhub_common.contracts import JobRequested, Target
from flickrhub_executor.errors import CallFailed, PermanentFailure, TransientFailure
from flickrhub_executor.models import Credentials, FlickrCall, FlickrReply
from flickrhub_executor.ports import UNMETERED, Flickr, Meter
from flickrhub_executor.usecases.ask_flickr import Ticket, find_photo, look, poll, read_ticket, tag_of
from flickrhub_executor.usecases.call_and_judge import call_and_judge
from flickrhub_executor.usecases.hold_claim import Lease
from flickrhub_executor.usecases.judge_upload import flickr_text
from flickrhub_executor.usecases.next_step import (
    UploadRules,
    after_failed_question,
    after_loss,
    after_not_found,
    after_pending,
    progress_of,
)
from flickrhub_executor.usecases.proceed_upload import ProceedUpload, unknown
from flickrhub_executor.usecases.report_outcome import ReportOutcome


class FollowUpload:
    """Asks once. A question that fails is asked again for about an hour: giving up leaves the client in doubt.

    Only Flickr can end the doubt, so whatever keeps it from answering for good (a dead token, an account that isn't
    connected any more) ends the job as ERR_OUTCOME_UNKNOWN, with the reason in the chain.
    """

    def __init__(
        self,
        *,
        flickr: Flickr,
        proceed: ProceedUpload,
        report: ReportOutcome,
        rules: UploadRules,
        meter: Meter = UNMETERED,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._meter = meter
        self._flickr = flickr
        self._proceed = proceed
        self._report = report
        self._rules = rules
        self._chance = chance

    async def look(self, job: JobRequested, credentials: Credentials, lease: Lease) -> None:
        """Look for the photo of a lost attempt."""
        try:
            reply, flickr = await self._ask(look(job), credentials)
            photo_id = find_photo(flickr, tag_of(job))
        except CallFailed as failure:
            # A refusal may be of one way of looking only, so the other one is tried too.
            await self._unanswered(job, credentials, failure, lease, forgiving=progress_of(job).failed == 0)
            return
        if photo_id is not None:
            await self._proceed.succeed(job, flickr_text(photo_id), reply, lease)
        elif (following := after_not_found(job, self._rules)) is not None:
            await self._proceed.go_on(job, following, lease)
        else:
            times = "1 attempt" if self._rules.max_attempts == 1 else f"{self._rules.max_attempts} attempts"
            reason = f"Gave up after {times}: Flickr's last answer was lost, and the photo wasn't found there"
            await self._proceed.fail(job, unknown(reason), lease)

    async def poll(self, job: JobRequested, credentials: Credentials, lease: Lease) -> None:
        """Ask what became of an asynchronous upload or replacement."""
        ticket = progress_of(job).ticket or ""
        try:
            reply, flickr = await self._ask(poll(ticket), credentials)
            found = read_ticket(flickr, ticket)
        except CallFailed as failure:
            await self._unanswered(job, credentials, failure, lease, forgiving=False)
            return
        photo_id = found.photo_id
        if found.state == "done" and job.target is Target.REPLACE:
            photo_id = photo_id or str(job.params.get("photo_id"))
        if photo_id is not None:
            await self._proceed.succeed(job, flickr_text(photo_id, ticketid=ticket), reply, lease)
        else:
            await self._without_photo(job, found, lease)

    async def _without_photo(self, job: JobRequested, found: Ticket, lease: Lease) -> None:
        following = after_pending(job) if found.state == "pending" else None
        if following is not None:
            await self._proceed.go_on(job, following, lease)
        elif found.state == "failed":
            sentence = "Flickr took the photo and failed to process it."
            await self._proceed.fail(job, PermanentFailure(sentence, code="ERR_UPLOAD_NOT_PROCESSED"), lease)
        elif found.state == "pending":
            await self._proceed.fail(job, unknown("Flickr didn't finish the photo within a day"), lease)
        elif job.target is Target.UPLOAD:
            await self._lost(job, lease)
        else:
            await self._proceed.fail(job, unknown("Flickr no longer knows what became of the replacement"), lease)

    async def _lost(self, job: JobRequested, lease: Lease) -> None:
        """A ticket Flickr doesn't know, or that names no photo, is like a lost answer."""
        failure = TransientFailure("Flickr no longer knows the ticket of the upload.", code="ERR_OUTCOME_UNKNOWN")
        last = job.attempt >= self._rules.max_attempts
        following = after_loss(job, self._rules, asked=None)
        await self._proceed.go_on(job, following, lease, failure=None if last else failure)

    async def _ask(self, call: FlickrCall, credentials: Credentials) -> tuple[FlickrReply, str]:
        reply, success = await call_and_judge(self._flickr, call, credentials, self._meter, repeated=False)
        return reply, success.flickr

    async def _unanswered(
        self, job: JobRequested, credentials: Credentials, failure: CallFailed, lease: Lease, *, forgiving: bool
    ) -> None:
        if failure.token_dead:
            await self._report.token_dead(job, credentials, failure)
        following = None
        if failure.retryable or (forgiving and not failure.token_dead):
            following = after_failed_question(job, self._rules, asked=failure.retry_after, chance=self._chance())
        if following is not None:
            await self._proceed.go_on(job, following, lease)
        else:
            await self._proceed.fail(job, unknown("The photo may be at Flickr, which can't be asked", failure), lease)
