"""RabbitMQ: this module and ``consuming`` are the only ones that name the drivers (FastStream over aio-pika).

FastStream's unsafe defaults are overridden here, once, each with a test in ``tests/integration/broker``:

* messages are transient → every publish is persistent;
* an unroutable publish is silent → ``mandatory`` with returns that raise;
* prefetch is unlimited → every consumer has its own channel and count;
* an error rejects, without a dead-letter exchange drops → acknowledgement is ours (``consuming.Edge``), and last;
* an immediate requeue spins → whatever has to wait goes through the delay ladder.
"""

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Any, cast

import aiormq
from aio_pika import IncomingMessage, RobustConnection, RobustQueue
from aio_pika.exceptions import AMQPError, DeliveryError
from aiormq.exceptions import PublishError
from faststream import AckPolicy
from faststream.rabbit import Channel, ExchangeType, QueueType, RabbitBroker, RabbitExchange, RabbitMessage, RabbitQueue
from faststream.rabbit.opentelemetry import RabbitTelemetryMiddleware
from faststream.rabbit.schemas.queue import QuorumQueueArgs
from opentelemetry.trace import TracerProvider
from yarl import URL

from flickrhub_common.consuming import Edge, InFlight, check_deliveries, decode, is_ours, trace_of
from flickrhub_common.contracts import JobRequested, Message
from flickrhub_common.errors import HubError, Unavailable
from flickrhub_common.logs import logger
from flickrhub_common.settings import RabbitSettings
from flickrhub_common.settling import BroughtBackTooOften, Bury, Headers, Postpone, Undecodable, decide
from flickrhub_common.telemetry import resumed
from flickrhub_common.topology import (
    DEAD_LETTER_EXCHANGE,
    DELAY_EXCHANGE,
    DELAY_EXIT_EXCHANGE,
    EVENTS_EXCHANGE,
    JOBS_EXCHANGE,
    KEPT_EVENTS,
    WORK_QUEUES,
    declare,
    delay_key,
)

log = logger(__name__)

CONFIRM_SECONDS = 5.0
CONNECT_SECONDS = 5.0
CLOSE_SECONDS = 2.0
SETTLE_AGAIN_SECONDS = 1.0
HEARTBEAT_SECONDS = 10
"""A connection whose other end is silent is given up after three of these and a bit."""

BROKER_ERRORS = (AMQPError, OSError, TimeoutError, RuntimeError)
"""What the drivers raise when RabbitMQ is away, slow or going (a closed channel is a RuntimeError of aiormq's)."""

Handler = Callable[[Any], Awaitable[None]]

_EXCHANGES = {
    JOBS_EXCHANGE: ExchangeType.DIRECT,
    EVENTS_EXCHANGE: ExchangeType.TOPIC,
    DELAY_EXCHANGE: ExchangeType.TOPIC,
    DELAY_EXIT_EXCHANGE: ExchangeType.TOPIC,
    DEAD_LETTER_EXCHANGE: ExchangeType.DIRECT,
}


