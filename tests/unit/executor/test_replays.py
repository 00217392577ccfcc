"""A job that is run again from the dead letters: a new run, whatever copies of it and of the old one come."""

import pytest

from flickrhub_common.contracts import JobCompleted, JobFailed, JobRetrying
from flickrhub_executor.errors import PermanentFailure, TransientFailure
from flickrhub_executor.models import Concluded, Held, Taken
from flickrhub_executor.usecases.give_up_job import GiveUpJob
from flickrhub_executor.usecases.report_outcome import failed
from tests.unit.executor.fakes import TELLING, Executor, a_job, says

CREATE = "flickr.photosets.create"
WRITE = "flickr.photos.addTags"


def lost() -> TransientFailure:
    return TransientFailure("Flickr didn't answer in time.", code="ERR_FLICKR_TIMEOUT", doubtful=True)


async def failed_run() -> Executor:
    """An executor whose job has just failed for good."""
    executor = Executor()
    executor.flickr.script = [says(1)]
    await executor.run_to_the_end(a_job())
    return executor


def runs(executor: Executor) -> list[int]:
    """Which run each event sent so far belongs to."""
    return [event.replay for event in executor.events() if isinstance(event, JobCompleted | JobFailed | JobRetrying)]


async def test_a_replay_of_a_failed_job_is_a_run_of_its_own() -> None:
    executor = await failed_run()
    await executor.run_to_the_end(a_job(replay=1))
    assert executor.names() == ["job.failed", "job.completed"]
    assert runs(executor) == [0, 1]
    assert len(executor.flickr.calls) == 2


async def test_copies_of_one_replay_make_one_call() -> None:
    executor = await failed_run()
    for _ in range(3):
        await executor.run_to_the_end(a_job(replay=1))
    assert len(executor.flickr.calls) == 2
    assert executor.names() == ["job.failed", "job.completed"]


async def test_an_older_run_s_copy_has_no_effect_on_a_newer_one() -> None:
    executor = await failed_run()
    executor.flickr.script = [says(1)]
    await executor.run_to_the_end(a_job(replay=2))
    for old in (0, 1):
        await executor.run_to_the_end(a_job(replay=old))
    assert len(executor.flickr.calls) == 2
    assert runs(executor) == [0, 2]


async def test_a_job_that_completed_is_not_run_again_by_a_replay() -> None:
    executor = Executor()
    await executor.run_to_the_end(a_job())
    await executor.run_to_the_end(a_job(replay=1))
    assert len(executor.flickr.calls) == 1


async def test_a_replay_that_fails_is_buried_once_with_its_number() -> None:
    executor = await failed_run()
    executor.flickr.script = [says(1)]
    for _ in range(2):
        await executor.run_to_the_end(a_job(replay=1))
    letters = executor.messaging.all("dead")
    assert [(letter.headers or {})["replays"] for letter in letters] == [0, 1]


async def test_a_retry_of_a_replay_belongs_to_it() -> None:
    executor = await failed_run()
    executor.flickr.script = [says(105)]
    await executor.run_to_the_end(a_job(replay=1))
    assert executor.names() == ["job.failed", "job.retrying", "job.completed"]
    assert runs(executor) == [0, 1, 1]


async def test_the_last_failure_s_doubt_is_in_the_dead_letter() -> None:
    executor = Executor(attempts=1)
    executor.flickr.script = [lost()]
    await executor.run_to_the_end(a_job(method=WRITE))
    (letter,) = executor.messaging.all("dead")
    assert letter.message == a_job(method=WRITE, doubtful=True)


async def test_a_doubtful_call_that_isn_t_repeatable_is_not_made_by_a_replay() -> None:
    executor = Executor()
    await executor.run_to_the_end(a_job(method=CREATE, replay=1, doubtful=True))
    assert executor.flickr.calls == []
    assert executor.failed().failure.code == "ERR_OUTCOME_UNKNOWN"


@pytest.mark.parametrize("dies", [False, True], ids=["before the call", "in the call"])
async def test_a_job_given_up_is_in_doubt_if_somebody_may_have_been_calling(dies: bool) -> None:
    executor = Executor()
    if dies:
        await executor.claims.take(a_job(method=CREATE))
    give_up = GiveUpJob(report=executor.report, max_attempts=3, clock=executor.clock)
    await give_up(a_job(method=CREATE))
    (letter,) = executor.messaging.all("dead")
    assert letter.message == a_job(method=CREATE, doubtful=dies)


async def test_a_replay_waits_for_an_older_run_that_is_at_work_and_then_is_in_doubt() -> None:
    executor = Executor()
    await executor.claims.take(a_job())
    held = await executor.claims.take(a_job(replay=1))
    assert isinstance(held, Held)
    executor.clock.advance(held.seconds + 1)
    taken = await executor.claims.take(a_job(replay=1))
    assert isinstance(taken, Taken)
    assert taken.doubtful


async def test_the_marks_of_an_older_run_leave_a_newer_one_alone() -> None:
    executor = await failed_run()
    await executor.claims.take(a_job(replay=1))
    await executor.claims.mark_reported(a_job().job_id)
    assert executor.claims.state(a_job()) == "running"
    outcome = failed(a_job(), PermanentFailure("No.", code="X"), 3, executor.clock.now())
    assert await executor.claims.conclude(a_job(), outcome) == Concluded(None)


@pytest.mark.parametrize("crashes", [False, True], ids=["taken", "given up"])
async def test_an_older_run_s_failure_that_nobody_told_is_told_before_the_replay_begins(crashes: bool) -> None:
    executor = Executor()
    outcome = failed(a_job(), PermanentFailure("No.", code="X"), 3, executor.clock.now())
    await executor.claims.conclude(a_job(), outcome)  # buried, and replayed from there; then its teller died
    again = GiveUpJob(report=executor.report, max_attempts=3, clock=executor.clock) if crashes else executor.run
    await again(a_job(replay=1))
    assert [sent.how for sent in executor.messaging.sent] == ["later"]
    executor.clock.advance(TELLING + 1)
    await again(a_job(replay=1))
    assert executor.events() == [outcome]
    assert executor.messaging.all("dead") == []
    (_, sent) = executor.messaging.all("later")
    assert sent.message == a_job(replay=1)
    await executor.run_to_the_end(a_job(replay=1))
    assert runs(executor) == [0, 1]


@pytest.mark.parametrize("doubtful", [False, True])
async def test_a_job_given_up_between_two_attempts_has_the_doubt_of_the_first(doubtful: bool) -> None:
    executor = Executor()
    await executor.claims.take(a_job(WRITE))
    await executor.claims.give_up_attempt(a_job(WRITE), a_job(WRITE, attempt=2, doubtful=doubtful), due=0.0)
    await GiveUpJob(report=executor.report, max_attempts=3, clock=executor.clock)(a_job(WRITE))
    (letter,) = executor.messaging.all("dead")
    assert letter.message == a_job(WRITE, doubtful=doubtful)
