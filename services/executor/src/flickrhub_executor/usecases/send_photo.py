"""The step of an upload that sends: the photo is opened, inspected, sent, and Flickr's answer judged."""

import asyncio
import random
from collections.abc import Callable

from flickrhub_common.contracts import JobRequested, Target
from flickrhub_common.errors import Unavailable
from flickrhub_common.logs import logger
from flickrhub_executor.errors import CallFailed, ClaimLost, PermanentFailure, TransientFailure
from flickrhub_executor.models import Credentials, FlickrReply, UploadCall
from flickrhub_executor.ports import UNMETERED, Meter, Photos, Uploads
from flickrhub_executor.usecases.ask_flickr import fields_of
from flickrhub_executor.usecases.attempts import exhausted
from flickrhub_executor.usecases.hold_claim import Lease
from flickrhub_executor.usecases.inspect_photo import inspected
from flickrhub_executor.usecases.judge_upload import Duplicate, Ticketed, Uploaded, flickr_text, judge_upload
from flickrhub_executor.usecases.next_step import (
    UploadRules,
    after_failure,
    after_loss,
    after_ticket,
    progress_of,
    put_off,
    without_dedup,
)
from flickrhub_executor.usecases.proceed_upload import ProceedUpload
from flickrhub_executor.usecases.report_outcome import ReportOutcome

log = logger(__name__)


class SendPhoto:
    """Sends once. What is uncertain afterwards is looked for, what is certain is told or tried again."""

    def __init__(
        self,
        *,
        photos: Photos,
        uploads: Uploads,
        proceed: ProceedUpload,
        report: ReportOutcome,
        rules: UploadRules,
        meter: Meter = UNMETERED,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._meter = meter
        self._photos = photos
        self._uploads = uploads
        self._proceed = proceed
        self._report = report
        self._rules = rules
        self._chance = chance

    async def __call__(self, job: JobRequested, credentials: Credentials, lease: Lease) -> None:
        """Returns when what follows is stored and confirmed."""
        try:
            reply, verdict = await self._send_and_judge(job, credentials, lease)
        except ClaimLost:
            await self._proceed.put_aside(job)
        except Unavailable as error:
            log.warning("upload_put_off", dependency=error.dependency)
            await self._proceed.go_on(job, put_off(job), lease)
        except CallFailed as failure:
            await self._failed(job, credentials, failure, lease)
        else:
            await self._answered(job, verdict, reply, lease)

    async def _send_and_judge(
        self, job: JobRequested, credentials: Credentials, lease: Lease
    ) -> tuple[FlickrReply, Uploaded | Ticketed | Duplicate]:
        seconds: float | None = None
        try:
            reply = await self._send(job, credentials, lease)
            seconds = reply.duration_ms / 1000
            verdict = judge_upload(reply, method=job.target.value)
        except CallFailed as failure:
            self._meter.called("POST", seconds=seconds, failure=failure)
            raise
        self._meter.called("POST", seconds=seconds, failure=None)
        return reply, verdict

    async def _send(self, job: JobRequested, credentials: Credentials, lease: Lease) -> FlickrReply:
        """Flickr's reply. Raises CallFailed, ClaimLost, or Unavailable while nothing whole has been sent.

        Once there is an answer, or its loss, it stands: trouble in closing the photo doesn't change it any more. Nor
        may that trouble, raised in place of what ended the send, mean that nothing was sent.
        """
        late = TransientFailure("The upload took too long.", code="ERR_PHOTO_TIMEOUT")
        answer: FlickrReply | CallFailed = late
        try:
            async with (
                asyncio.timeout(self._rules.timeout_seconds),
                self._photos.open(job.params) as opened,
                inspected(opened) as photo,
            ):
                answer = await self._answer(UploadCall(fields_of(job), photo), credentials, lease)
        except TimeoutError as error:
            late.__cause__ = error
            answer = _cut_off(error) if answer is late and lease.ended else answer
        except (CallFailed, Unavailable) as error:
            if answer is late and not lease.ended:
                raise
            log.warning("photo_not_closed", error=type(error).__name__)
            answer = _cut_off(error) if answer is late else answer
        if isinstance(answer, CallFailed):
            raise answer
        return answer

    async def _answer(self, call: UploadCall, credentials: Credentials, lease: Lease) -> FlickrReply | CallFailed:
        try:
            return await self._uploads.send(call, credentials, before_end=lease.before_end)
        except CallFailed as failure:
            return failure

    async def _answered(
        self, job: JobRequested, verdict: Uploaded | Ticketed | Duplicate, reply: FlickrReply, lease: Lease
    ) -> None:
        match verdict:
            case Uploaded(flickr):
                await self._proceed.succeed(job, flickr, reply, lease)
            case Ticketed(ticket):
                await self._proceed.go_on(job, after_ticket(job, ticket), lease)
            case Duplicate(photo_id, deleted=False):
                await self._proceed.succeed(job, flickr_text(photo_id, duplicate_photo_id=photo_id), reply, lease)
            case Duplicate() if progress_of(job).dedup:
                await self._proceed.go_on(job, without_dedup(job), lease)
            case Duplicate():
                sentence = "Flickr refuses the photo as a duplicate of one that was deleted."
                await self._proceed.fail(job, PermanentFailure(sentence, code="FLICKR_9"), lease)

    async def _failed(self, job: JobRequested, credentials: Credentials, failure: CallFailed, lease: Lease) -> None:
        """A lost upload is looked for, even after the last attempt; a lost replacement is just sent again."""
        last = job.attempt >= self._rules.max_attempts
        if failure.doubtful:
            await self._proceed.make_stale(job)
        if failure.token_dead:
            await self._report.token_dead(job, credentials, failure)
        if failure.doubtful and job.target is Target.UPLOAD:
            following = after_loss(job, self._rules, asked=failure.retry_after)
            await self._proceed.go_on(job, following, lease, failure=None if last else failure)
        elif failure.retryable and not last:
            following = after_failure(job, self._rules, asked=failure.retry_after, chance=self._chance())
            await self._proceed.go_on(job, following, lease, failure=failure)
        else:
            await self._proceed.fail(job, exhausted(failure, job.attempt) if failure.retryable else failure, lease)


def _cut_off(cause: BaseException) -> TransientFailure:
    failure = TransientFailure("Flickr didn't answer the upload in time.", code="ERR_FLICKR_TIMEOUT", doubtful=True)
    failure.__cause__ = cause
    return failure
