"""RabbitMQ goes and comes back: nothing is lost, nobody waits long, everything returns by itself."""

import asyncio
import time
from itertools import count

import pytest

from flickrhub_common.broker import Messaging
from flickrhub_common.contracts import JobRequested, TokenRevoked
from flickrhub_common.errors import Unavailable
from flickrhub_common.topology import GATEWAY_JOB_EVENTS
from tests.integration.broker.parts import JOBS, Inbox, MakeMessaging, ready, sends, unready
from tests.support.rabbit_admin import RabbitAdmin
from tests.support.samples import a_completion, a_job, a_revocation
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import eventually

A_FEW_SECONDS = 6.0

pytestmark = pytest.mark.new_vhost


async def send_until_done(messaging: Messaging, jobs: list[JobRequested]) -> None:
    """Send as the sweeper does: again and again what wasn't confirmed."""
    for job in jobs:
        while True:
            try:
                await messaging.send_job(job)
                break
            except Unavailable:
                await asyncio.sleep(0.05)


async def test_connections_closed_in_mid_flight_lose_none_of_200_messages(
    make: MakeMessaging, rabbit_admin: RabbitAdmin
) -> None:
    inbox = Inbox()
    reader = await make.consuming(inbox, concurrency=8)
    sender = await make.sending()
    jobs = [a_job() for _ in range(200)]
    sending = asyncio.create_task(send_until_done(sender, jobs))
    await inbox.has(30)
    inbox.gate.clear()  # so that some are in a handler's hands
    await rabbit_admin.close_connections(2)
    inbox.gate.set()
    await sending
    await eventually(lambda: inbox.counts().keys() == {job.job_id for job in jobs}, within=30, what="all 200 jobs")
    await eventually(lambda: rabbit_admin.consumers(JOBS), what="the consumer")
    await eventually(lambda: ready(reader), what="readiness")
    assert await rabbit_admin.depth(JOBS) == 0


async def test_a_network_cut_again_and_again_loses_none_of_200_messages(
    make_behind: MakeMessaging, proxy: TcpProxy
) -> None:
    inbox = Inbox()
    await make_behind.consuming(inbox, concurrency=8)
    sender = await make_behind.sending()
    jobs = [a_job() for _ in range(200)]
    sending = asyncio.create_task(send_until_done(sender, jobs))
    for already in (20, 60, 100):
        await inbox.has(already, within=30)
        await proxy.cut()
        await asyncio.sleep(0.2)
        await proxy.restore()
    await asyncio.wait_for(sending, 60)
    await eventually(lambda: inbox.counts().keys() == {job.job_id for job in jobs}, within=30, what="all 200 jobs")


async def test_away_at_start_it_starts_all_the_same_and_says_so(make_behind: MakeMessaging, proxy: TcpProxy) -> None:
    await proxy.cut()
    inbox = Inbox()
    began = time.monotonic()
    reader = await make_behind.consuming(inbox)
    assert time.monotonic() - began < A_FEW_SECONDS
    assert not await ready(reader)
    began = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        await reader.send_job(a_job())
    assert time.monotonic() - began < 0.5
    assert caught.value.dependency == "rabbitmq"

    await proxy.restore()
    await eventually(lambda: ready(reader), what="readiness")
    await reader.send_job(a_job())
    await inbox.has_finished(1)


async def test_a_handshake_that_hangs_at_start_is_given_up_and_tried_again(
    make_behind: MakeMessaging, proxy: TcpProxy
) -> None:
    proxy.stall()
    began = time.monotonic()
    sender = await make_behind.sending()
    assert time.monotonic() - began < A_FEW_SECONDS
    with pytest.raises(Unavailable):
        await sender.send_job(a_job())
    await eventually(lambda: proxy.accepted >= 2, within=15, what="a second attempt")
    await proxy.restore()
    await eventually(lambda: ready(sender), within=15, what="readiness")


async def test_a_publish_during_an_outage_fails_quickly_and_works_afterwards(
    make_behind: MakeMessaging, proxy: TcpProxy
) -> None:
    sender = await make_behind.sending()
    await sender.send_job(a_job())
    await proxy.cut()
    for _ in range(3):
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await sender.send_job(a_job())
        assert time.monotonic() - began < 3.0
    await eventually(lambda: unready(sender), within=1, what="the end of readiness")
    await proxy.restore()
    await eventually(lambda: sends(sender, a_job()), what="sending")
    assert await ready(sender)


async def test_a_publish_that_nobody_confirms_fails_within_a_few_seconds(
    make_behind: MakeMessaging, proxy: TcpProxy
) -> None:
    sender = await make_behind.sending()
    proxy.stall()
    began = time.monotonic()
    results = await asyncio.gather(*(sender.send_job(a_job()) for _ in range(50)), return_exceptions=True)
    assert time.monotonic() - began < A_FEW_SECONDS
    assert {type(result) for result in results} == {Unavailable}
    await proxy.restore()
    await eventually(lambda: sends(sender, a_job()), what="sending")


