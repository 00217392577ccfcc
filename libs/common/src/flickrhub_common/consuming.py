"""The edge of a consumer: a message read before its handler, and settled after it whatever came out."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import datetime
from typing import Any

import structlog
from aiormq.abc import DeliveredMessage
from pydantic import ValidationError

from flickrhub_common.contracts import Message
from flickrhub_common.logs import logger
from flickrhub_common.settling import BroughtBackTooOften, Headers, Undecodable
from flickrhub_common.topology import DELIVERY_LIMIT

log = logger(__name__)

CANCEL_SECONDS = 0.5
ACK_SECONDS = 5.0


class Delivery:
    """A message as it came, and the way to acknowledge it."""

    __slots__ = (
        "_channel",
        "_tag",
        "body",
        "correlation_id",
        "exchange",
        "headers",
        "ready_since",
        "routing_key",
        "type",
    )

    def __init__(self, came: DeliveredMessage) -> None:
        properties = came.header.properties
        self.body = came.body
        self.headers: Headers = dict(properties.headers or {})
        self.type, self.correlation_id = properties.message_type, properties.correlation_id
        self.exchange, self.routing_key = came.exchange or "", came.routing_key or ""
        self.ready_since = _ready_since(self.headers, properties.timestamp)
        self._channel, self._tag = came.channel, came.delivery_tag or 0

    @property
    def is_ours(self) -> bool:
        """Whether it can still be acknowledged: the channel it came by is open."""
        return not self._channel.is_closed

    async def ack(self) -> None:
        """Have it forgotten. One of BROKER_ERRORS if it isn't ours any more; then it comes again."""
        async with asyncio.timeout(ACK_SECONDS):  # once the driver's writer has ended, nobody takes it off our hands
            await self._channel.basic_ack(self._tag, wait=False)  # waiting for the socket would tell nothing more


class InFlight:
    """The messages that are in a handler's hands, each in a task of its own.

    It isn't the driver's, which would be cancelled with the connection by which the message came. What a handler has
    begun, a call or a POST, can't be taken back, and only this handler will know what came of it: so it goes on and
    stores that, and the copy of its message, which comes then, finds it.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def begin(self, handling: Coroutine[Any, Any, None]) -> None:
        """Have a message handled."""
        task = asyncio.create_task(handling)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self, seconds: float) -> int:
        """Wait until there are none, at most so long, then cancel the handlers; returns how many these were.

        Else they would go on among closing connections, and take what they meet there for failures of their work.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._tasks:
                    await asyncio.wait(self._tasks)
        cut = tuple(self._tasks)
        for task in cut:
            task.cancel()
        if cut:
            await asyncio.wait(cut, timeout=CANCEL_SECONDS)
        return len(cut)


async def handled(
    message: Delivery,
    handle: Callable[[Delivery], Awaitable[None]],
    settle: Callable[[Delivery, Exception | None], Awaitable[None]],
) -> None:
    """Handle a message, then settle it by what came out, unless it isn't ours any more: then its copy meets that."""
    structlog.contextvars.clear_contextvars()
    if message.correlation_id:
        structlog.contextvars.bind_contextvars(job_id=message.correlation_id)
    error: Exception | None = None
    try:
        await handle(message)
    except Exception as raised:  # noqa: BLE001 - the edge of the consuming loop: whatever came out is settled
        error = raised
    if message.is_ours:
        await settle(message, error)
    else:
        log.info("message_lost_in_hand", error=type(error).__name__ if error else None)


def check_deliveries(message: Delivery) -> None:
    """Raise BroughtBackTooOften for a message that is about to meet its queue's delivery limit."""
    count = message.headers.get("x-delivery-count", 0)
    if isinstance(count, int) and count >= DELIVERY_LIMIT - 1:
        raise BroughtBackTooOften


def decode(raw: Delivery, by_name: Mapping[str, type[Message]]) -> Message:
    """Read a message as what its AMQP type says; without one, as the only thing its queue is read as.

    Raises Undecodable with a reason that repeats nothing of the content.
    """
    model = by_name.get(raw.type or "")
    if not raw.type and len(by_name) == 1:
        model = next(iter(by_name.values()))
    if model is None:
        raise Undecodable("of a type that nobody reads here")
    try:
        return model.model_validate_json(raw.body)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False, include_context=False)
        where = "; ".join(f"{'.'.join(map(str, p['loc'])) or 'body'}: {p['type']}" for p in problems[:3])
        raise Undecodable(where) from None


def _ready_since(headers: Headers, sent: Any) -> datetime | None:
    """Since when a message has lain in its queue, in whole seconds: it was sent, or left the delay ladder, then.

    Of the latter RabbitMQ tells in ``x-death``, the last time first. None for a message that anybody may have sent.
    """
    deaths = headers.get("x-death")
    last = deaths[0] if isinstance(deaths, list) and deaths else None
    since = last.get("time") if isinstance(last, dict) else sent
    return since if isinstance(since, datetime) else None


def trace_of(message: Delivery) -> dict[str, str]:
    """The headers by which a message carries its trace."""
    return {
        name: value for name in ("traceparent", "tracestate") if isinstance(value := message.headers.get(name), str)
    }
