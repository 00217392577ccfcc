"""Messages out and in. ``broker``, ``link``, ``subscription`` and ``consuming``: only these name the drivers.

The drivers' unsafe defaults are overridden here, once, each with a test in ``tests/integration/broker``:

* messages are transient → every publish is persistent;
* an unroutable publish is silent → ``mandatory`` with returns that raise;
* prefetch is unlimited → every consumer has its own channel and count;
* an error leaves a message unsettled → acknowledgement is ours (``consuming.handled``), and last;
* an immediate requeue spins → whatever has to wait goes through the delay ladder.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from aiormq import spec
from aiormq.abc import DeliveredMessage
from opentelemetry.trace import TracerProvider

from flickrhub_common.consuming import Delivery, InFlight, check_deliveries, decode, handled, trace_of
from flickrhub_common.contracts import JobRequested, Message
from flickrhub_common.errors import HubError, Unavailable
from flickrhub_common.link import Depth, Link
from flickrhub_common.logs import logger
from flickrhub_common.message_metrics import MESSAGE_METRICS, MessageMeter
from flickrhub_common.message_spans import MessageSpans
from flickrhub_common.metrics import Metrics
from flickrhub_common.rabbit_errors import BROKER_ERRORS
from flickrhub_common.settings import RabbitSettings
from flickrhub_common.settling import BroughtBackTooOften, Bury, Futile, Headers, Postpone, Undecodable, decide
from flickrhub_common.subscription import ConsumedQueue
from flickrhub_common.telemetry import resumed
from flickrhub_common.topology import (
    DEAD_LETTER_EXCHANGE,
    DELAY_EXCHANGE,
    EVENTS_EXCHANGE,
    JOBS_EXCHANGE,
    KEPT_EVENTS,
    WORK_QUEUES,
    delay_key,
)

log = logger(__name__)

Handler = Callable[[Any], Awaitable[None]]

PERSISTENT = 2
SETTLE_AGAIN_SECONDS = 1.0


class Messaging:
    """Sends and receives messages; survives the absence of RabbitMQ, at start and later."""

    def __init__(
        self,
        settings: RabbitSettings,
        *,
        service: str,
        tracer_provider: TracerProvider | None = None,
        drain_seconds: float = 20.0,
        metrics: Metrics | None = None,
    ) -> None:
        self._service = service
        self._meter = MessageMeter(metrics or Metrics(MESSAGE_METRICS))
        self._app_id = f"flickrhub-{service}"
        self._drain_seconds = drain_seconds
        self._on_given_up: dict[str, Callable[[Delivery], Awaitable[None]]] = {}
        self._in_flight = InFlight()
        self._spans = MessageSpans(tracer_provider)
        self._link = Link(settings, service=service)

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
        A handler under way goes on when the connection is lost, beside the copy of its message that comes then.
        """
        work = WORK_QUEUES[queue]
        declared = ConsumedQueue(name=queue, arguments=work.arguments(), bindings=work.bindings())
        by_name = {model.name: model for model in models}
        self._consume(declared, by_name, handler, concurrency=concurrency)
        if on_given_up is not None:
            self._on_given_up[queue] = partial(_hand_over, by_name, on_given_up)

    def subscribe_every_instance(
        self, key: str, models: tuple[type[Message], ...], handler: Handler, *, concurrency: int = 8
    ) -> None:
        """Have every running copy of this service receive the events of ``key`` while it runs."""
        name = f"{self._service}.{key.replace('*', 'all')}.{uuid.uuid4().hex}"
        bindings = ((EVENTS_EXCHANGE, key),)
        queue = ConsumedQueue(name=name, durable=False, exclusive=True, auto_delete=True, bindings=bindings)
        self._consume(queue, {model.name: model for model in models}, handler, concurrency=concurrency)

    def _consume(
        self, queue: ConsumedQueue, by_name: Mapping[str, type[Message]], handler: Handler, *, concurrency: int
    ) -> None:
        async def handle(message: Delivery) -> None:
            with self._spans.handling(message):
                check_deliveries(message)
                await handler(decode(message, by_name))

        async def take(came: DeliveredMessage) -> None:
            message = Delivery(came)
            if not came.redelivered:  # else it has been in somebody's hands, who has counted it
                self._meter.taken(queue.name, message.ready_since)
            self._in_flight.begin(handled(message, handle, partial(self._settle, queue.name)))

        self._link.consume(queue, take, concurrency=concurrency)

    # -- sending -------------------------------------------------------------------------------------------------

    async def send_job(self, job: JobRequested) -> None:
        """Put a job into its target's queue. Raises Unavailable if RabbitMQ doesn't confirm it in time."""
        await self._send(JOBS_EXCHANGE, job.target.value, job)

    async def send_event(self, event: Message) -> None:
        """Tell everybody who reads events of this name. Raises Unavailable.

        It isn't an error if nobody runs who reads an event that is for running instances only.
        """
        await self._send(EVENTS_EXCHANGE, event.name, event, mandatory=event.name in KEPT_EVENTS)

    async def send_later(self, message: Message, *, queue: str, seconds: float) -> None:
        """Put a message into a queue after a delay: never early, up to 72 hours. Raises Unavailable."""
        await self._send(DELAY_EXCHANGE, delay_key(seconds, queue), message)

    async def send_dead(self, message: Message, *, queue: str, headers: Headers) -> None:
        """Put a message into a dead-letter queue, with headers that say why. Raises Unavailable."""
        await self._send(DEAD_LETTER_EXCHANGE, queue, message, headers)

    async def _send(
        self, exchange: str, key: str, message: Message, headers: Headers | None = None, *, mandatory: bool = True
    ) -> None:
        about = getattr(message, "job_id", None) or uuid.uuid4().hex
        kept = message.name, about
        await self._publish(exchange, key, message.to_bytes(), kept, headers or {}, mandatory=mandatory)

    async def _publish(
        self,
        exchange: str,
        key: str,
        body: bytes,
        kept: tuple[str | None, str | None],
        headers: Headers,
        *,
        mandatory: bool = True,
    ) -> None:
        """Send what is of a type and a correlation id, and survives the server."""
        kind, correlation_id = kept
        with self._spans.sending(exchange, key, correlation_id=correlation_id or "") as trace:
            properties = spec.Basic.Properties(
                content_type="application/json",
                headers={**headers, **trace},
                delivery_mode=PERSISTENT,
                priority=0,
                correlation_id=correlation_id,
                message_id=uuid.uuid4().hex,
                timestamp=datetime.now(UTC),
                message_type=kind,
                app_id=self._app_id,
            )
            await self._link.publish(exchange, key, body, properties, mandatory=mandatory)

    # -- settling ------------------------------------------------------------------------------------------------

    async def _settle(self, queue: str, message: Delivery, error: Exception | None) -> None:
        """Acknowledge a message, last of all, after whatever has to happen instead of success is confirmed.

        What can't be confirmed now (a full disk, a dead-letter queue that is gone) is tried again while the message is
        ours. Once its channel is closed, it isn't: then it comes again as soon as the broker is back.
        """
        instead, fate = self._instead, "done"
        while True:
            try:
                if error is not None:
                    with resumed(trace_of(message)):
                        fate = await instead(queue, message, error)
                await message.ack()
            except (Unavailable, *BROKER_ERRORS) as failure:
                log.warning("message_not_settled", queue=queue, error=type(failure).__name__)
            except Exception as failure:
                # The edge of the consuming loop: a message neither settled nor given back would hold its place in the
                # prefetch for ever. Nor may a job be lost sight of as failing it fails: so it is buried, plainly.
                log.exception("settling_crashed", queue=queue)
                error, instead = error or failure, self._bury_plainly
            else:
                self._meter.settled(queue, fate)
                return
            if not message.is_ours:
                return
            await asyncio.sleep(SETTLE_AGAIN_SECONDS)

    async def _instead(self, queue: str, message: Delivery, error: Exception) -> str:
        """Do what is due instead of success; the message's fate by that."""
        work = WORK_QUEUES.get(queue)
        if work is None:  # an instance's own queue: what it tells is also learnt by time
            if not isinstance(error, Undecodable):  # an event of the same key that this service doesn't read
                log.warning("event_dropped", queue=queue, error=type(error).__name__, exc_info=_unexpected(error))
            return "done"
        kept = message.type, message.correlation_id
        decision = decide(error, message.headers)
        if isinstance(decision, Bury):
            log.error("message_dead", queue=queue, reason=decision.reason, exc_info=_unexpected(error))
            if queue in self._on_given_up and not isinstance(error, Undecodable):
                await self._on_given_up[queue](message)
                return "dead"
            headers = {**decision.headers, "reason": decision.reason, "queue": queue}
            await self._publish(DEAD_LETTER_EXCHANGE, work.dead_letter_queue, message.body, kept, headers)
            return "dead"
        if isinstance(decision, Postpone):
            wait = decision.seconds
            log.warning("message_waits", queue=queue, seconds=wait, error=str(error), exc_info=_unexpected(error))
            key = delay_key(wait, queue)
            await self._publish(DELAY_EXCHANGE, key, message.body, kept, decision.headers)
            return "postponed"
        return "done"

    async def _bury_plainly(self, queue: str, message: Delivery, error: Exception) -> str:
        """Bury a message at whose settling we crashed, without anything that may have been the cause."""
        work = WORK_QUEUES.get(queue)
        if work is None:
            return "done"
        kept = message.type, message.correlation_id
        headers = {"reason": f"its handler crashed, and so did settling it: {type(error).__name__}", "queue": queue}
        await self._publish(DEAD_LETTER_EXCHANGE, work.dead_letter_queue, message.body, kept, headers)
        return "dead"

    # -- life ----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to connect; returns when connected, or after 5 s with the attempts going on in the background."""
        await self._link.start()

    async def stop(self) -> None:
        """Stop taking messages, let handlers finish within the drain time, give the rest back, close."""
        await self._link.stop_taking()
        cut = await self._in_flight.drain(self._drain_seconds)
        if cut:
            log.warning("messages_given_back", count=cut)
        await self._link.close()

    async def ping(self) -> None:
        """Raise Unavailable unless connected, answered and consuming from every queue."""
        await self._link.ping()

    # -- what operators see --------------------------------------------------------------------------------------

    @property
    def in_hand(self) -> int:
        """How many messages handlers are at."""
        return len(self._in_flight)

    async def consumed(self) -> dict[str, bool]:
        """Which of the queues that should be are consumed now. Raises one of BROKER_ERRORS."""
        return await self._link.consumed()

    async def depths(self, queues: Iterable[str]) -> dict[str, Depth]:
        """What lies in those of these queues that there are. Raises Unavailable, or one of BROKER_ERRORS."""
        return await self._link.depths(queues)


async def _hand_over(by_name: Mapping[str, type[Message]], handler: Handler, message: Delivery) -> None:
    await handler(decode(message, by_name))


def _unexpected(error: Exception) -> Exception | None:
    """The error if its traceback is worth logging: a crash, not an outage or a message nobody can read."""
    return None if isinstance(error, HubError | Undecodable | Futile | BroughtBackTooOften) else error
