"""Every exchange, queue and key, spelled once, and the function that declares them all.

Everything is durable: quorum queues with an explicit delivery limit, a dead-letter exchange, at-least-once
dead-lettering and ``reject-publish`` overflow, which at-least-once needs. Works alike on RabbitMQ 3.10 and 4.x
(facts: docs/adr/0003-one-topology-module.md).

The delay ladder: ``flickr.delay`` takes routing keys of the form ``d.d.d….d.<queue>`` where the digits are the delay in
units of 250 ms, most significant first. On level *n* a message whose digit is 1 waits 2^n units in that level's queue
and goes on one level down; a digit 0 goes on at once. Below level 0 it leaves for its queue. Every queue holds messages
of one age limit only, so nothing ever waits behind something slower. (The idea carries NServiceBus's delayed delivery.)
"""

import math
from dataclasses import dataclass
from typing import Any

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel

from flickrhub_common.contracts import Target, queue_of

JOBS_EXCHANGE = "flickr.jobs"
EVENTS_EXCHANGE = "flickr.events"
DELAY_EXCHANGE = "flickr.delay"
DELAY_EXIT_EXCHANGE = f"{DELAY_EXCHANGE}.out"
DEAD_LETTER_EXCHANGE = "flickr.dlx"

EXCHANGES = {
    JOBS_EXCHANGE: ExchangeType.DIRECT,
    EVENTS_EXCHANGE: ExchangeType.TOPIC,
    DELAY_EXCHANGE: ExchangeType.TOPIC,
    DELAY_EXIT_EXCHANGE: ExchangeType.TOPIC,
    DEAD_LETTER_EXCHANGE: ExchangeType.DIRECT,
}
"""Besides those of the delay ladder's levels; all are durable."""

GATEWAY_JOB_EVENTS = "gateway_job_events"
NOTIFIER_JOB_EVENTS = "notifier_job_events"
NOTIFIER_CALLBACKS_DUE = "notifier_callbacks_due"
AUTH_TOKEN_EVENTS = "auth_token_events"  # noqa: S105 - a queue's name

FLICKR_DLQ = "flickr_dlq"
CALLBACK_DLQ = "callback_dlq"

TOKEN_EVENTS_KEY = "token.*"  # noqa: S105 - a routing key

DELAY_UNIT_SECONDS = 0.25
DELAY_LEVELS = 20
MAX_DELAY_SECONDS = ((1 << DELAY_LEVELS) - 1) * DELAY_UNIT_SECONDS
"""The ladder's reach: a little under 73 hours."""

DELIVERY_LIMIT = 20
DEAD_LETTER_LOOKS = 1_000_000
"""A look at a dead letter counts as a delivery, and RabbitMQ 4 drops a message after 20 unless told otherwise."""


@dataclass(frozen=True)
class WorkQueue:
    """A queue that somebody consumes, where its messages come from and where its dead letters go."""

    name: str
    dead_letter_queue: str
    exchange: str | None = None
    keys: tuple[str, ...] = ()

    def bindings(self) -> tuple[tuple[str, str], ...]:
        """The exchanges and keys its messages come by, the end of the delay ladder among them."""
        return ((DELAY_EXIT_EXCHANGE, f"#.{self.name}"), *((self.exchange, key) for key in self.keys if self.exchange))

    def arguments(self) -> dict[str, Any]:
        """The arguments it is declared with."""
        return {
            "x-queue-type": "quorum",
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": DEAD_LETTER_EXCHANGE,
            "x-dead-letter-routing-key": self.dead_letter_queue,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }


def dead_letters_of(queue: str) -> str:
    """The dead-letter queue of an event queue."""
    return f"{queue}_dlq"


def lock_of(dead_letter_queue: str) -> str:
    """The exclusive queue that whoever goes through the dead letters of a queue has meanwhile."""
    return f"flickrhub-dlq.{dead_letter_queue}"


