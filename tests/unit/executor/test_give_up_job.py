"""A job that makes executors fail again and again ends all the same."""

from flickrhub_executor.usecases.give_up_job import GiveUpJob
from tests.unit.executor.fakes import Executor, a_job


async def test_the_job_fails_as_our_own_fault_and_is_buried_once() -> None:
    executor = Executor()
    give_up = GiveUpJob(report=executor.report, max_attempts=3, clock=executor.clock)
    job = a_job()
    await give_up(job)
    await give_up(job)
    event = executor.failed()
    assert event.failure.code == "ERR_INTERNAL"
    (letter,) = executor.messaging.all("dead")
    assert letter.queue == "flickr_dlq"
