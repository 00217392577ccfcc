"""Stopping is designed: what runs is finished or given back, within a bounded time."""

import asyncio
import time

from flickrhub_common.contracts import JobRequested
from tests.integration.broker.parts import JOBS, Inbox, MakeMessaging, unready
from tests.support.rabbit_admin import RabbitAdmin
from tests.support.samples import a_job
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import eventually


async def test_a_handler_that_runs_at_stop_is_finished_and_acknowledged(
    make: MakeMessaging, rabbit_admin: RabbitAdmin
) -> None:
    inbox = Inbox()
    inbox.gate.clear()
    reader = await make.consuming(inbox, concurrency=1)
    job = a_job()
    await rabbit_admin.publish(job.to_bytes(), key=JOBS)
    await inbox.has(1)
    stopping = asyncio.create_task(reader.stop())
    await asyncio.sleep(0.3)
    assert not stopping.done()
    inbox.gate.set()
    await asyncio.wait_for(stopping, 3)
    assert inbox.finished == [job]
    assert await rabbit_admin.depth(JOBS) == 0


async def test_from_stop_on_nothing_new_is_taken_and_the_rest_is_left_for_others(
    make: MakeMessaging, rabbit_admin: RabbitAdmin
) -> None:
    inbox = Inbox()
    inbox.gate.clear()
    reader = await make.consuming(inbox, concurrency=4)
    for _ in range(2):
        await rabbit_admin.publish(a_job().to_bytes(), key=JOBS)
    await inbox.has(2)
    stopping = asyncio.create_task(reader.stop())
    await eventually(lambda: unready(reader), within=2, what="an end of consuming")
    for _ in range(6):
        await rabbit_admin.publish(a_job().to_bytes(), key=JOBS)
    other = Inbox()
    await make.consuming(other, concurrency=8)
    await other.has_finished(6, within=3)
    assert not stopping.done()
    inbox.gate.set()
    await stopping
    assert (len(inbox.finished), len(other.finished)) == (2, 6)


async def test_a_handler_longer_than_the_drain_time_is_given_back(
    make: MakeMessaging, rabbit_admin: RabbitAdmin
) -> None:
    inbox = Inbox()
    inbox.gate.clear()
    reader = make("reader", drain_seconds=0.5)
    reader.subscribe(JOBS, (JobRequested,), inbox.take, concurrency=1)
    await reader.start()
    job = a_job()
    await rabbit_admin.publish(job.to_bytes(), key=JOBS)
    await inbox.has(1)
    began = time.monotonic()
    await reader.stop()
    assert 0.4 < time.monotonic() - began < 3
    assert inbox.running == 0, "the handler goes on among closed connections"
    other = Inbox()
    await make.consuming(other)
    await other.has_finished(1)
    assert other.taken == [job]


async def test_two_queues_share_one_drain_time(make: MakeMessaging, rabbit_admin: RabbitAdmin) -> None:
    inbox = Inbox()
    inbox.gate.clear()
    reader = make("reader", drain_seconds=1.0)
    reader.subscribe(JOBS, (JobRequested,), inbox.take, concurrency=1)
    reader.subscribe("flickr_upload", (JobRequested,), inbox.take, concurrency=1)
    await reader.start()
    for queue in (JOBS, "flickr_upload"):
        await rabbit_admin.publish(a_job().to_bytes(), key=queue)
    await inbox.has(2)
    began = time.monotonic()
    await reader.stop()
    assert time.monotonic() - began < 2.0
    inbox.gate.set()


async def test_a_running_handler_can_still_send_while_its_service_stops(
    make: MakeMessaging, rabbit_admin: RabbitAdmin
) -> None:
    reader = make("reader")
    may_go_on, begun = asyncio.Event(), asyncio.Event()

    async def handle(job: JobRequested) -> None:
        begun.set()
        await may_go_on.wait()
        await reader.send_later(job, queue="flickr_upload", seconds=0.25)

    reader.subscribe(JOBS, (JobRequested,), handle, concurrency=1)
    await reader.start()
    await rabbit_admin.publish(a_job().to_bytes(), key=JOBS)
    await begun.wait()
    stopping = asyncio.create_task(reader.stop())
    await asyncio.sleep(0.1)
    may_go_on.set()
    await stopping
    await eventually(lambda: rabbit_admin.depth("flickr_upload"), what="what the handler sent")
    assert await rabbit_admin.depth(JOBS) == 0


async def test_stopping_during_an_outage_doesnt_hang(make_behind: MakeMessaging, proxy: TcpProxy) -> None:
    reader = await make_behind.consuming(Inbox())
    await proxy.cut()
    await asyncio.wait_for(reader.stop(), 5)


async def test_stopping_on_a_silent_network_doesnt_hang(make_behind: MakeMessaging, proxy: TcpProxy) -> None:
    reader = await make_behind.consuming(Inbox())
    proxy.stall()
    await asyncio.wait_for(reader.stop(), 10)


async def test_stopping_before_the_first_connection_doesnt_hang(make_behind: MakeMessaging, proxy: TcpProxy) -> None:
    await proxy.cut()
    reader = make_behind("reader")
    reader.subscribe(JOBS, (JobRequested,), Inbox().take, concurrency=1)
    starting = asyncio.create_task(reader.start())
    await asyncio.sleep(0.2)
    await asyncio.wait_for(reader.stop(), 3)
    await starting


async def test_what_never_started_can_be_stopped_and_what_stopped_can_be_stopped_again(make: MakeMessaging) -> None:
    sender = make("sender")
    await sender.stop()
    await sender.start()
    await sender.stop()
    await sender.stop()
