"""The edge of a consumer: a message read before its handler, and settled after it whatever came out."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import structlog
from aio_pika import IncomingMessage
from aiormq.exceptions import ChannelInvalidStateError
from faststream import BaseMiddleware, ContextRepo
from pydantic import ValidationError

from flickrhub_common.contracts import Message
from flickrhub_common.logs import logger
from flickrhub_common.settling import BroughtBackTooOften, Undecodable
from flickrhub_common.topology import DELIVERY_LIMIT

TRACE_HEADERS = ("traceparent", "tracestate", "baggage")

Settle = Callable[[str, IncomingMessage, Exception | None], Awaitable[None]]

log = logger(__name__)

CANCEL_SECONDS = 0.5


class InFlight:
    """The messages that are in a handler's hands, by the tasks that handle them."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Future[Any]] = []
        self._none = asyncio.Event()
        self._none.set()
        self._cutting = False

    def enter(self) -> None:
        """The current task has one."""
        self._add(_current_task())

    def leave(self) -> None:
        """The current task has it no more."""
        self._remove(_current_task())

    async def finish(self, handling: Awaitable[None]) -> None:
        """Have a message handled to the end, also when the connection is lost by which it came.

        The driver cancels whoever waits here then, and the message comes again. But what its handler has begun, a call
        or a POST, can't be taken back, and only this handler will know what came of it: so it goes on and stores that,
        and the copy finds it.
        """
        work = asyncio.ensure_future(handling)
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            if self._cutting:
                work.cancel()
                await asyncio.wait({work}, timeout=CANCEL_SECONDS)
            elif not work.done():
                log.info("message_lost_in_hand")
                self._add(work)
                work.add_done_callback(self._ended_alone)
            raise

    async def drain(self, seconds: float) -> int:
        """Wait until there are none, at most so long, then cancel the handlers; returns how many these were.

        Else they would go on among closing connections, and take what they meet there for failures of their work.
        """
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._none.wait(), seconds)
        cut, self._cutting = tuple(self._tasks), True
        for task in cut:
            task.cancel()
        if cut:
            await asyncio.wait(cut, timeout=CANCEL_SECONDS)
        return len(cut)

    def _add(self, task: asyncio.Future[Any]) -> None:
        self._tasks.append(task)
        self._none.clear()

    def _ended_alone(self, work: asyncio.Future[Any]) -> None:
        """Whatever it raised, the copy of its message meets it too, or finds what was stored before."""
        self._remove(work)
        error = None if work.cancelled() else work.exception()
        if error is not None:
            log.info("failed_without_its_message", error=type(error).__name__)

    def _remove(self, task: asyncio.Future[Any]) -> None:
        self._tasks.remove(task)
        if not self._tasks:
            self._none.set()


def _current_task() -> asyncio.Task[Any]:
    return cast("asyncio.Task[Any]", asyncio.current_task())


class Edge(BaseMiddleware[Any, IncomingMessage]):
    """The edge of every consumer: whatever came out of decoding and handling is settled here and goes no further."""

    def __init__(
        self, message: IncomingMessage, /, *, context: ContextRepo, settle: Settle, in_flight: InFlight
    ) -> None:
        super().__init__(message, context=context)
        self._settle = settle
        self._in_flight = in_flight

    async def on_receive(self) -> None:
        """Prepare what the log lines and the trace of this message need."""
        self._in_flight.enter()
        for name in TRACE_HEADERS:  # the telemetry middleware takes any header of these names for text
            if not isinstance(self.msg.headers.get(name, ""), str):
                del self.msg.headers[name]
        structlog.contextvars.clear_contextvars()
        if self.msg.correlation_id:
            structlog.contextvars.bind_contextvars(job_id=self.msg.correlation_id)

    async def after_processed(
        self, exc_type: type[BaseException] | None = None, exc_val: BaseException | None = None, exc_tb: Any = None
    ) -> bool:
        """Settle; True says that the error, if there was one, is dealt with."""
        try:
            if exc_val is not None and not isinstance(exc_val, Exception):
                return False  # cancelled: the process is stopping, and the message comes again elsewhere
            await self._settle(self.context.get("handler_").queue.name, self.msg, exc_val)
            return True
        finally:
            self._in_flight.leave()


def check_deliveries(message: IncomingMessage) -> None:
    """Raise BroughtBackTooOften for a message that is about to meet its queue's delivery limit."""
    count = message.headers.get("x-delivery-count", 0)
    if isinstance(count, int) and count >= DELIVERY_LIMIT - 1:
        raise BroughtBackTooOften


def decode(raw: IncomingMessage, by_name: Mapping[str, type[Message]]) -> Message:
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


def trace_of(message: IncomingMessage) -> dict[str, str]:
    """The headers by which a message carries its trace."""
    return {
        name: value for name in ("traceparent", "tracestate") if isinstance(value := message.headers.get(name), str)
    }


def is_ours(message: IncomingMessage) -> bool:
    """Whether a message can still be acknowledged: the channel it came by is open."""
    try:
        return not message.channel.is_closed
    except ChannelInvalidStateError:
        return False