async def test_a_silent_network_is_noticed_and_replaced(make_behind: MakeMessaging, proxy: TcpProxy) -> None:
    inbox = Inbox()
    reader = await make_behind.consuming(inbox)
    proxy.forget()
    await eventually(lambda: unready(reader), what="the end of readiness")  # by the round trip of the question
    await eventually(lambda: ready(reader), within=25, what="readiness")  # after three heartbeats and a bit
    await reader.send_job(a_job())
    await inbox.has_finished(1, within=30)


async def test_a_handler_that_ends_after_its_connection_leaves_the_message_to_the_broker(
    make: MakeMessaging, rabbit_admin: RabbitAdmin
) -> None:
    inbox = Inbox()
    await make.consuming(inbox, concurrency=1)
    await rabbit_admin.publish(a_job("one").to_bytes(), key=JOBS)
    await inbox.has_finished(1)  # else it is held at the gate, and the only place taken
    inbox.gate.clear()
    await rabbit_admin.publish(a_job("two").to_bytes(), key=JOBS)
    await inbox.has(2)
    await rabbit_admin.close_connections()
    await eventually(lambda: inbox.counts()["two"] == 2, what="the second delivery")
    assert inbox.running == 2, "the first handler was cut with its connection"
    inbox.gate.set()
    await rabbit_admin.publish(a_job("three").to_bytes(), key=JOBS)
    await eventually(lambda: inbox.counts()["three"], what="the next message")
    assert inbox.counts()["one"] == 1


async def test_a_queue_deleted_under_its_consumer_comes_back_with_its_consumer(
    make: MakeMessaging, rabbit_admin: RabbitAdmin
) -> None:
    inbox = Inbox()
    reader = await make.consuming(inbox)
    await rabbit_admin.delete_queue(JOBS)
    await eventually(lambda: rabbit_admin.consumers(JOBS), what="the consumer")
    await eventually(lambda: sends(reader, a_job()), what="a route for jobs")
    await inbox.has_finished(1)
    await reader.send_later(a_job(), queue=JOBS, seconds=0.25)
    await inbox.has_finished(2)


async def test_a_consumer_whose_channel_the_broker_closed_goes_on_by_another(
    make: MakeMessaging, rabbit_admin: RabbitAdmin
) -> None:
    inbox = Inbox()
    reader = await make.consuming(inbox)
    await rabbit_admin.publish(a_job("one").to_bytes(), key=JOBS)
    await inbox.has_finished(1)
    (subscription,) = reader._link._subscriptions
    channel = await subscription._underlay()
    await channel.basic_ack(4711)  # of a message that never came: PRECONDITION_FAILED
    await eventually(lambda: channel.is_closed, what="the end of the channel")
    await rabbit_admin.publish(a_job("two").to_bytes(), key=JOBS)
    await inbox.has_finished(2)
    assert await ready(reader)


async def test_while_a_consumer_is_missing_the_service_isnt_ready(
    make: MakeMessaging, rabbit_admin: RabbitAdmin
) -> None:
    reader = await make.consuming(Inbox())
    assert await ready(reader)
    await rabbit_admin.delete_queue(JOBS)
    seen = await eventually(lambda: unready(reader), within=2, every=0.005, what="not ready")
    assert seen
    await eventually(lambda: ready(reader), what="readiness")


async def test_a_server_that_comes_back_empty_is_furnished_again(
    make: MakeMessaging, rabbit_admin: RabbitAdmin
) -> None:
    inbox, told = Inbox(), Inbox()
    reader = make("gateway")
    reader.subscribe(JOBS, (JobRequested,), inbox.take, concurrency=2)
    reader.subscribe_every_instance("token.*", (TokenRevoked,), told.take)
    await reader.start()
    await reader.send_job(a_job())
    await inbox.has_finished(1)
    await rabbit_admin.close()
    await rabbit_admin.delete_vhost()
    await rabbit_admin.create_vhost()
    await eventually(lambda: sends(reader, a_job()), within=20, what="sending")
    await inbox.has_finished(2)
    await reader.send_event(a_completion())
    assert await rabbit_admin.depth(GATEWAY_JOB_EVENTS) == 1
    await eventually(lambda: rabbit_admin.consumers(JOBS), what="the consumer")

    async def heard() -> bool:
        await reader.send_event(a_revocation())
        return bool(told.taken)

    await eventually(heard, within=20, what="an event")
    await reader.send_later(a_job(), queue=JOBS, seconds=0.25)
    await inbox.has_finished(3)


async def test_starting_and_stopping_leaves_no_connection_behind(
    make: MakeMessaging, rabbit_admin: RabbitAdmin
) -> None:
    for number in count(1):
        messaging = await make.sending(f"sender{number}")
        await messaging.stop()
        if number == 3:
            break
    await eventually(lambda: _none_open(rabbit_admin), within=15, what="an end of all connections")


async def _none_open(admin: RabbitAdmin) -> bool:
    return not await admin.connections()