class Messaging:
    """Sends and receives messages; survives the absence of RabbitMQ, at start and later."""

    def __init__(
        self,
        settings: RabbitSettings,
        *,
        service: str,
        tracer_provider: TracerProvider | None = None,
        drain_seconds: float = 20.0,
    ) -> None:
        self._service = service
        self._drain_seconds = drain_seconds
        self._queues: list[RabbitQueue] = []
        self._on_given_up: dict[str, Callable[[IncomingMessage], Awaitable[None]]] = {}
        self._consumed: list[RobustQueue] = []
        self._in_flight = InFlight()
        self._connection: RobustConnection | None = None
        self._starter: asyncio.Task[None] | None = None
        self._can_send = asyncio.Event()
        self._started = asyncio.Event()
        self._exchanges = {
            name: RabbitExchange(name, type=kind, durable=True, declare=True) for name, kind in _EXCHANGES.items()
        }
        self._broker = RabbitBroker(
            _named(settings.rabbit_url.get_secret_value(), service),
            timeout=CONNECT_SECONDS,
            reconnect_interval=1.0,
            graceful_timeout=None,  # waiting for handlers is ours: `stop`
            app_id=f"flickrhub-{service}",
            default_channel=Channel(on_return_raises=True),
            ack_policy=AckPolicy.MANUAL,
            middlewares=(
                cast("Any", partial(Edge, settle=self._settle, in_flight=self._in_flight)),
                RabbitTelemetryMiddleware(tracer_provider=tracer_provider),
            ),
            on_close=(self._on_lost,),
            on_reconnected=(self._on_reconnected,),
            apply_types=False,
            logger=None,
        )

    # -- receiving -----------------------------------------------------------------------------------------------

    def subscribe(
        self,
        queue: str,
        models: tuple[type[Message], ...],
        handler: Handler,
        *,
        concurrency: int,
        on_given_up: Handler | None = None,
    ) -> None:
        """Have ``handler`` called with every message of ``queue``, at most ``concurrency`` at once.

        A message is acknowledged when the handler returns. It goes to the dead letters when it can't be read, back
        through the delay ladder when the handler raises a retryable error (without counting) or crashes (five times
        at most). After that ``on_given_up`` has the message and sees to its dead letter; without it, it is just buried.
        """
        work = WORK_QUEUES[queue]
        arguments = cast(QuorumQueueArgs, work.arguments())
        declared = RabbitQueue(queue, queue_type=QueueType.QUORUM, durable=True, arguments=arguments)
        self._consume(declared, models, handler, concurrency)
        if on_given_up is not None:
            self._on_given_up[queue] = partial(_hand_over, {model.name: model for model in models}, on_given_up)

    def subscribe_every_instance(
        self, key: str, models: tuple[type[Message], ...], handler: Handler, *, concurrency: int = 8
    ) -> None:
        """Have every running copy of this service receive the events of ``key`` while it runs."""
        name = f"{self._service}.{key.replace('*', 'all')}.{uuid.uuid4().hex}"
        queue = RabbitQueue(name, durable=False, exclusive=True, auto_delete=True, routing_key=key)
        self._consume(queue, models, handler, concurrency, exchange=self._exchanges[EVENTS_EXCHANGE])

    def _consume(
        self,
        queue: RabbitQueue,
        models: tuple[type[Message], ...],
        handler: Handler,
        concurrency: int,
        exchange: RabbitExchange | None = None,
    ) -> None:
        by_name = {model.name: model for model in models}

        async def decoder(message: RabbitMessage) -> Message:
            check_deliveries(message.raw_message)
            return decode(message.raw_message, by_name)

        self._queues.append(queue)
        subscriber = self._broker.subscriber(
            queue, exchange, channel=Channel(prefetch_count=concurrency), decoder=decoder, no_reply=True
        )
        subscriber(handler)

    # -- sending -------------------------------------------------------------------------------------------------

    async def send_job(self, job: JobRequested) -> None:
        """Put a job into its target's queue. Raises Unavailable if RabbitMQ doesn't confirm it in time."""
        await self._publish(JOBS_EXCHANGE, job.target.value, job.to_bytes(), _properties(job))

    async def send_event(self, event: Message) -> None:
        """Tell everybody who reads events of this name. Raises Unavailable.

        It isn't an error if nobody runs who reads an event that is for running instances only.
        """
        kept = event.name in KEPT_EVENTS
        await self._publish(EVENTS_EXCHANGE, event.name, event.to_bytes(), _properties(event), mandatory=kept)

    async def send_later(self, message: Message, *, queue: str, seconds: float) -> None:
        """Put a message into a queue after a delay: never early, up to 72 hours. Raises Unavailable."""
        key = delay_key(seconds, queue)
        await self._publish(DELAY_EXCHANGE, key, message.to_bytes(), _properties(message))

    async def send_dead(self, message: Message, *, queue: str, headers: Headers) -> None:
        """Put a message into a dead-letter queue, with headers that say why. Raises Unavailable."""
        await self._publish(DEAD_LETTER_EXCHANGE, queue, message.to_bytes(), _properties(message), headers)

    async def _publish(
        self,
        exchange: str,
        key: str,
        body: bytes,
        properties: Mapping[str, Any],
        headers: Headers | None = None,
        *,
        mandatory: bool = True,
    ) -> None:
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
                    content_type="application/json",
                    headers=dict(headers or {}),
                    **properties,
                )
        except (PublishError, DeliveryError) as error:  # returned or refused: topology or disk, never the message
            log.error("publish_refused", exchange=exchange, error=type(error).__name__)  # noqa: TRY400
            raise Unavailable("rabbitmq") from error
        except BROKER_ERRORS as error:
            raise Unavailable("rabbitmq") from error

    # -- settling ------------------------------------------------------------------------------------------------

    async def _settle(self, queue: str, message: IncomingMessage, error: Exception | None) -> None:
        """Acknowledge a message, last of all, after whatever has to happen instead of success is confirmed.

        What can't be confirmed now (a full disk, a dead-letter queue that is gone) is tried again while the message is
        ours. Once its channel is closed, it isn't: then it comes again as soon as the broker is back.
        """
        while True:
            try:
                if error is not None:
                    with resumed(trace_of(message)):
                        await self._instead(queue, message, error)
                await message.ack()
            except (HubError, *BROKER_ERRORS) as failure:
                log.warning("message_not_settled", queue=queue, error=type(failure).__name__)
            except Exception:
                # The edge of the consuming loop: a message neither settled nor given back would hold its place in the
                # prefetch for ever, so the broker's own dead-lettering has it.
                log.exception("message_rejected", queue=queue)
                with contextlib.suppress(*BROKER_ERRORS):
                    await message.reject(requeue=False)
                return
            else:
                return
            if not is_ours(message):
                return
            await asyncio.sleep(SETTLE_AGAIN_SECONDS)

    async def _instead(self, queue: str, message: IncomingMessage, error: Exception) -> None:
        work = WORK_QUEUES.get(queue)
        if work is None:  # an instance's own queue: what it tells is also learnt by time
            if not isinstance(error, Undecodable):  # an event of the same key that this service doesn't read
                log.warning("event_dropped", queue=queue, error=type(error).__name__, exc_info=_unexpected(error))
            return
        kept = {"message_type": message.type, "correlation_id": message.correlation_id}
        decision = decide(error, message.headers)
        if isinstance(decision, Bury):
            log.error("message_dead", queue=queue, reason=decision.reason, exc_info=_unexpected(error))
            if queue in self._on_given_up and not isinstance(error, Undecodable):
                await self._on_given_up[queue](message)
                return
            headers = {**decision.headers, "reason": decision.reason, "queue": queue}
            await self._publish(DEAD_LETTER_EXCHANGE, work.dead_letter_queue, message.body, kept, headers)
        elif isinstance(decision, Postpone):
            wait = decision.seconds
            log.warning("message_waits", queue=queue, seconds=wait, error=str(error), exc_info=_unexpected(error))
            key = delay_key(wait, queue)
            await self._publish(DELAY_EXCHANGE, key, message.body, kept, decision.headers)

    # -- life ----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to connect; returns when connected, or after 5 s with the attempts going on in the background."""
        self._starter = asyncio.create_task(self._start_until_done(), name="rabbitmq-start")
        done, _ = await asyncio.wait({self._starter}, timeout=5)
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

    async def _on_reconnected(self, connection: Any) -> None:
        """Declare everything again, for the server may be a new, empty one."""
        try:
            async with connection.channel() as channel:
                await declare(channel)
        except BROKER_ERRORS as error:
            log.warning("rabbitmq_not_furnished", error=type(error).__name__)
        self._can_send.set()

    async def stop(self) -> None:
        """Stop taking messages, let handlers finish within the drain time, give the rest back, close."""
        if self._starter is not None:
            self._starter.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._starter
        await self._stop_taking()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._in_flight.none.wait(), self._drain_seconds)
        self._can_send.clear()
        self._started.clear()
        await self._close()

    async def _stop_taking(self) -> None:
        if not self._can_send.is_set():
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                for queue in self._consumed:
                    for tag in tuple(await _consumer_tags(queue)):
                        await queue.cancel(tag)
        except BROKER_ERRORS as error:
            log.warning("rabbitmq_cancel_failed", error=type(error).__name__)

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


def _named(url: str, service: str) -> str:
    """The URL with a heartbeat, unless it has one, and the connection's name that an operator sees in RabbitMQ."""
    heartbeat = URL(url).query.get("heartbeat", str(HEARTBEAT_SECONDS))
    return str(URL(url).update_query(name=f"flickrhub-{service}", heartbeat=heartbeat))


async def _hand_over(by_name: Mapping[str, type[Message]], handler: Handler, message: IncomingMessage) -> None:
    await handler(decode(message, by_name))


def _unexpected(error: Exception) -> Exception | None:
    """The error if its traceback is worth logging: a crash, not an outage or a message nobody can read."""
    return None if isinstance(error, HubError | Undecodable | BroughtBackTooOften) else error


def _properties(message: Message) -> dict[str, Any]:
    return {"message_type": message.name, "correlation_id": getattr(message, "job_id", None) or uuid.uuid4().hex}
