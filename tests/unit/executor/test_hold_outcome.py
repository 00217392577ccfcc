"""What Flickr answered while Redis is away: kept in hand, stored when it is back, and never over another's."""

import pytest

from flickrhub_common.contracts import JobCompleted, JobFailed
from flickrhub_common.errors import Unavailable
from flickrhub_executor.errors import CallFailed, TransientFailure
from flickrhub_executor.models import FlickrReply, Taken
from flickrhub_executor.usecases.hold_outcome import HOLD_SECONDS, LONGEST_AGAIN_SECONDS, Hold
from flickrhub_executor.usecases.report_outcome import failed
from tests.unit.executor.fakes import LEASE, Executor, a_job, ok, says

CREATE = "flickr.photosets.create"
LOST = TransientFailure("Flickr didn't answer in time.", code="ERR_FLICKR_TIMEOUT", doubtful=True)
BUSY = TransientFailure("Too many requests.", code="ERR_FLICKR_BUSY")


class Absence:
    """Redis goes away when Flickr is called, and comes back after so many seconds; ``then`` something happens."""

    def __init__(self, executor: Executor, seconds: float) -> None:
        self.executor, self.seconds = executor, seconds
        self.pauses: list[float] = []
        clock = executor.clock
        executor.hold = Hold(HOLD_SECONDS, pause=self.pause, monotonic=lambda: clock.now().timestamp())
        executor._assemble()
        executor.flickr.meanwhile = self.begins

    def begins(self) -> None:
        self.set(away=True)

    def set(self, *, away: bool) -> None:
        self.executor.claims.away = self.executor.cache.away = away

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.executor.clock.advance(seconds)
        if sum(self.pauses) >= self.seconds:
            self.executor.flickr.meanwhile = lambda: None
            self.set(away=False)


@pytest.mark.parametrize("seconds", [0.1, 2.0, LEASE + 10.0])
@pytest.mark.parametrize(
    ("answer", "code"),
    [(ok(), None), (says(1, "Photo not found"), "FLICKR_1"), (LOST, "ERR_OUTCOME_UNKNOWN")],
    ids=["success", "refusal", "lost"],
)
async def test_an_answer_is_told_when_redis_is_back_and_the_call_isn_t_repeated(
    answer: FlickrReply | CallFailed, code: str | None, seconds: float
) -> None:
    executor = Executor()
    absence = Absence(executor, seconds)
    executor.flickr.script = [answer]
    await executor.run(a_job(CREATE))
    (event,) = executor.events(JobCompleted, JobFailed)
    assert (event.failure.code if isinstance(event, JobFailed) else None) == code
    assert len(executor.flickr.calls) == 1
    assert absence.pauses[:2] == [0.1, 0.2][: len(absence.pauses)]
    assert max(absence.pauses) <= LONGEST_AGAIN_SECONDS


async def test_an_attempt_that_failed_is_repeated_once_redis_is_back() -> None:
    executor = Executor()
    Absence(executor, 5.0)
    executor.flickr.script = [BUSY]
    await executor.run_to_the_end(a_job(CREATE))
    assert (executor.names(), len(executor.flickr.calls)) == (["job.retrying", "job.completed"], 2)
    assert executor.completed().attempts_made == 2


async def test_a_write_is_told_after_the_cached_reads_are_stale() -> None:
    executor = Executor()
    Absence(executor, 5.0)
    await executor.run(a_job("flickr.photos.setMeta"))
    assert (executor.cache.generation, executor.names()) == ({"user-1": 1}, ["job.completed"])


async def test_a_redis_that_stays_away_too_long_leaves_the_job_in_doubt_and_nothing_is_told_without_it() -> None:
    executor = Executor()
    absence = Absence(executor, 10 * HOLD_SECONDS)
    with pytest.raises(Unavailable):
        await executor.run(a_job(CREATE))
    assert (executor.events(), sum(absence.pauses) <= 2 * HOLD_SECONDS) == ([], True)
    absence.set(away=False)
    await executor.run_to_the_end(a_job(CREATE))
    assert (executor.failed().failure.code, len(executor.flickr.calls)) == ("ERR_OUTCOME_UNKNOWN", 1)


async def test_a_redis_that_came_back_empty_is_told_all_the_same() -> None:
    executor = Executor()
    absence = Absence(executor, 2.0)
    executor.flickr.script = [says(1, "Photo not found")]

    def loses_its_data() -> None:
        absence.begins()
        executor.claims.entries.clear()

    executor.flickr.meanwhile = loses_its_data
    await executor.run(a_job(CREATE))
    assert (executor.failed().failure.code, len(executor.flickr.calls)) == ("FLICKR_1", 1)


async def test_a_failure_isn_t_stored_over_the_claim_of_another_who_may_yet_succeed() -> None:
    executor = Executor()
    executor.flickr.script = [says(1, "Photo not found")]
    job = a_job("flickr.photos.setMeta")

    def taken_over() -> None:
        executor.clock.advance(LEASE + 1)
        executor.claims.entries[job.job_id].owner = "somebody"
        executor.claims.entries[job.job_id].until = executor.clock.now().timestamp() + 3

    executor.flickr.meanwhile = taken_over
    await executor.run(job)
    assert (executor.events(), executor.claims.state(job)) == ([], "running")
    assert [sent.seconds for sent in executor.messaging.all("later")] == [3.0]


async def test_a_repetition_isn_t_begun_by_one_who_lost_the_claim() -> None:
    executor = Executor()
    executor.flickr.script = [BUSY]
    job = a_job(CREATE)
    executor.flickr.meanwhile = lambda: setattr(executor.claims.entries[job.job_id], "owner", "somebody")
    await executor.run(job)
    assert (executor.messaging.sent, executor.claims.state(job)) == ([], "running")


async def test_who_stored_an_outcome_and_didn_t_hear_of_it_may_ask_again() -> None:
    executor = Executor()
    claim = await executor.claims.take(a_job())
    assert isinstance(claim, Taken)
    outcome = failed(a_job(), LOST, 3, executor.clock.now())
    for _ in range(2):
        assert (await executor.claims.conclude(a_job(), outcome, owner=claim.owner)).outcome == outcome  # type: ignore[union-attr]
