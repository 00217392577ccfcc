"""One queue's consumer: on a channel of its own, and begun again whenever it has ended.

The driver (aio-pika) brings connection, channel and queue back by itself. So it would its own consumers, but a message
through one of those takes a task and an object more: ours are of the layer below, aiormq, and begun again here.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import aiormq
from aio_pika.abc import AbstractRobustChannel, AbstractRobustConnection, AbstractRobustQueue
from aiormq.abc import DeliveredMessage

from flickrhub_common.logs import logger
from flickrhub_common.rabbit_errors import BROKER_ERRORS, driver_cancellations
from flickrhub_common.topology import EXCHANGES

log = logger(__name__)

LOOK_SECONDS = 1.0
"""Between two looks whether it is consumed; a channel that was opened again is consumed at once.

A consumer that RabbitMQ ended alone is begun again after as long, no sooner: the queue may be deleted together with all
of its vhost, and one that is declared again meanwhile was seen to stay locked in the vhost of that name made next.
"""
REPLY_SECONDS = 5.0
STOP_SECONDS = 0.5

Take = Callable[[DeliveredMessage], Coroutine[Any, Any, None]]


@dataclass(frozen=True, kw_only=True)
class ConsumedQueue:
    """A queue as it is declared, and the exchanges and keys by which its messages come."""

    name: str
    durable: bool = True
    exclusive: bool = False
    auto_delete: bool = False
    arguments: dict[str, Any] = field(default_factory=dict)
    bindings: Sequence[tuple[str, str]] = ()


class Subscription:
    """Has ``take`` called with every message of a queue; at most ``prefetch`` of them aren't settled."""

    def __init__(self, queue: ConsumedQueue, take: Take, *, prefetch: int) -> None:
        self._queue = queue
        self._take = take
        self._prefetch = prefetch
        self._channel: AbstractRobustChannel | None = None
        self._declared: AbstractRobustQueue | None = None
        self._consumed: tuple[aiormq.Channel, str] | None = None
        self._reopened = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """The queue's."""
        return self._queue.name

    async def open(self, connection: AbstractRobustConnection) -> None:
        """Declare the queue, consume it and keep consuming it. Raises one of BROKER_ERRORS."""
        wanted = self._queue
        self._channel = connection.channel(publisher_confirms=False)
        await self._channel.initialize()
        await self._channel.set_qos(prefetch_count=self._prefetch)
        self._declared = await self._channel.declare_queue(
            wanted.name,
            durable=wanted.durable,
            exclusive=wanted.exclusive,
            auto_delete=wanted.auto_delete,
            arguments=wanted.arguments or None,
        )
        for exchange, key in wanted.bindings:  # both on this channel: so the driver brings them back in this order
            await self._channel.declare_exchange(exchange, EXCHANGES[exchange], durable=True)
            await self._declared.bind(exchange, key)
        await self._consume()
        self._channel.reopen_callbacks.add(self._on_reopened)
        self._keeper = asyncio.create_task(self._keep(), name=f"keep-{wanted.name}")

    async def consuming(self) -> bool:
        """Whether its messages come. Waits for a connection."""
        try:
            channel = await self._underlay()
        except aiormq.exceptions.ChannelInvalidStateError:  # it was closed, and couldn't be opened again
            return False
        if self._consumed is None or channel is not self._consumed[0]:
            return False
        return not channel.is_closed and self._consumed[1] in channel.consumers

    async def stop(self) -> None:
        """Take no more; what is in hand can still be settled. Raises one of BROKER_ERRORS.

        Not to be cancelled, for that closes the channel. Whatever was under way to us is taken until RabbitMQ answers.
        """
        await self.stop_keeping()
        if self._consumed is not None and not self._consumed[0].is_closed:
            with driver_cancellations():
                await self._consumed[0].basic_cancel(self._consumed[1])

    async def close(self) -> None:
        """Send what acknowledgements are still on their way, and close the channel. Raises one of BROKER_ERRORS."""
        await self.stop_keeping()
        channel, self._channel, self._consumed = self._channel, None, None
        if channel is not None and not channel.is_closed:
            await channel.close()

    async def stop_keeping(self) -> None:
        """From now on, don't consume again what isn't consumed any more."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait({keeper}, timeout=STOP_SECONDS)

    async def _consume(self) -> None:
        channel = await self._underlay()
        begun = await channel.basic_consume(self._queue.name, self._take, timeout=REPLY_SECONDS)
        self._consumed = channel, begun.consumer_tag or ""

    async def _underlay(self) -> aiormq.Channel:
        if self._channel is None:
            raise aiormq.exceptions.ChannelInvalidStateError("not open")
        return cast(aiormq.Channel, await self._channel.get_underlay_channel())

    def _on_reopened(self, *_: Any) -> None:
        self._reopened.set()

    async def _keep(self) -> None:
        while True:
            reopened = await self._reopened_soon()
            try:
                with driver_cancellations():
                    if await self.consuming():
                        continue
                    if not reopened:
                        await self._reopened_soon()
                    async with asyncio.timeout(REPLY_SECONDS):
                        await self._begin_again()
            except BROKER_ERRORS as error:
                log.warning("queue_not_consumed", queue=self._queue.name, error=type(error).__name__)
                await asyncio.sleep(LOOK_SECONDS)

    async def _reopened_soon(self) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self._reopened.wait()
        reopened = self._reopened.is_set()
        self._reopened.clear()
        return reopened

    async def _begin_again(self) -> None:
        if self._channel is None or self._declared is None or await self.consuming():
            return
        await self._channel.restore()
        await self._declared.restore()
        await self._consume()
        log.info("queue_consumed_again", queue=self._queue.name)
