"""What is counted of messages, and what RabbitMQ is asked of queues."""

import asyncio

import pytest

from flickrhub_common.broker import Messaging
from flickrhub_common.contracts import JobRequested, Target
from flickrhub_common.message_metrics import MESSAGE_METRICS
from flickrhub_common.metrics import Metrics
from flickrhub_common.metrics_page import MetricsPage
from flickrhub_common.queue_metrics import QUEUE_METRICS, watch_queues
from flickrhub_common.settings import RabbitSettings
from flickrhub_common.settling import Futile
from tests.integration.broker.parts import JOBS, Inbox, MakeMessaging, unready
from tests.support.metrics_pages import Series, figure, series_of
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import eventually

GONE = "nobody_declared_this"


def a_job(number: int = 1) -> JobRequested:
    return JobRequested(job_id=f"j{number}", user_id="u", target=Target.REST, method="flickr.test.echo", trace_id="t")


def seen(metrics: Metrics) -> Series:
    return series_of(metrics.render().decode())


async def test_a_queue_that_isnt_there_hides_none_that_is(make: MakeMessaging) -> None:
    sender = await make.sending()
    for number in range(3):
        await sender.send_job(a_job(number))
    found = await sender.depths([GONE, JOBS, GONE, "flickr_dlq"])
    assert {queue: (depth.messages, depth.consumers) for queue, depth in found.items()} == {
        JOBS: (3, 0),
        "flickr_dlq": (0, 0),
    }
    reader = await make.consuming(Inbox())
    assert await reader.consumed() == {JOBS: True}
    await eventually(lambda: reader.in_hand == 0, every=0.01)
    assert (await sender.depths([JOBS]))[JOBS].consumers == 1


@pytest.mark.new_vhost
async def test_while_there_is_no_connection_no_queue_is_consumed_and_that_is_said_at_once(
    make_behind: MakeMessaging, proxy: TcpProxy
) -> None:
    reader = await make_behind.consuming(Inbox())
    assert await reader.consumed() == {JOBS: True}
    await proxy.cut()
    await eventually(lambda: unready(reader), what="the end of readiness")
    async with asyncio.timeout(0.5):
        assert await reader.consumed() == {JOBS: False}


async def test_a_queue_is_not_empty_for_as_long_as_it_was_never_seen_so(make: MakeMessaging) -> None:
    now = 100.0
    sender = await make.sending()
    metrics = Metrics(QUEUE_METRICS)
    watch_queues(metrics, sender, now=lambda: now)
    name = "flickrhub_queue_not_empty_seconds"

    async def age() -> float:
        await MetricsPage(metrics).page()
        return figure(seen(metrics), name, queue=JOBS)

    assert await age() == 0
    await sender.send_job(a_job())
    await age()
    now = 130.0
    assert await age() == 30
    assert figure(seen(metrics), "flickrhub_queue_messages", queue=JOBS) == 1
    inbox = Inbox()
    await make.consuming(inbox)
    await eventually(lambda: inbox.finished, every=0.01)
    assert await age() == 0


async def test_messages_are_counted_by_their_fate_and_waited_no_longer_than_in_their_queue(
    make: MakeMessaging, rabbit_settings: RabbitSettings
) -> None:
    metrics, inbox = Metrics(MESSAGE_METRICS), Inbox(failures=[Futile("no use"), RuntimeError("a crash")])
    reader = make.remember(Messaging(rabbit_settings, service="reader", metrics=metrics))
    reader.subscribe(JOBS, (JobRequested,), inbox.take, concurrency=1)
    await reader.start()
    await reader.send_job(a_job(1))
    await eventually(lambda: len(inbox.taken) == 1, every=0.01)
    await reader.send_job(a_job(2))  # comes again after a second
    await reader.send_later(a_job(3), queue=JOBS, seconds=3.0)

    def fates() -> list[float]:
        found = seen(metrics)
        return [figure(found, "flickrhub_messages_settled_total", queue=JOBS, fate=fate) for fate in FATES]

    await eventually(lambda: fates() == [2, 1, 1], within=15, every=0.02)
    waited = figure(seen(metrics), "flickrhub_queue_wait_seconds_bucket", queue=JOBS, le="2.0")
    assert waited == figure(seen(metrics), "flickrhub_queue_wait_seconds_count", queue=JOBS) == 4


async def test_a_message_that_was_given_back_is_counted_once_by_how_long_it_lay(
    make: MakeMessaging, rabbit_settings: RabbitSettings
) -> None:
    metrics, first, second = Metrics(MESSAGE_METRICS), Inbox(), Inbox()
    first.gate.clear()
    for inbox in (first, second):
        reader = make.remember(Messaging(rabbit_settings, service="reader", metrics=metrics, drain_seconds=0.1))
        reader.subscribe(JOBS, (JobRequested,), inbox.take, concurrency=1)
        await reader.start()
        if inbox is first:
            await reader.send_job(a_job())
            await inbox.has(1)
            await reader.stop()
    await second.has_finished(1)
    assert figure(seen(metrics), "flickrhub_queue_wait_seconds_count", queue=JOBS) == 1


FATES = ("done", "postponed", "dead")
