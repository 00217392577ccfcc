"""The connection to RabbitMQ: made in the background, furnished, lost, found again, closed.

``link``, ``subscription``, ``broker`` and ``consuming`` are the only modules that name the drivers: aio-pika, which
finds the connection again, and aiormq below it, by which messages go directly (docs/adr/0024-thin-consumer.md).
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

import aiormq
from aio_pika import connect_robust
from aio_pika.abc import AbstractRobustChannel
from aio_pika.exceptions import DeliveryError
from aiormq.exceptions import ChannelInvalidStateError, ChannelNotFoundEntity, PublishError
from yarl import URL

from flickrhub_common.errors import Unavailable
from flickrhub_common.gathered_writes import GatheringConnection
from flickrhub_common.logs import logger
from flickrhub_common.rabbit_errors import BROKER_ERRORS, driver_cancellations
from flickrhub_common.settings import RabbitSettings
from flickrhub_common.subscription import ConsumedQueue, Subscription, Take
from flickrhub_common.topology import EXCHANGES, declare

log = logger(__name__)

CONFIRM_SECONDS = 5.0
CONNECT_SECONDS = 5.0
RECONNECT_SECONDS = 1.0
CLOSE_SECONDS = 1.0


@dataclass(frozen=True)
class Depth:
    """What RabbitMQ says of a queue: messages that lie ready in it, and consumers it has."""

    messages: int
    consumers: int


class Link:
    """One connection of a service: a channel for everything it sends, and one for each queue it reads."""

    def __init__(self, settings: RabbitSettings, *, service: str) -> None:
        self._url = _named(settings, service)
        self._subscriptions: list[Subscription] = []
        self._connection: GatheringConnection | None = None
        self._sending: AbstractRobustChannel | None = None
        self._starter: asyncio.Task[None] | None = None
        self._can_send = asyncio.Event()
        self._started = asyncio.Event()

    def consume(self, queue: ConsumedQueue, take: Take, *, concurrency: int) -> None:
        """Have the queue consumed from the start on, at most so many messages at once."""
        self._subscriptions.append(Subscription(queue, take, prefetch=concurrency))

    async def publish(
        self, exchange: str, key: str, body: bytes, properties: aiormq.spec.Basic.Properties, *, mandatory: bool = True
    ) -> None:
        """Send, and return when RabbitMQ has confirmed. Raises Unavailable."""
        if self._sending is None or not self._can_send.is_set():
            raise Unavailable("rabbitmq")
        try:
            with driver_cancellations():
                async with asyncio.timeout(CONFIRM_SECONDS):
                    channel = await self._channel_with_room(self._sending)
                    await channel.basic_publish(
                        body,
                        exchange=exchange,
                        routing_key=key,
                        properties=properties,
                        mandatory=mandatory,
                        wait=False,  # for the socket, one after the other; the confirm is what counts, and waited for
                    )
        except (PublishError, DeliveryError) as error:  # returned or refused: topology or disk, never the message
            log.error("publish_refused", exchange=exchange, error=type(error).__name__)  # noqa: TRY400
            raise Unavailable("rabbitmq") from error
        except BROKER_ERRORS as error:
            raise Unavailable("rabbitmq") from error

    async def _channel_with_room(self, sending: AbstractRobustChannel) -> aiormq.Channel:
        """The open channel to send by, once RabbitMQ has read most of what was sent. Raises one of BROKER_ERRORS."""
        if self._connection is not None:
            await self._connection.room_to_write()
        with contextlib.suppress(ChannelInvalidStateError):
            channel = cast(aiormq.Channel, await sending.get_underlay_channel())
            if not channel.is_closed:
                return channel
        await sending.restore()  # the driver tries that once, when it is closed
        return cast(aiormq.Channel, await sending.get_underlay_channel())

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
                with driver_cancellations():
                    await self._start_once()
            except BROKER_ERRORS as error:
                self._can_send.clear()
                log.warning("rabbitmq_away", error=type(error).__name__)
                await self._close()
                await asyncio.sleep(1)
            else:
                return

    async def _start_once(self) -> None:
        connection = await connect_robust(
            self._url,
            timeout=CONNECT_SECONDS,
            reconnect_interval=RECONNECT_SECONDS,
            connection_class=GatheringConnection,
        )
        self._connection = connection
        connection.close_callbacks.add(self._on_lost)
        connection.reconnect_callbacks.add(self._on_reconnected)
        async with connection.channel() as channel:
            await declare(channel)
        self._sending = connection.channel(on_return_raises=True)
        await self._sending.initialize()
        for name, kind in EXCHANGES.items():  # so that the driver restores them before the queues bound to them
            await self._sending.declare_exchange(name, kind, durable=True)
        self._can_send.set()  # before the consumers: a handler's first act may be to send
        for subscription in self._subscriptions:
            await subscription.open(connection)
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
        for subscription in self._subscriptions:  # all of them first: the connection may come back at any moment
            await subscription.stop_keeping()
        stopping = {asyncio.create_task(_stopped(subscription)) for subscription in self._subscriptions}
        if stopping:  # in tasks of their own, which end with the connection: cancelling them would close the channels,
            await asyncio.wait(stopping, timeout=CLOSE_SECONDS)  # and what is in hand couldn't be acknowledged any more

    async def close(self) -> None:
        """Send no more, and close what is open, within a few seconds."""
        self._can_send.clear()
        self._started.clear()
        await self._close()

    async def _close(self) -> None:
        connection, self._connection, self._sending = self._connection, None, None
        await asyncio.gather(*(_closed(subscription.close) for subscription in self._subscriptions))
        if connection is not None:
            await _closed(connection.close)

    async def ping(self) -> None:
        """Raise Unavailable unless connected, answered and consuming from every queue."""
        if not (self._started.is_set() and self._can_send.is_set()):
            raise Unavailable("rabbitmq")
        await self._ask()
        if not await self._is_consuming():  # after the round trip: what RabbitMQ has cancelled is known by then
            raise Unavailable("rabbitmq")

    async def _ask(self) -> None:
        """A round trip: a broker that fell silent is away long before the missed heartbeats say so.

        In a task of its own, because the driver cancels whoever waits for a reply on a connection that ends.
        """
        trip = asyncio.create_task(self._open_and_close_channel())
        done, _ = await asyncio.wait({trip}, timeout=1)
        if not done or trip.cancelled() or trip.exception() is not None:
            trip.cancel()
            raise Unavailable("rabbitmq")

    async def depths(self, queues: Iterable[str]) -> dict[str, Depth]:
        """What lies in those of these queues that there are. Raises one of BROKER_ERRORS, or Unavailable."""
        left, found = deque(queues), dict[str, Depth]()
        while left:
            if self._connection is None or self._connection.transport is None or not self._can_send.is_set():
                raise Unavailable("rabbitmq")
            with driver_cancellations():
                channel = await self._connection.transport.connection.channel(publisher_confirms=False)
                try:
                    await _look_at(left, found, cast(aiormq.Channel, channel))
                finally:
                    if not channel.is_closed:
                        await _closed(channel.close)
        return found

    async def consumed(self) -> dict[str, bool]:
        """Which of the queues are consumed now; none while there is no connection."""
        connected = self._started.is_set() and self._can_send.is_set()  # else it would be waited for
        return {one.name: connected and await one.consuming() for one in self._subscriptions}

    async def _open_and_close_channel(self) -> None:
        if self._connection is not None:
            async with self._connection.channel():
                pass

    async def _is_consuming(self) -> bool:
        try:
            async with asyncio.timeout(1):
                return all([await subscription.consuming() for subscription in self._subscriptions])
        except BROKER_ERRORS:
            return False


async def _look_at(left: deque[str], found: dict[str, Depth], channel: aiormq.Channel) -> None:
    """Take from those that are left until one isn't there, with which the channel has ended."""
    with contextlib.suppress(ChannelNotFoundEntity):
        while left:
            queue = left.popleft()
            declared = await channel.queue_declare(queue, passive=True, timeout=CONFIRM_SECONDS)
            found[queue] = Depth(declared.message_count or 0, declared.consumer_count or 0)


async def _stopped(subscription: Subscription) -> None:
    try:
        await subscription.stop()
    except BROKER_ERRORS as error:
        log.warning("rabbitmq_cancel_failed", error=type(error).__name__)


async def _closed(close: Callable[[], Awaitable[None]]) -> None:
    try:
        with driver_cancellations():
            async with asyncio.timeout(CLOSE_SECONDS):
                await close()
    except (*BROKER_ERRORS, ExceptionGroup) as error:
        log.warning("rabbitmq_close_failed", error=type(error).__name__)


def _named(settings: RabbitSettings, service: str) -> str:
    """The URL with a heartbeat, unless it has one, and the connection's name that an operator sees in RabbitMQ."""
    url = URL(settings.rabbit_url.get_secret_value())
    heartbeat = url.query.get("heartbeat", str(settings.rabbit_heartbeat_seconds))
    return str(url.update_query(name=f"flickrhub-{service}", heartbeat=heartbeat))
