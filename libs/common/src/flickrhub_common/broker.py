"""RabbitMQ: the only module that names the drivers (FastStream over aio-pika).

FastStream's unsafe defaults are overridden here, once, each with a test in ``tests/integration/broker``:

* messages are transient → every publish is persistent;
* an unroutable publish is silent → ``mandatory`` with returns that raise;
* prefetch is unlimited → every consumer has its own channel and count;
* an error rejects, without a dead-letter exchange drops → acknowledgement is ours (``_Edge`` below), and last;
* an immediate requeue spins → whatever has to wait goes through the delay ladder.
"""

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, cast

import structlog
from aio_pika import IncomingMessage
from aio_pika.exceptions import AMQPError, DeliveryError
from aiormq.exceptions import PublishError
from faststream import AckPolicy, BaseMiddleware, ContextRepo
from faststream.rabbit import Channel, ExchangeType, QueueType, RabbitBroker, RabbitExchange, RabbitMessage, RabbitQueue
from faststream.rabbit.opentelemetry import RabbitTelemetryMiddleware
from faststream.rabbit.schemas.queue import QuorumQueueArgs
from opentelemetry.trace import TracerProvider
from pydantic import ValidationError
from yarl import URL

from flickrhub_common.contracts import JobRequested, Message
from flickrhub_common.errors import HubError, Unavailable
from flickrhub_common.logs import logger
from flickrhub_common.settings import RabbitSettings
from flickrhub_common.settling import Bury, Headers, Postpone, Undecodable, decide
from flickrhub_common.topology import (
    DEAD_LETTER_EXCHANGE,
    DELAY_EXCHANGE,
    EVENTS_EXCHANGE,
    JOBS_EXCHANGE,
    WORK_QUEUES,
    declare,
    delay_key,
)

log = logger(__name__)

CONFIRM_SECONDS = 5.0
BROKER_ERRORS = (AMQPError, OSError, TimeoutError, RuntimeError)
"""What the drivers raise when RabbitMQ is away, slow or going (a closed channel is a RuntimeError of aiormq's)."""

Handler = Callable[[Any], Awaitable[None]]
Settle = Callable[[str, IncomingMessage, Exception | None], Awaitable[None]]

