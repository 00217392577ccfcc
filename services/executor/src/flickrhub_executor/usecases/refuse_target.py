"""Jobs for targets that this version doesn't carry out: they fail at once, with the reason, instead of waiting."""

from flickrhub_common.clock import Clock
from flickrhub_common.contracts import JobRequested
from flickrhub_executor.errors import PermanentFailure
from flickrhub_executor.usecases.report_outcome import ReportOutcome, failed


class RefuseTarget:
    """Fails a job with ERR_TARGET_NOT_SUPPORTED."""

    def __init__(self, *, report: ReportOutcome, max_attempts: int, clock: Clock) -> None:
        self._report = report
        self._max_attempts = max_attempts
        self._clock = clock

    async def __call__(self, job: JobRequested) -> None:
        """Returns when the failure is stored and published."""
        failure = PermanentFailure(
            f"Target {job.target.value} isn't carried out by this version.", code="ERR_TARGET_NOT_SUPPORTED"
        )
        await self._report(job, failed(job, failure, self._max_attempts, self._clock.now()))
