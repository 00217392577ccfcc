"""The connection to RabbitMQ: made in the background, furnished, lost, found again, closed.

``link``, ``broker`` and ``consuming`` are the only modules that name the drivers (FastStream over aio-pika).
"""

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import aiormq
from aio_pika import RobustConnection, RobustQueue
from aio_pika.exceptions import DeliveryError
from aiormq.exceptions import PublishError
from faststream import AckPolicy
from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange, RabbitMessage, RabbitQueue
from yarl import URL

from flickrhub_common.contracts import Message
from flickrhub_common.errors import Unavailable
from flickrhub_common.logs import logger
from flickrhub_common.rabbit_errors import BROKER_ERRORS
from flickrhub_common.settings import RabbitSettings
from flickrhub_common.settling import Headers
from flickrhub_common.topology import (
    DEAD_LETTER_EXCHANGE,
    DELAY_EXCHANGE,
    DELAY_EXIT_EXCHANGE,
    EVENTS_EXCHANGE,
    JOBS_EXCHANGE,
    WORK_QUEUES,
    declare,
)

log = logger(__name__)

CONFIRM_SECONDS = 5.0
CONNECT_SECONDS = 5.0
CLOSE_SECONDS = 1.0

Handler = Callable[[Any], Awaitable[None]]

_EXCHANGES = {
    JOBS_EXCHANGE: ExchangeType.DIRECT,
    EVENTS_EXCHANGE: ExchangeType.TOPIC,
    DELAY_EXCHANGE: ExchangeType.TOPIC,
    DELAY_EXIT_EXCHANGE: ExchangeType.TOPIC,
    DEAD_LETTER_EXCHANGE: ExchangeType.DIRECT,
}


