"""Jobs for targets that this version doesn't carry out."""

import pytest

from flickrhub_common.contracts import JobFailed, Target
from flickrhub_common.errors import Unavailable
from flickrhub_executor.usecases.refuse_target import RefuseTarget
from tests.unit.executor.fakes import TELLING, Executor, a_job


@pytest.mark.parametrize("target", [Target.UPLOAD, Target.REPLACE])
async def test_a_job_for_such_a_target_fails_with_the_reason_and_is_buried_once(target: Target) -> None:
    executor = Executor()
    refuse = RefuseTarget(report=executor.report, max_attempts=3, clock=executor.clock)
    job = a_job(None, target=target)
    await refuse(job)
    await refuse(job)
    event = executor.failed()
    assert event.failure.code == "ERR_TARGET_NOT_SUPPORTED"
    assert target.value in event.failure.message
    (letter,) = executor.messaging.all("dead")
    assert (letter.queue, letter.headers["queue"]) == ("flickr_dlq", f"flickr_{target.value}")


async def test_it_is_told_though_rabbitmq_was_away_at_first() -> None:
    executor = Executor()
    refuse = RefuseTarget(report=executor.report, max_attempts=3, clock=executor.clock)
    job = a_job(None, target=Target.UPLOAD)
    executor.messaging.away = True
    with pytest.raises(Unavailable):
        await refuse(job)
    executor.messaging.away = False
    await refuse(job)
    assert [(sent.how, sent.queue) for sent in executor.messaging.sent] == [("later", "flickr_upload")]
    executor.clock.advance(TELLING + 1)
    await refuse(job)
    assert len(executor.events(JobFailed)) == 1
