"""What `declare` makes, as the server describes it."""

import asyncio
from collections.abc import AsyncIterator

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel

from flickrhub_common.contracts import Message
from flickrhub_common.settings import RabbitSettings
from flickrhub_common.topology import (
    DEAD_LETTER_EXCHANGE,
    DEAD_LETTER_QUEUES,
    DELAY_LEVELS,
    FLICKR_DLQ,
    GATEWAY_JOB_EVENTS,
    MAX_DELAY_SECONDS,
    NOTIFIER_CALLBACKS_DUE,
    NOTIFIER_JOB_EVENTS,
    WORK_QUEUES,
    declare,
    delay_queue,
)
from tests.integration.broker.parts import MakeMessaging
from tests.support.rabbit_admin import RabbitAdmin
from tests.support.samples import a_completion, a_due_callback, a_failure, a_job, a_rejection, a_replacement, a_retry
from tests.support.waiting import eventually

ALL_QUEUES = {*WORK_QUEUES, *DEAD_LETTER_QUEUES, *map(delay_queue, range(DELAY_LEVELS))}


@pytest.fixture
async def channel(rabbit_settings: RabbitSettings) -> AsyncIterator[AbstractChannel]:
    async with (
        await aio_pika.connect(rabbit_settings.rabbit_url.get_secret_value()) as connection,
        connection.channel() as channel,
    ):
        yield channel


@pytest.mark.new_vhost
async def test_declaring_twice_and_from_several_places_at_once_changes_nothing(
    rabbit_settings: RabbitSettings, channel: AbstractChannel, rabbit_admin: RabbitAdmin
) -> None:
    await declare(channel)
    once = {name: queue["arguments"] for name, queue in (await rabbit_admin.queues()).items()}

    async def declare_elsewhere() -> None:
        async with (
            await aio_pika.connect(rabbit_settings.rabbit_url.get_secret_value()) as connection,
            connection.channel() as other,
        ):
            await declare(other)

    await asyncio.gather(*(declare_elsewhere() for _ in range(4)))
    assert {name: queue["arguments"] for name, queue in (await rabbit_admin.queues()).items()} == once
    assert once.keys() == ALL_QUEUES


async def test_every_queue_is_a_durable_quorum_queue(channel: AbstractChannel, rabbit_admin: RabbitAdmin) -> None:
    await declare(channel)
    queues = await rabbit_admin.queues()
    assert {name: (queue["type"], queue["durable"]) for name, queue in queues.items()} == dict.fromkeys(
        ALL_QUEUES, ("quorum", True)
    )


async def test_every_exchange_of_ours_is_durable(channel: AbstractChannel, rabbit_admin: RabbitAdmin) -> None:
    await declare(channel)
    ours = {name: one for name, one in (await rabbit_admin.exchanges()).items() if name.startswith("flickr.")}
    assert {"flickr.jobs", "flickr.events", "flickr.delay", "flickr.delay.out", "flickr.dlx"} <= ours.keys()
    assert all(one["durable"] and not one["auto_delete"] for one in ours.values())


async def test_every_work_queue_has_limits_and_a_dead_letter_queue(
    channel: AbstractChannel, rabbit_admin: RabbitAdmin
) -> None:
    await declare(channel)
    queues = await rabbit_admin.queues()
    for name, work in WORK_QUEUES.items():
        assert queues[name]["arguments"] == {
            "x-queue-type": "quorum",
            "x-delivery-limit": 20,
            "x-dead-letter-exchange": DEAD_LETTER_EXCHANGE,
            "x-dead-letter-routing-key": work.dead_letter_queue,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }, name
        assert work.dead_letter_queue in DEAD_LETTER_QUEUES


async def test_a_dead_letter_may_be_looked_at_more_often_than_rabbitmq_4_allows_by_default(
    channel: AbstractChannel, rabbit_admin: RabbitAdmin
) -> None:
    await declare(channel)
    queues = await rabbit_admin.queues()
    for name in DEAD_LETTER_QUEUES:
        assert queues[name]["arguments"] == {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000}, name


