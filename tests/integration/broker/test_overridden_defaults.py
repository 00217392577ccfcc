"""Each default of the drivers that loses messages or spins is overridden."""

import asyncio
from functools import partial

import pytest

from flickrhub_common import settling
from flickrhub_common.contracts import JobRequested
from flickrhub_common.errors import Unavailable
from flickrhub_common.topology import CALLBACK_DLQ, FLICKR_DLQ, GATEWAY_JOB_EVENTS, NOTIFIER_CALLBACKS_DUE
from tests.integration.broker.parts import JOBS, Inbox, MakeMessaging
from tests.support.rabbit_admin import RabbitAdmin
from tests.support.samples import a_completion, a_due_callback, a_job, a_revocation
from tests.support.waiting import eventually

PERSISTENT = 2


async def test_every_way_of_sending_makes_persistent_messages(make: MakeMessaging, rabbit_admin: RabbitAdmin) -> None:
    sender = await make.sending()
    await sender.send_job(a_job())
    await sender.send_event(a_completion())
    await sender.send_dead(a_job(), queue=FLICKR_DLQ, headers={"reason": "a test"})
    await sender.send_later(a_due_callback(), queue=NOTIFIER_CALLBACKS_DUE, seconds=0.25)
    await eventually(partial(rabbit_admin.depth, NOTIFIER_CALLBACKS_DUE), what="the end of the delay")
    for queue in (JOBS, GATEWAY_JOB_EVENTS, FLICKR_DLQ, NOTIFIER_CALLBACKS_DUE):
        assert [letter.delivery_mode for letter in await rabbit_admin.peek(queue)] == [PERSISTENT], queue


async def test_a_message_says_its_name_its_job_and_that_it_is_json(
    make: MakeMessaging, rabbit_admin: RabbitAdmin
) -> None:
    job = a_job()
    await (await make.sending()).send_job(job)
    (letter,) = await rabbit_admin.peek(JOBS)
    assert (letter.type, letter.correlation_id, letter.content_type) == (
        "job.requested",
        job.job_id,
        "application/json",
    )
    assert JobRequested.model_validate_json(letter.body) == job


