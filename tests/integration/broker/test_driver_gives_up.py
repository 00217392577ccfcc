"""RabbitMQ falls silent, refuses, or reads no more: what the drivers make of that ends none of our tasks."""

import asyncio
import contextlib
from typing import Any

import aiormq
import pytest

from flickrhub_common import link, subscription, topology
from flickrhub_common.broker import Messaging
from flickrhub_common.contracts import JobRequested
from flickrhub_common.errors import Unavailable
from flickrhub_common.gathered_writes import MOST_UNSENT
from flickrhub_common.topology import JOBS_EXCHANGE
from tests.integration.broker.parts import JOBS, Inbox, MakeMessaging, ready, sends
from tests.support.rabbit_admin import RabbitAdmin
from tests.support.samples import a_job
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import eventually, never


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription, "LOOK_SECONDS", 0.05)


def miss_the_heartbeats(messaging: Messaging) -> None:
    """What the driver does when it heard nothing for three heartbeats, without the wait for that."""
    connection: Any = messaging._link._connection
    connection.transport.connection._reader_task.cancel()


def waits_for_a_reply(channel: Any) -> bool:
    """Whether somebody has asked RabbitMQ something by this channel and has no answer yet."""
    return bool(channel._Channel__lock.locked())


async def test_whoever_waits_for_a_confirm_when_the_heartbeats_are_missed_is_told_and_goes_on(
    make_behind: MakeMessaging, proxy: TcpProxy
) -> None:
    sender = await make_behind.sending()
    assert sender._link._sending is not None
    channel: Any = await sender._link._sending.get_underlay_channel()
    proxy.forget()
    waiting = [asyncio.create_task(sender.send_job(a_job())) for _ in range(20)]
    await eventually(lambda: len(channel.confirmations) == 20, every=0.01, what="20 messages without a confirm")
    miss_the_heartbeats(sender)
    assert {type(result) for result in await asyncio.gather(*waiting, return_exceptions=True)} == {Unavailable}
    await eventually(lambda: sends(sender, a_job()), what="sending")


