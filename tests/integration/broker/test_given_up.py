"""What becomes of a message that nobody manages to handle, when its consumer wants to know."""

import pytest

from flickrhub_common import settling
from flickrhub_common.contracts import JobRequested
from flickrhub_common.topology import DELIVERY_LIMIT, FLICKR_DLQ
from tests.integration.broker.parts import JOBS, Inbox, MakeMessaging
from tests.support.rabbit_admin import RabbitAdmin
from tests.support.samples import a_job
from tests.support.waiting import eventually


async def test_whoever_asked_gets_a_message_that_crashed_its_handler_too_often_and_nobody_else_buries_it(
    make: MakeMessaging, rabbit_admin: RabbitAdmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "LONGEST_WAIT_SECONDS", 0.25)
    crashing, given_up = Inbox(always=ZeroDivisionError()), Inbox()
    reader = make("reader")
    reader.subscribe(JOBS, (JobRequested,), crashing.take, concurrency=4, on_given_up=given_up.take)
    await reader.start()
    job = a_job()
    await reader.send_job(job)
    await given_up.has(1)
    assert given_up.taken == [job]
    assert len(crashing.taken) == 5
    await reader.stop()  # settles what is in its hands
    assert (await rabbit_admin.depth(JOBS), await rabbit_admin.depth(FLICKR_DLQ)) == (0, 0)


async def test_a_message_that_outlived_its_consumers_again_and_again_is_given_up_before_the_broker_drops_it(
    make: MakeMessaging, rabbit_admin: RabbitAdmin
) -> None:
    sender = await make.sending()
    job = a_job()
    await sender.send_job(job)
    for _ in range(DELIVERY_LIMIT - 1):
        assert len(await rabbit_admin.peek(JOBS)) == 1
    handled, given_up = Inbox(), Inbox()
    reader = make("reader")
    reader.subscribe(JOBS, (JobRequested,), handled.take, concurrency=4, on_given_up=given_up.take)
    await reader.start()
    await given_up.has(1)
    assert (handled.taken, given_up.taken) == ([], [job])


async def test_a_message_whose_giving_up_crashes_too_is_buried_by_us_with_the_queue_it_came_from(
    make: MakeMessaging, rabbit_admin: RabbitAdmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "MAX_CRASHES", 1)
    crashing = Inbox(always=ZeroDivisionError())
    reader = make("reader")
    reader.subscribe(JOBS, (JobRequested,), crashing.take, concurrency=4, on_given_up=crashing.take)
    await reader.start()
    job = a_job()
    await reader.send_job(job)
    (letter,) = await eventually(lambda: rabbit_admin.peek(FLICKR_DLQ), what="a dead letter")
    assert (letter.body, letter.headers["queue"]) == (job.to_bytes(), JOBS)
    assert letter.headers["reason"] == "its handler crashed, and so did settling it: ZeroDivisionError"
    await reader.stop()
    assert await rabbit_admin.depth(JOBS) == 0


async def test_an_unreadable_message_is_just_buried(make: MakeMessaging, rabbit_admin: RabbitAdmin) -> None:
    given_up = Inbox()
    reader = make("reader")
    reader.subscribe(JOBS, (JobRequested,), Inbox().take, concurrency=4, on_given_up=given_up.take)
    await reader.start()
    await rabbit_admin.publish(b"{", key=JOBS, type="job.requested")
    await eventually(lambda: rabbit_admin.peek(FLICKR_DLQ), what="a dead letter")
    assert given_up.taken == []
