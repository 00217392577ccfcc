"""Records what executors report: the gateway is the only writer of a job's state."""

from flickrhub_common.clock import Clock
from flickrhub_common.contracts import JobCompleted, JobFailed, JobReplayed, JobRetrying, Target
from flickrhub_common.logs import logger
from flickrhub_gateway.models import OPEN, Retention, change_of
from flickrhub_gateway.ports import Jobs
from flickrhub_gateway.usecases.hold_photo import HoldPhoto
from flickrhub_gateway.usecases.settle_photos import SettlePhotos

log = logger(__name__)


class RecordJobEvent:
    """Changes a job as the table of moves allows, in one step; late, repeated and reordered events change nothing.

    When an upload or replacement has ended, its photo is settled: also after an event without effect, since the one
    before may have been cut short in between. While a replay is under way its photo is held, whatever an event of the
    run before it says.
    """

    def __init__(
        self, jobs: Jobs, settle_photos: SettlePhotos, hold_photo: HoldPhoto, clock: Clock, *, retention: Retention
    ) -> None:
        self._jobs = jobs
        self._settle_photos = settle_photos
        self._hold_photo = hold_photo
        self._clock = clock
        self._retention = retention

    async def __call__(self, event: JobCompleted | JobFailed | JobRetrying | JobReplayed) -> None:
        """Record one event. Raises Unavailable."""
        change = change_of(event, now=self._clock.now(), retention=self._retention)
        await self._jobs.apply(change)
        log.debug("job_event_recorded", state=change.state.value)
        if event.target is Target.REST or isinstance(event, JobRetrying):
            return
        is_open = (await self._jobs.states([event.job_id])).get(event.job_id) in OPEN
        if isinstance(event, JobReplayed):
            if is_open:
                await self._hold_photo(event)
        elif not is_open:
            await self._settle_photos(event)