async def test_whoever_is_cancelled_while_waiting_for_a_confirm_is_cancelled(
    make_behind: MakeMessaging, proxy: TcpProxy
) -> None:
    sender = await make_behind.sending()
    proxy.forget()
    waiting = asyncio.create_task(sender.send_job(a_job()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_queue_is_consumed_again_though_the_heartbeats_were_missed_while_it_was_begun_again(
    make_behind: MakeMessaging, proxy: TcpProxy
) -> None:
    reader = await make_behind.consuming(Inbox())
    channel = await reader._link._subscriptions[0]._underlay()
    proxy.forget()
    channel.consumers.clear()  # as when RabbitMQ has ended it
    await eventually(lambda: waits_for_a_reply(channel), every=0.01, what="the question for the queue")
    miss_the_heartbeats(reader)
    await eventually(lambda: channel.is_closed, every=0.01, what="the end of the connection")
    await eventually(lambda: ready(reader), within=4, what="readiness")  # RabbitMQ keeps its side for some heartbeats


async def test_a_start_goes_on_though_the_heartbeats_were_missed_in_its_midst(
    make_behind: MakeMessaging, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = make_behind("sender")
    declare = topology.declare

    async def into_the_silence(channel: Any) -> None:
        monkeypatch.setattr(link, "declare", declare)
        proxy.forget()
        asyncio.get_running_loop().call_later(0.05, miss_the_heartbeats, sender)
        await declare(channel)

    monkeypatch.setattr(link, "declare", into_the_silence)
    with contextlib.suppress(asyncio.CancelledError):
        await sender.start()
    await eventually(lambda: ready(sender), within=5, what="readiness")


async def test_a_queue_that_was_refused_twice_is_consumed_once_it_is_granted(
    make: MakeMessaging, rabbit_admin: RabbitAdmin
) -> None:
    inbox = Inbox()
    reader = await make.consuming(inbox)
    channel: Any = reader._link._subscriptions[0]._channel
    await rabbit_admin.delete_queue(JOBS)
    async with (await rabbit_admin._connected()).channel() as other:
        await other.declare_queue(JOBS)  # neither durable nor quorum: whoever declares it as ours is refused
    await eventually(lambda: channel._channel is None, what="a channel that couldn't be opened again")
    await rabbit_admin.delete_queue(JOBS)
    await eventually(lambda: rabbit_admin.consumers(JOBS), within=5, what="the consumer")
    assert await ready(reader)


async def test_a_channel_for_sending_that_could_not_be_opened_again_is_when_something_is_to_be_sent(
    make: MakeMessaging, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = await make.sending()
    sending: Any = sender._link._sending
    tried = asyncio.Event()

    async def refused() -> None:
        tried.set()
        raise aiormq.exceptions.ChannelInvalidStateError("refused")

    with monkeypatch.context() as patched:
        patched.setattr(sending, "reopen", refused)
        await (await sending.get_underlay_channel()).basic_ack(4711)  # PRECONDITION_FAILED: RabbitMQ closes it
        await asyncio.wait_for(tried.wait(), 2)
    await eventually(lambda: sends(sender, a_job()), within=2, what="sending")


async def test_what_rabbitmq_doesnt_read_is_written_no_further(
    make_behind: MakeMessaging, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = await make_behind.sending()
    connection = sender._link._connection
    assert connection is not None
    assert connection._opened.writer is not None
    transport = connection._opened.writer.transport
    monkeypatch.setattr(link, "CONFIRM_SECONDS", 0.1)

    async def send() -> bool:
        properties = aiormq.spec.Basic.Properties()
        try:
            await sender._link.publish(JOBS_EXCHANGE, "nobody's", bytes(500_000), properties, mandatory=False)
        except Unavailable:
            return False
        return True

    assert await send()
    proxy.stall()
    while transport.get_write_buffer_size() <= MOST_UNSENT:
        assert not await send()
    before = transport.get_write_buffer_size()
    assert not any(await asyncio.gather(*(send() for _ in range(20))))
    assert transport.get_write_buffer_size() <= before
    await proxy.restore()
    await eventually(send, what="sending")


async def test_a_connection_that_returns_during_the_stop_brings_no_more_messages(
    make_behind: MakeMessaging, proxy: TcpProxy, rabbit_admin: RabbitAdmin
) -> None:
    inbox = Inbox()
    inbox.gate.clear()
    reader = await make_behind.consuming(inbox)
    await reader.send_job(a_job("in hand"))
    await inbox.has(1)
    await proxy.cut()
    await eventually(lambda: not reader._link._can_send.is_set(), what="the end of the connection")
    stopping = asyncio.create_task(reader.stop())
    await asyncio.sleep(0.01)
    await proxy.restore()
    await eventually(reader._link._can_send.is_set, what="the connection")
    await never(lambda: len(inbox.taken) > 1, during=0.5, what="another message taken")
    assert await rabbit_admin.consumers(JOBS) == 0
    inbox.gate.set()
    await stopping


async def test_a_late_answer_to_the_end_of_consuming_lets_what_is_in_hand_be_acknowledged(
    make_behind: MakeMessaging, proxy: TcpProxy, rabbit_admin: RabbitAdmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = Inbox()
    inbox.gate.clear()
    reader = make_behind("reader")
    reader.subscribe(JOBS, (JobRequested,), inbox.take, concurrency=1)
    await reader.start()
    await reader.send_job(a_job())
    await inbox.has(1)
    proxy.stall()
    with monkeypatch.context() as patched:
        patched.setattr(link, "CLOSE_SECONDS", 0.1)
        await reader._link.stop_taking()
    await proxy.restore()
    inbox.gate.set()
    await inbox.has_finished(1)
    await reader.stop()
    assert await rabbit_admin.depth(JOBS) == 0
