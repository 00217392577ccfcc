"""The bare chain: what RabbitMQ and its driver allow when a job is nothing but two messages.

publish with confirm -> quorum queue -> consume -> publish with confirm -> quorum queue -> acknowledge the first ->
consume -> acknowledge the second. One process, one connection, persistent messages of a job message's size.
"""

import asyncio
import statistics
import time
import uuid
from dataclasses import asdict, dataclass, field
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage, AbstractQueue

IN_FLIGHT = 64
BODY = b"x" * 600
"""As long as the message of a job with a callback and its sealed secret."""


@dataclass
class ChainFigures:
    """Messages a second through the whole chain, each round's, and what a message cost in the last ones."""

    rounds: list[float] = field(default_factory=list)
    cpu_ms_per_message: dict[str, float] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        """The median round."""
        return statistics.median(self.rounds)

    def as_json(self) -> dict[str, Any]:
        """The figures for programs."""
        return asdict(self) | {"per_second": self.per_second}


class Chain:
    """One round on queues of its own."""

    def __init__(self, connection: aio_pika.abc.AbstractConnection, *, count: int) -> None:
        self._connection = connection
        self._count = count
        self._ended = 0
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._done = asyncio.Event()
        self._names = tuple(f"bench-{part}-{uuid.uuid4().hex[:8]}" for part in ("first", "second"))

    async def run(self) -> float:
        """Messages a second."""
        out = await self._connection.channel(publisher_confirms=True)
        into = await self._connection.channel()
        await into.set_qos(prefetch_count=IN_FLIGHT)
        self._exchange = out.default_exchange
        queues = [
            await into.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"}) for name in self._names
        ]
        try:
            return await self._through(*queues)
        finally:
            for queue in queues:
                await queue.delete(if_unused=False, if_empty=False)
            await out.close()
            await into.close()

    async def _through(self, first: AbstractQueue, second: AbstractQueue) -> float:
        consumed = [(first, await first.consume(self._pass_on)), (second, await second.consume(self._end))]
        began = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._count):
                await self._room.acquire()
                tasks.create_task(self._publish(self._names[0], BODY))
            await self._done.wait()
        seconds = time.perf_counter() - began
        for queue, tag in consumed:
            await queue.cancel(tag)
        return self._count / seconds

    async def _publish(self, queue: str, body: bytes) -> None:
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await self._exchange.publish(message, routing_key=queue)

    async def _pass_on(self, message: AbstractIncomingMessage) -> None:
        await self._publish(self._names[1], message.body)
        await message.ack()

    async def _end(self, message: AbstractIncomingMessage) -> None:
        await message.ack()
        self._ended += 1
        self._room.release()
        if self._ended == self._count:
            self._done.set()


async def chain_rounds(url: str, *, count: int, rounds: int) -> list[float]:
    """Some rounds one after the other, each on fresh queues; messages a second of each."""
    connection = await aio_pika.connect(url)
    try:
        return [round(await Chain(connection, count=count).run(), 1) for _ in range(rounds)]
    finally:
        await connection.close()