JOB_QUEUES = tuple(WorkQueue(queue_of(t), FLICKR_DLQ, JOBS_EXCHANGE, (t.value,)) for t in Target)
EVENT_QUEUES = (
    WorkQueue(
        GATEWAY_JOB_EVENTS,
        dead_letters_of(GATEWAY_JOB_EVENTS),
        EVENTS_EXCHANGE,
        ("job.completed", "job.failed", "job.retrying", "job.replayed"),
    ),
    WorkQueue(NOTIFIER_JOB_EVENTS, CALLBACK_DLQ, EVENTS_EXCHANGE, ("job.completed", "job.failed")),
    WorkQueue(NOTIFIER_CALLBACKS_DUE, CALLBACK_DLQ),
    WorkQueue(AUTH_TOKEN_EVENTS, dead_letters_of(AUTH_TOKEN_EVENTS), EVENTS_EXCHANGE, ("token.rejected",)),
)
KEPT_EVENTS = frozenset(key for queue in EVENT_QUEUES for key in queue.keys)
"""Events that lie in a queue until they are read; of the others, only instances that run now learn."""

WORK_QUEUES = {queue.name: queue for queue in (*JOB_QUEUES, *EVENT_QUEUES)}
DEAD_LETTER_QUEUES = tuple(dict.fromkeys(queue.dead_letter_queue for queue in WORK_QUEUES.values()))


def delay_exchange(level: int) -> str:
    """The exchange of a level; the top level's is ``flickr.delay`` itself, where messages enter."""
    return DELAY_EXCHANGE if level == DELAY_LEVELS - 1 else f"{DELAY_EXCHANGE}.{level:02d}"


def delay_queue(level: int) -> str:
    """The queue in which a message waits 2^level units."""
    return f"{DELAY_EXCHANGE}.{level:02d}"


def delay_units(seconds: float) -> int:
    """A delay in units, rounded up, so that nothing is early; at least one, at most the ladder's reach."""
    return max(1, math.ceil(min(max(seconds, 0), MAX_DELAY_SECONDS) / DELAY_UNIT_SECONDS - 1e-9))


def delay_key(seconds: float, queue: str) -> str:
    """The routing key that makes ``flickr.delay`` hold a message for ``seconds`` and then put it into ``queue``."""
    digits = format(delay_units(seconds), f"0{DELAY_LEVELS}b")
    return f"{'.'.join(digits)}.{queue}"


async def declare(channel: AbstractChannel) -> None:
    """Declare everything; safe to repeat and to run from several services at once."""
    exchanges = {name: await channel.declare_exchange(name, kind, durable=True) for name, kind in EXCHANGES.items()}
    for name in DEAD_LETTER_QUEUES:
        arguments: dict[str, Any] = {"x-queue-type": "quorum", "x-delivery-limit": DEAD_LETTER_LOOKS}
        queue = await channel.declare_queue(name, durable=True, arguments=arguments)
        await queue.bind(exchanges[DEAD_LETTER_EXCHANGE], name)
    await _declare_ladder(channel)
    for work in WORK_QUEUES.values():
        queue = await channel.declare_queue(work.name, durable=True, arguments=work.arguments())
        for exchange, key in work.bindings():
            await queue.bind(exchange, key)


async def _declare_ladder(channel: AbstractChannel) -> None:
    below = await channel.declare_exchange(DELAY_EXIT_EXCHANGE, ExchangeType.TOPIC, durable=True)
    for level in range(DELAY_LEVELS):
        exchange = await channel.declare_exchange(delay_exchange(level), ExchangeType.TOPIC, durable=True)
        queue = await channel.declare_queue(
            delay_queue(level),
            durable=True,
            arguments={
                "x-queue-type": "quorum",
                "x-message-ttl": int(2**level * DELAY_UNIT_SECONDS * 1000),
                "x-dead-letter-exchange": below.name,
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
            },
        )
        skipped = "*." * (DELAY_LEVELS - 1 - level)
        await queue.bind(exchange, f"{skipped}1.#")
        await below.bind(exchange, f"{skipped}0.#")
        below = exchange