_EXCHANGES = {
    JOBS_EXCHANGE: ExchangeType.DIRECT,
    EVENTS_EXCHANGE: ExchangeType.TOPIC,
    DELAY_EXCHANGE: ExchangeType.TOPIC,
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
        self._queues: list[RabbitQueue] = []
        self._starter: asyncio.Task[None] | None = None
        self._can_send = asyncio.Event()
        self._started = asyncio.Event()
        self._exchanges = {
            name: RabbitExchange(name, type=kind, durable=True, declare=True) for name, kind in _EXCHANGES.items()
        }
        self._broker = RabbitBroker(
            _named(settings.rabbit_url.get_secret_value(), service),
            reconnect_interval=1.0,
            graceful_timeout=drain_seconds,
            app_id=f"flickrhub-{service}",
            default_channel=Channel(on_return_raises=True),
            ack_policy=AckPolicy.MANUAL,
            middlewares=(
                cast("Any", partial(_Edge, settle=self._settle)),
                RabbitTelemetryMiddleware(tracer_provider=tracer_provider),
            ),
            on_reconnected=(self._redeclare,),
            apply_types=False,
            logger=None,
        )

    # -- receiving -----------------------------------------------------------------------------------------------

    def subscribe(self, queue: str, models: tuple[type[Message], ...], handler: Handler, *, concurrency: int) -> None:
        """Have ``handler`` called with every message of ``queue``, at most ``concurrency`` at once.

        A message is acknowledged when the handler returns. It goes to the dead letters when it can't be read, back
        through the delay ladder when the handler raises a retryable error (without counting) or crashes (five times
        at most).
        """
        work = WORK_QUEUES[queue]
        arguments = cast(QuorumQueueArgs, work.arguments())
        declared = RabbitQueue(queue, queue_type=QueueType.QUORUM, durable=True, arguments=arguments)
        self._consume(declared, models, handler, concurrency)

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

        async def decode(message: RabbitMessage) -> Message:
            return _decode(message, by_name)

        self._queues.append(queue)
        subscriber = self._broker.subscriber(
            queue, exchange, channel=Channel(prefetch_count=concurrency), decoder=decode, no_reply=True
        )
        subscriber(handler)

    # -- sending -------------------------------------------------------------------------------------------------

    async def send_job(self, job: JobRequested) -> None:
        """Put a job into its target's queue. Raises Unavailable if RabbitMQ doesn't confirm it in time."""
        await self._publish(JOBS_EXCHANGE, job.target.value, job.to_bytes(), _properties(job))

    async def send_event(self, event: Message) -> None:
        """Tell everybody who reads events of this name. Raises Unavailable."""
        await self._publish(EVENTS_EXCHANGE, event.name, event.to_bytes(), _properties(event))

    async def send_later(self, message: Message, *, queue: str, seconds: float) -> None:
        """Put a message into a queue after a delay: never early, up to 72 hours. Raises Unavailable."""
        key = delay_key(seconds, queue)
        await self._publish(DELAY_EXCHANGE, key, message.to_bytes(), _properties(message))

    async def send_dead(self, message: Message, *, queue: str, headers: Headers) -> None:
        """Put a message into a dead-letter queue, with headers that say why. Raises Unavailable."""
        await self._publish(DEAD_LETTER_EXCHANGE, queue, message.to_bytes(), _properties(message), headers)

    async def _publish(
        self, exchange: str, key: str, body: bytes, properties: Mapping[str, Any], headers: Headers | None = None
    ) -> None:
        if not self._can_send.is_set():
            raise Unavailable("rabbitmq")
        try:
            await self._broker.publish(
                body,
                exchange=self._exchanges[exchange],
                routing_key=key,
                persist=True,
                mandatory=True,
                message_id=uuid.uuid4().hex,
                content_type="application/json",
                headers=dict(headers or {}),
                timeout=CONFIRM_SECONDS,
                **properties,
            )
        except (PublishError, DeliveryError) as error:  # returned or refused: topology or disk, never the message
            log.error("publish_refused", exchange=exchange, error=type(error).__name__)  # noqa: TRY400
            raise Unavailable("rabbitmq") from error
        except BROKER_ERRORS as error:
            raise Unavailable("rabbitmq") from error

    # -- settling ------------------------------------------------------------------------------------------------

    async def _settle(self, queue: str, message: IncomingMessage, error: Exception | None) -> None:
        """Acknowledge a message, last of all, after whatever has to happen instead of success is confirmed."""
        try:
            if error is not None:
                await self._instead(queue, message, error)
            await message.ack()
        except (HubError, *BROKER_ERRORS) as failure:
            # Not acknowledged, so it comes again as soon as the broker is back.
            log.warning("message_left_to_the_broker", queue=queue, error=type(failure).__name__)

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
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._started.wait(), 5)

    async def _start_until_done(self) -> None:
        while True:
            try:
                connection = await self._broker.connect()
                async with connection.channel() as channel:
                    await declare(channel)
                self._can_send.set()  # before the consumers: a handler's first act may be to send
                await self._broker.start()
                self._started.set()
                log.info("rabbitmq_connected")
            except BROKER_ERRORS as error:
                self._can_send.clear()
                log.warning("rabbitmq_away", error=type(error).__name__)
                await self._stop_broker()
                await asyncio.sleep(1)
            else:
                return

    async def stop(self) -> None:
        """Stop taking messages, let handlers finish within the drain time, give the rest back, close."""
        if self._starter is not None:
            self._starter.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._starter
        await self._stop_broker()
        self._can_send.clear()
        self._started.clear()

    async def _stop_broker(self) -> None:
        try:
            await self._broker.stop()
        except BROKER_ERRORS as error:
            log.warning("rabbitmq_close_failed", error=type(error).__name__)

    async def _redeclare(self, connection: Any) -> None:
        """After a reconnect: the server may be a new, empty one."""
        async with connection.channel() as channel:
            await declare(channel)

    async def ping(self) -> None:
        """Raise Unavailable unless connected and every consumer's channel is open."""
        consuming = all(getattr(s, "_consumer_tag", None) for s in self._broker.subscribers)
        if not (self._started.is_set() and consuming and await self._broker.ping(timeout=1)):
            raise Unavailable("rabbitmq")


class _Edge(BaseMiddleware[Any, IncomingMessage]):
    """The edge of every consumer: whatever came out of decoding and handling is settled here and goes no further."""

    def __init__(self, message: IncomingMessage, /, *, context: ContextRepo, settle: Settle) -> None:
        super().__init__(message, context=context)
        self._settle = settle

    async def on_receive(self) -> None:
        structlog.contextvars.clear_contextvars()
        if self.msg.correlation_id:
            structlog.contextvars.bind_contextvars(job_id=self.msg.correlation_id)

    async def after_processed(
        self, exc_type: type[BaseException] | None = None, exc_val: BaseException | None = None, exc_tb: Any = None
    ) -> bool:
        if exc_val is not None and not isinstance(exc_val, Exception):
            return False  # cancelled: the process is stopping, and the message comes again elsewhere
        await self._settle(self.context.get("handler_").queue.name, self.msg, exc_val)
        return True


def _named(url: str, service: str) -> str:
    """The URL with a heartbeat and with the connection's name, as an operator sees it in RabbitMQ's management."""
    return str(URL(url).update_query(name=f"flickrhub-{service}", heartbeat="15"))


def _unexpected(error: Exception) -> Exception | None:
    """The error if its traceback is worth logging: a crash, not an outage or a message nobody can read."""
    return None if isinstance(error, HubError | Undecodable) else error


def _decode(message: RabbitMessage, by_name: Mapping[str, type[Message]]) -> Message:
    raw = message.raw_message
    model = by_name.get(raw.type or "")
    if model is None and len(by_name) == 1:
        model = next(iter(by_name.values()))
    if model is None:
        raise Undecodable("of a type that nobody reads here")
    try:
        return model.model_validate_json(raw.body)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False, include_context=False)
        where = "; ".join(f"{'.'.join(map(str, p['loc'])) or 'body'}: {p['type']}" for p in problems[:3])
        raise Undecodable(where) from None


def _properties(message: Message) -> dict[str, Any]:
    return {"message_type": message.name, "correlation_id": getattr(message, "job_id", None) or uuid.uuid4().hex}