async def test_every_step_of_the_ladder_waits_twice_as_long_as_the_one_below(
    channel: AbstractChannel, rabbit_admin: RabbitAdmin
) -> None:
    await declare(channel)
    queues = await rabbit_admin.queues()
    waits = [queues[delay_queue(level)]["arguments"]["x-message-ttl"] for level in range(DELAY_LEVELS)]
    assert waits == [250 * 2**level for level in range(DELAY_LEVELS)]
    assert sum(waits) == MAX_DELAY_SECONDS * 1000
    assert {queues[delay_queue(level)]["arguments"]["x-dead-letter-strategy"] for level in range(DELAY_LEVELS)} == {
        "at-least-once"
    }


async def _filled(admin: RabbitAdmin) -> dict[str, int]:
    """Queues, but for those of the ladder, that hold something."""
    depths = {name: await admin.depth(name) for name in (*WORK_QUEUES, *DEAD_LETTER_QUEUES)}
    return {name: depth for name, depth in depths.items() if depth}


@pytest.mark.parametrize("queue", WORK_QUEUES)
async def test_a_delayed_message_arrives_in_its_queue_and_nowhere_else(
    make: MakeMessaging, rabbit_admin: RabbitAdmin, queue: str
) -> None:
    sender = await make.sending()
    await sender.send_later(a_due_callback(), queue=queue, seconds=0.25)
    await eventually(lambda: rabbit_admin.depth(queue), what=f"a message in {queue}")
    assert await _filled(rabbit_admin) == {queue: 1}


@pytest.mark.parametrize(
    ("event", "readers"),
    [
        (a_completion(), {GATEWAY_JOB_EVENTS, NOTIFIER_JOB_EVENTS}),
        (a_failure(), {GATEWAY_JOB_EVENTS, NOTIFIER_JOB_EVENTS}),
        (a_retry(), {GATEWAY_JOB_EVENTS}),
        (a_rejection(), {"auth_token_events"}),
        (a_replacement(), set()),
    ],
    ids=lambda value: value.name if isinstance(value, Message) else "",
)
async def test_an_event_reaches_each_of_its_readers_once(
    make: MakeMessaging, rabbit_admin: RabbitAdmin, event: Message, readers: set[str]
) -> None:
    await (await make.sending()).send_event(event)
    assert await _filled(rabbit_admin) == dict.fromkeys(readers, 1)


@pytest.mark.parametrize("target", ["rest", "upload", "replace"])
async def test_a_job_lies_in_the_queue_of_its_target(
    make: MakeMessaging, rabbit_admin: RabbitAdmin, target: str
) -> None:
    job = a_job().model_copy(update={"target": type(a_job().target)(target)})
    await (await make.sending()).send_job(job)
    assert await _filled(rabbit_admin) == {f"flickr_{target}": 1}


@pytest.mark.parametrize("queue", WORK_QUEUES)
async def test_what_a_consumer_rejects_lies_in_the_dead_letter_queue_of_its_queue(
    channel: AbstractChannel, rabbit_admin: RabbitAdmin, queue: str
) -> None:
    await declare(channel)
    await rabbit_admin.publish(b"no", key=queue)
    message = await (await channel.get_queue(queue, ensure=False)).get()
    assert message is not None
    await message.reject(requeue=False)
    dead = WORK_QUEUES[queue].dead_letter_queue
    await eventually(lambda: rabbit_admin.depth(dead), what=f"a message in {dead}")
    assert await _filled(rabbit_admin) == {dead: 1}


async def test_a_delay_beyond_the_ladders_reach_waits_in_its_top_step(
    make: MakeMessaging, rabbit_admin: RabbitAdmin
) -> None:
    await (await make.sending()).send_later(a_due_callback(), queue=NOTIFIER_CALLBACKS_DUE, seconds=1e9)
    assert await rabbit_admin.depth(delay_queue(DELAY_LEVELS - 1)) == 1
    assert await rabbit_admin.depth(FLICKR_DLQ) == 0
