"""Records what executors report: the gateway is the only writer of a job's state."""

from flickrhub_common.clock import Clock
from flickrhub_common.contracts import JobCompleted, JobFailed, JobRetrying
from flickrhub_common.logs import logger
from flickrhub_gateway.models import Retention, change_of
from flickrhub_gateway.ports import Jobs

log = logger(__name__)


class RecordJobEvent:
    """Changes a job as the table of moves allows, in one step; late, repeated and reordered events change nothing."""

    def __init__(self, jobs: Jobs, clock: Clock, *, retention: Retention) -> None:
        self._jobs = jobs
        self._clock = clock
        self._retention = retention

    async def __call__(self, event: JobCompleted | JobFailed | JobRetrying) -> None:
        """Record one event. Raises Unavailable."""
        change = change_of(event, now=self._clock.now(), retention=self._retention)
        applied = await self._jobs.apply(change)
        log.debug("job_changed" if applied else "job_event_without_effect", state=change.state.value)