class Link:
    """One connection of a service: for everything it sends, and a channel for each queue it reads."""

    def __init__(self, settings: RabbitSettings, *, service: str, middlewares: Sequence[Any]) -> None:
        self._queues: list[RabbitQueue] = []
        self._consumed: list[RobustQueue] = []
        self._connection: RobustConnection | None = None
        self._starter: asyncio.Task[None] | None = None
        self._can_send = asyncio.Event()
        self._started = asyncio.Event()
        self._exchanges = {
            name: RabbitExchange(name, type=kind, durable=True, declare=True) for name, kind in _EXCHANGES.items()
        }
        self._broker = RabbitBroker(
            _named(settings, service),
            timeout=CONNECT_SECONDS,
            reconnect_interval=1.0,
            graceful_timeout=None,  # waiting for handlers is ours: `Messaging.stop`
            app_id=f"flickrhub-{service}",
            default_channel=Channel(on_return_raises=True),
            ack_policy=AckPolicy.MANUAL,
            middlewares=middlewares,
            on_close=(self._on_lost,),
            on_reconnected=(self._on_reconnected,),
            apply_types=False,
            logger=None,
        )

    def consume(
        self,
        queue: RabbitQueue,
        handler: Handler,
        *,
        read: Callable[[RabbitMessage], Message],
        concurrency: int,
        events: bool = False,
    ) -> None:
        """Have the queue consumed from the start on; ``events`` binds it to the events' exchange by its key."""

        async def decoder(message: RabbitMessage) -> Message:
            return read(message)

        self._queues.append(queue)
        exchange = self._exchanges[EVENTS_EXCHANGE] if events else None
        channel = Channel(prefetch_count=concurrency)
        self._broker.subscriber(queue, exchange, channel=channel, decoder=decoder, no_reply=True)(handler)

    async def publish(
        self,
        exchange: str,
        key: str,
        body: bytes,
        properties: Mapping[str, Any],
        headers: Headers | None = None,
        *,
        mandatory: bool = True,
    ) -> None:
        """Send, and return when RabbitMQ has confirmed. Raises Unavailable."""
        if not self._can_send.is_set():
            raise Unavailable("rabbitmq")
        try:
            async with asyncio.timeout(CONFIRM_SECONDS):  # the driver's own limit leaves out waiting for a connection
                await self._broker.publish(
                    body,
                    exchange=self._exchanges[exchange],
                    routing_key=key,
                    persist=True,
                    mandatory=mandatory,
                    message_id=uuid.uuid4().hex,
                    timestamp=datetime.now(UTC),
                    content_type="application/json",
                    headers=dict(headers or {}),
                    **properties,
                )
        except (PublishError, DeliveryError) as error:  # returned or refused: topology or disk, never the message
            log.error("publish_refused", exchange=exchange, error=type(error).__name__)  # noqa: TRY400
            raise Unavailable("rabbitmq") from error
        except BROKER_ERRORS as error:
            raise Unavailable("rabbitmq") from error

    async def start(self) -> None:
        """Begin to connect; returns when connected, or after 5 s with the attempts going on in the background."""
        self._starter = asyncio.create_task(self._start_until_done(), name="rabbitmq-start")
        done, _ = await asyncio.wait({self._starter}, timeout=CONNECT_SECONDS)
        for starter in done:
            if not starter.cancelled():
                starter.result()

    async def _start_until_done(self) -> None:
        while True:
            try:
                await self._start_once()
            except BROKER_ERRORS as error:
                self._can_send.clear()
                log.warning("rabbitmq_away", error=type(error).__name__)
                await self._close()
                await asyncio.sleep(1)
            else:
                return

    async def _start_once(self) -> None:
        self._connection = await self._broker.connect()
        async with self._connection.channel() as channel:
            await declare(channel)
        for exchange in self._exchanges.values():  # else a publish declares it passively, which fails on a new server
            await self._broker.declare_exchange(exchange)
        self._can_send.set()  # before the consumers: a handler's first act may be to send
        await self._broker.start()
        self._consumed = [await self._broker.declare_queue(queue) for queue in self._queues]
        for queue in self._consumed:
            for exchange_name, key in WORK_QUEUES[queue.name].bindings() if queue.name in WORK_QUEUES else ():
                await queue.bind(exchange_name, key)  # again, so that the driver restores it with the queue
        self._started.set()
        log.info("rabbitmq_connected")

    def _on_lost(self, *_: Any) -> None:
        self._can_send.clear()
        log.info("rabbitmq_connection_ended")

    async def _on_reconnected(self, connection: Any) -> None:
        """Declare everything again, for the server may be a new, empty one."""
        try:
            async with connection.channel() as channel:
                await declare(channel)
        except BROKER_ERRORS as error:
            log.warning("rabbitmq_not_furnished", error=type(error).__name__)
        self._can_send.set()
        log.info("rabbitmq_connected_again")

    async def stop_taking(self) -> None:
        """End the attempts to connect, and take no more messages; what is in hand can still be settled."""
        if self._starter is not None:
            self._starter.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._starter
        if not self._can_send.is_set():
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                for queue in self._consumed:
                    for tag in tuple(await _consumer_tags(queue)):
                        await queue.cancel(tag)
        except BROKER_ERRORS as error:
            log.warning("rabbitmq_cancel_failed", error=type(error).__name__)

    async def close(self) -> None:
        """Send no more, and close what is open, within a few seconds."""
        self._can_send.clear()
        self._started.clear()
        await self._close()

    async def _close(self) -> None:
        self._consumed = []
        connection, self._connection = self._connection, None
        for close in (connection.close if connection else None, self._broker.stop):
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    if close is not None:
                        await close()
            except (*BROKER_ERRORS, ExceptionGroup) as error:
                log.warning("rabbitmq_close_failed", error=type(error).__name__)

    async def ping(self) -> None:
        """Raise Unavailable unless connected, answered and consuming from every queue."""
        if not (self._started.is_set() and self._can_send.is_set() and await self._is_consuming()):
            raise Unavailable("rabbitmq")
        await self._ask()

    async def _ask(self) -> None:
        """A round trip: a broker that fell silent is away long before the missed heartbeats say so.

        In a task of its own, because the driver cancels whoever waits for a reply on a connection that ends.
        """
        trip = asyncio.create_task(self._open_and_close_channel())
        done, _ = await asyncio.wait({trip}, timeout=1)
        if not done or trip.cancelled() or trip.exception() is not None:
            trip.cancel()
            raise Unavailable("rabbitmq")

    async def _open_and_close_channel(self) -> None:
        if self._connection is not None:
            async with self._connection.channel():
                pass

    async def _is_consuming(self) -> bool:
        try:
            async with asyncio.timeout(1):
                return all([await _consumer_tags(queue) for queue in self._consumed])
        except BROKER_ERRORS:
            return False


async def _consumer_tags(queue: RobustQueue) -> Collection[str]:
    """The tags of a queue's consumers; each queue has a channel of its own, which knows them."""
    return cast(aiormq.Channel, await queue.channel.get_underlay_channel()).consumers.keys()


def _named(settings: RabbitSettings, service: str) -> str:
    """The URL with a heartbeat, unless it has one, and the connection's name that an operator sees in RabbitMQ."""
    url = URL(settings.rabbit_url.get_secret_value())
    heartbeat = url.query.get("heartbeat", str(settings.rabbit_heartbeat_seconds))
    return str(url.update_query(name=f"flickrhub-{service}", heartbeat=heartbeat))
