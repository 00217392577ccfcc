"""A job that makes executors fail, again and again: it ends too, because 202 means it will end."""

from flickrhub_common.clock import Clock
from flickrhub_common.contracts import JobRequested
from flickrhub_executor.errors import PermanentFailure
from flickrhub_executor.usecases.report_outcome import ReportOutcome, failed


class GiveUpJob:
    """Fails a job with ERR_INTERNAL."""

    def __init__(self, *, report: ReportOutcome, max_attempts: int, clock: Clock) -> None:
        self._report = report
        self._max_attempts = max_attempts
        self._clock = clock

    async def __call__(self, job: JobRequested) -> None:
        """Returns when the failure is stored, buried and published. Raises Unavailable."""
        failure = PermanentFailure("The hub failed at this job, time and again.", code="ERR_INTERNAL")
        await self._report(job, failed(job, failure, self._max_attempts, self._clock.now()), interrupts=True)
