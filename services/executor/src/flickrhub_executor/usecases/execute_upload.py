"""One message of ``flickr_upload`` or ``flickr_replace``: at most one call to Flickr, and what follows from it.

Never twice (docs/adr/0015-never-twice.md): a photo is sent only while the claim is held, and sent again only when
nothing can have been stored, or after it was looked for and not found. A replacement is simply repeated.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from flickrhub_common.background import beside
from flickrhub_common.clock import Clock
from flickrhub_common.contracts import JobRequested
from flickrhub_executor.errors import PermanentFailure
from flickrhub_executor.models import Credentials
from flickrhub_executor.ports import (
    UNMETERED,
    Cache,
    Claims,
    Flickr,
    Limits,
    Messages,
    Meter,
    Photos,
    Tokens,
    Uploads,
)
from flickrhub_executor.usecases.attempts import Attempts
from flickrhub_executor.usecases.follow_upload import FollowUpload
from flickrhub_executor.usecases.hold_claim import Lease
from flickrhub_executor.usecases.next_step import UploadRules, after_death, progress_of
from flickrhub_executor.usecases.proceed_upload import ProceedUpload, unknown
from flickrhub_executor.usecases.report_outcome import ReportOutcome
from flickrhub_executor.usecases.send_photo import SendPhoto

Step = Callable[[JobRequested, Credentials, Lease], Awaitable[None]]


class ExecuteUpload:
    """Takes an upload or replacement one step further: sends the photo, looks for it, or polls its ticket.

    ``flickr`` is asked by looks and polls, ``uploads`` takes the photo. A turn is waited for before every call.
    """

    def __init__(
        self,
        *,
        messages: Messages,
        tokens: Tokens,
        flickr: Flickr,
        photos: Photos,
        uploads: Uploads,
        cache: Cache | None,
        limits: Limits,
        claims: Claims,
        report: ReportOutcome,
        rules: UploadRules,
        clock: Clock,
        meter: Meter = UNMETERED,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        renewal_pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._claims = claims
        self._renewal_pause = renewal_pause
        self._monotonic = monotonic
        self._attempts = Attempts(
            messages=messages,
            tokens=tokens,
            limits=limits,
            claims=claims,
            report=report,
            rules=rules,
            clock=clock,
            meter=meter,
            pause=pause,
        )
        self._proceed = ProceedUpload(attempts=self._attempts, report=report, cache=cache)
        send = SendPhoto(
            photos=photos,
            uploads=uploads,
            proceed=self._proceed,
            report=report,
            rules=rules,
            meter=meter,
            chance=chance,
        )
        follow = FollowUpload(
            flickr=flickr, proceed=self._proceed, report=report, rules=rules, meter=meter, chance=chance
        )
        self._steps: dict[str, Step] = {"send": send, "look": follow.look, "poll": follow.poll}

    async def __call__(self, job: JobRequested) -> None:
        """Returns when what follows is stored and confirmed; Unavailable means that the message has to come again."""
        try:
            credentials = await self._attempts.lend(job)
        except PermanentFailure as failure:
            await self._without_token(job, failure)
            return
        if not await self._attempts.has_turn(job, credentials):
            return
        claimed = await self._claim(job)
        if claimed is None:
            return
        job, lease = claimed
        async with beside(lease.keep()):
            await self._steps[progress_of(job).step](job, credentials, lease)

    async def _claim(self, job: JobRequested) -> tuple[JobRequested, Lease] | None:
        """The job and its claim, if this copy of the message is the one to act.

        Taken over from an executor that died while sending, an upload is looked for in place of being sent.
        """
        began = self._monotonic()
        taken = await self._attempts.take(job)
        if taken is None:
            return None
        lease = Lease(
            self._claims,
            job,
            owner=taken.owner,
            began=began,
            pause=self._renewal_pause,
            monotonic=self._monotonic,
        )
        if not taken.doubtful:
            return job, lease
        await self._proceed.make_stale(job)
        return after_death(job), lease

    async def _without_token(self, job: JobRequested, failure: PermanentFailure) -> None:
        """End a job whose account isn't connected any more; where its photo may be there, nobody can look."""
        claimed = await self._claim(job)
        if claimed is None:
            return
        job, lease = claimed
        if progress_of(job).step != "send":
            failure = unknown("The photo may be at Flickr, which can't be asked", failure)
        await self._proceed.fail(job, failure, lease)