async def test_what_is_sent_together_goes_out_together(
    make: MakeMessaging, rabbit_admin: RabbitAdmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = await make.sending()
    written: list[bytes] = []
    write = asyncio.StreamWriter.write

    def noted(writer: asyncio.StreamWriter, data: bytes) -> None:
        written.append(data)
        write(writer, data)

    monkeypatch.setattr(asyncio.StreamWriter, "write", noted)
    await asyncio.gather(*(sender.send_job(a_job()) for _ in range(50)))
    assert await rabbit_admin.depth(JOBS) == 50
    assert len([data for data in written if b"job.requested" in data]) < 45  # the driver takes ten at once, then each


async def test_a_job_whose_queue_is_gone_is_not_lost_in_silence(make: MakeMessaging, rabbit_admin: RabbitAdmin) -> None:
    sender = await make.sending()
    await rabbit_admin.delete_queue(JOBS)
    with pytest.raises(Unavailable):
        await sender.send_job(a_job())


async def test_a_return_spoils_nothing_for_the_messages_beside_it(
    make: MakeMessaging, rabbit_admin: RabbitAdmin
) -> None:
    sender = await make.sending()
    await rabbit_admin.delete_queue(JOBS)
    with pytest.raises(Unavailable):
        await sender.send_job(a_job())
    await sender.send_event(a_completion())
    assert await rabbit_admin.depth(GATEWAY_JOB_EVENTS) == 1


async def test_a_consumer_holds_no_more_messages_than_it_handles_at_once(
    make: MakeMessaging, rabbit_admin: RabbitAdmin
) -> None:
    sender = await make.sending()
    for _ in range(20):
        await sender.send_job(a_job())
    inbox = Inbox()
    inbox.gate.clear()
    await make.consuming(inbox, concurrency=3)
    await inbox.has(3)
    assert await rabbit_admin.depth(JOBS) == 17
    inbox.gate.set()
    await inbox.has_finished(20)
    assert inbox.most_at_once == 3


async def test_two_queues_of_one_service_have_their_own_counts(make: MakeMessaging, rabbit_admin: RabbitAdmin) -> None:
    slow, quick = Inbox(), Inbox()
    slow.gate.clear()
    reader = make("reader")
    reader.subscribe(JOBS, (JobRequested,), slow.take, concurrency=2)
    reader.subscribe("flickr_upload", (JobRequested,), quick.take, concurrency=2)
    await reader.start()
    for _ in range(5):
        await rabbit_admin.publish(a_job().to_bytes(), key=JOBS)
        await rabbit_admin.publish(a_job().to_bytes(), key="flickr_upload")
    await quick.has_finished(5)
    assert slow.running == 2
    slow.gate.set()
    await slow.has_finished(5)


async def test_an_error_in_a_handler_never_drops_the_message(make: MakeMessaging, rabbit_admin: RabbitAdmin) -> None:
    inbox = Inbox(failures=[ValueError("a bug")])
    await make.consuming(inbox)
    job = a_job()
    await rabbit_admin.publish(job.to_bytes(), key=JOBS, type="job.requested")
    await inbox.has_finished(1)
    assert inbox.taken == [job, job]
    assert await rabbit_admin.depth(FLICKR_DLQ) == 0


async def test_a_failing_handler_waits_longer_each_time_and_never_spins(
    make: MakeMessaging, rabbit_admin: RabbitAdmin
) -> None:
    inbox = Inbox(always=ValueError("a bug"))
    await make.consuming(inbox)
    await rabbit_admin.publish(a_job().to_bytes(), key=JOBS, type="job.requested")
    await inbox.has(3)
    first, second, third = inbox.times[:3]
    assert second - first >= 1.0
    assert third - second >= 2.0


async def test_a_message_that_crashes_its_handler_five_times_is_dead_with_its_reason(
    make: MakeMessaging, rabbit_admin: RabbitAdmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "LONGEST_WAIT_SECONDS", 0.25)
    inbox = Inbox(always=ZeroDivisionError("a bug in 10.0.0.1"))
    await make.consuming(inbox)
    job = a_job()
    await rabbit_admin.publish(job.to_bytes(), key=JOBS, type="job.requested", correlation_id=job.job_id)
    (letter,) = await eventually(lambda: rabbit_admin.peek(FLICKR_DLQ), what="a dead letter")
    assert len(inbox.taken) == 5
    assert letter.body == job.to_bytes()
    assert (letter.type, letter.correlation_id) == ("job.requested", job.job_id)
    assert letter.headers["reason"] == "its handler crashed 5 times: ZeroDivisionError"
    assert letter.headers["queue"] == JOBS
    assert await rabbit_admin.depth(JOBS) == 0


async def test_a_crash_of_one_message_holds_up_no_other(make: MakeMessaging, rabbit_admin: RabbitAdmin) -> None:
    inbox = Inbox(failures=[ValueError("a bug")])
    await make.consuming(inbox, concurrency=1)
    poison, good = a_job(), a_job()
    await rabbit_admin.publish(poison.to_bytes(), key=JOBS, type="job.requested")
    await rabbit_admin.publish(good.to_bytes(), key=JOBS, type="job.requested")
    await inbox.has_finished(1, within=0.9)
    assert inbox.finished == [good]
    await inbox.has_finished(2)


async def test_an_absent_dependency_postpones_a_message_without_limit_and_is_counted(
    make: MakeMessaging, rabbit_admin: RabbitAdmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "LONGEST_WAIT_SECONDS", 0.25)
    inbox = Inbox(failures=[Unavailable("redis") for _ in range(8)])
    reader = await make.consuming(inbox)
    await reader.send_job(a_job())
    await inbox.has_finished(1, within=20)
    assert len(inbox.taken) == 9
    assert await rabbit_admin.depth(FLICKR_DLQ) == 0


async def test_waiting_is_counted_in_a_header_apart_from_crashes(
    make: MakeMessaging, rabbit_admin: RabbitAdmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "LONGEST_WAIT_SECONDS", 0.25)
    failures = [Unavailable("redis"), ValueError("a bug"), Unavailable("redis")]
    reader = await make.consuming(Inbox(failures=failures, always=SystemError("held")), concurrency=1)
    await reader.send_job(a_job())
    (letter,) = await eventually(lambda: rabbit_admin.peek(FLICKR_DLQ), within=20, what="a dead letter")
    assert (letter.headers["x-waits"], letter.headers["x-crashes"]) == (2, 4)


async def test_an_event_that_no_instance_reads_is_no_failure(make: MakeMessaging) -> None:
    await (await make.sending()).send_event(a_revocation())


async def test_dead_callbacks_have_their_own_place(make: MakeMessaging, rabbit_admin: RabbitAdmin) -> None:
    sender = await make.sending()
    await sender.send_dead(a_due_callback(), queue=CALLBACK_DLQ, headers={"reason": "410"})
    (letter,) = await rabbit_admin.peek(CALLBACK_DLQ)
    assert letter.headers["reason"] == "410"
