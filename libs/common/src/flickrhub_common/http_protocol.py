"""HTTP on the wire: uvicorn's, with an end to what a client may send, hold open or leave unread.

Relied on of uvicorn's ``HttpToolsProtocol``, and checked by ``tests/unit/common/test_uvicorn_internals.py``: the
parser's callbacks and ``data_received`` (which is written anew here, for its log lines), ``cycle`` with
``disconnected``, ``message_event``, ``response_started`` and ``response_complete``, ``_start_asgi_task``, ``flow``,
``pipeline``, ``connections``, ``shutdown``, and that all is written by the transport's ``write``.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, cast

import httptools
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from flickrhub_common import errors, problems
from flickrhub_common.errors import HubError
from flickrhub_common.logs import logger

log = logger(__name__)

LOOKS_A_SECOND = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """What one client may do to the server.

    With ``connections`` open, a newer one takes the place of one that never asked for anything in ``silent_seconds``,
    or of an idle one. ``waiting`` is how many requests may wait for the reply to an earlier one. ``own_pace`` are the
    paths whose bodies have a deadline of their own, until they are answered. A client must take ``least_taken`` bytes
    of its replies in ``unread_seconds``. ``linger_seconds`` is how long a refused client may go on sending before it is
    cut off, ``stop_seconds`` how long one that is in the middle of a body has when the service stops.
    """

    connections: int = 800
    silent_seconds: float = 1
    waiting: int = 16
    head_bytes: int = 32 * 1024
    head_fields: int = 100
    head_seconds: float = 10
    body_seconds: float = 30
    own_pace: frozenset[str] = frozenset()
    unread_seconds: float = 60
    least_taken: int = 64 * 1024
    idle_seconds: float = 75
    linger_seconds: float = 2
    stop_seconds: float = 1


class EnvelopedProtocol(HttpToolsProtocol):
    """One connection. Whatever it is refused for, the answer is the envelope, wherever one can still be given."""

    limits = ConnectionLimits()

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._watch: asyncio.TimerHandle | None = None
        self._head_since: float | None = None
        self._body_since: float | None = None
        self._idle_since: float | None = None
        self._left_at: float | None = None
        self._unread: tuple[int, float] | None = None
        self._running: RequestResponseCycle | None = None
        self._stopping_since: float | None = None
        self._made_at = self.loop.time()
        self._asked = self._begun = self._parsed = self._refused = False
        self._unanswered = self._head_bytes = self._silent_bytes = 0
        self._too_large = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it, in place of one that is of the least use if there are too many, or refuse it."""
        self._written = _Counting(transport)
        super().connection_made(cast("asyncio.Transport", self._written))
        self._head_since = self.loop.time()
        self._watch = self.loop.call_later(1 / LOOKS_A_SECOND, self._look)
        if len(self.connections) > self.limits.connections:
            others = [one for one in self.connections if isinstance(one, EnvelopedProtocol) and one is not self]
            spare = [(one.spare, one) for one in others if one.spare is not None]
            if spare:
                min(spare, key=lambda pair: pair[0])[1].transport.close()
            else:
                self._refuse(errors.Unavailable("connections", retry_after=5))

    def connection_lost(self, exc: Exception | None) -> None:
        """Look at it no more, and tell the app, which uvicorn does only of the latest request."""
        if self._watch is not None:
            self._watch.cancel()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    @property
    def idle_since(self) -> float | None:
        """Since when it has been kept open for a next request; None while it has one."""
        return self._idle_since

    @property
    def spare(self) -> tuple[int, float] | None:
        """How soon it may go for a newer one, the least first; None while it is of use.

        First who has been here for a moment and never asked for anything, then who has been idle longest: silent
        connections shut out nobody who speaks. Last those that may be about to speak for the first time.
        """
        if self.transport.is_closing():
            return None
        if not self._asked:
            late = self.loop.time() - self._made_at > self.limits.silent_seconds
            return (0 if late else 2), self._made_at
        return None if self._idle_since is None else (1, self._idle_since)

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless the client was refused already."""
        if self._refused or self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self._parsed = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # to nothing we speak: the request is answered as it stands
        except httptools.HttpParserError:
            unreadable = errors.InvalidRequest("This isn't valid HTTP.")
            self._refuse(errors.HeadTooLarge() if self._too_large else unreadable)
            return
        # Of a line without end (a header, a trailer, a chunk's size) the parser tells nothing, and keeps it all.
        self._silent_bytes = 0 if self._parsed else self._silent_bytes + len(data)
        if self._silent_bytes > self.limits.head_bytes:
            self._refuse(errors.HeadTooLarge())

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._begun, self._parsed, self._head_bytes = True, True, 0
        self._head_since, self._idle_since = self.loop.time(), None

    def on_url(self, url: bytes) -> None:
        """Count it."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count it, be it a header or a trailer."""
        self._count(len(name) + len(value) + 4)
        if len(self.headers) >= self.limits.head_fields:
            self._count(self.limits.head_bytes)
        super().on_header(name, value)

    def _count(self, more: int) -> None:
        self._parsed = True
        self._head_bytes += more
        if self._head_bytes > self.limits.head_bytes:
            self._too_large = True
            raise ValueError("too large")  # ends the parsing

    def on_headers_complete(self) -> None:
        """The head is whole; a body may follow."""
        self._parsed = True
        super().on_headers_complete()  # which raises for a URL that can't be read
        if len(self.pipeline) > self.limits.waiting:  # each takes far more memory than it has bytes
            raise ValueError("too many")  # ends the parsing
        self._unanswered += 1
        self._asked = True
        self._head_since, self._body_since = None, self.loop.time()

    def on_chunk_header(self) -> None:
        """A chunk begins."""
        self._parsed = True

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._parsed = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._parsed, self._begun, self._body_since = True, False, None
        super().on_message_complete()
        self._rest()

    def on_response_complete(self) -> None:
        """The reply is written; another may be due."""
        self._unanswered -= 1
        super().on_response_complete()
        if self._refused and not self.transport.is_closing():
            self._part()  # what came after this request was refused, and had to wait for its reply
        self._rest()

    def _rest(self) -> None:
        if not self._begun and not self._unanswered:
            self._idle_since = self.loop.time()

    def shutdown(self) -> None:
        """The service stops: what is whole is answered, what has only begun isn't waited for."""
        self._stopping_since = self.loop.time()
        if self._begun and self._body_since is None and not self._unanswered:
            self._refuse(errors.Unavailable("service"))
        else:
            super().shutdown()

    def _refuse(self, error: HubError) -> None:
        """Answer, if it is this request's turn, and let the client finish talking to nobody for a moment."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        log.info("request_refused", code=error.code, client=self.client[0] if self.client else None)
        mine = 0 if self._body_since is None else 1
        self.pipeline.clear()
        if self._unanswered > mine:
            return  # an earlier one's reply is being made: the connection ends with it
        if mine:
            self.cycle.disconnected = True  # for the app: there is nobody to answer any more
            self.cycle.message_event.set()
        if mine and self.cycle.response_started:
            self.transport.close()
            return
        self.transport.write(problems.raw_reply(error, cast("Scope | None", self.scope)))
        self._part()

    def _part(self) -> None:
        """Say nothing more, and let the client see it."""
        if self._stopping_since or len(self.connections) > self.limits.connections:
            self.transport.close()
        else:  # closing at once would reset a client that is still sending, before it has read the answer
            self._left_at = self.loop.time()
            self.flow.resume_reading()
            self.transport.write_eof()

    def _look(self) -> None:
        """See, a few times a second, whether the client has run out of time."""
        self._watch = self.loop.call_later(1 / LOOKS_A_SECOND, self._look)
        now, limits = self.loop.time(), self.limits
        if self.flow.read_paused:  # it is we who keep the client waiting
            self._head_since = self._head_since and self._head_since + 1 / LOOKS_A_SECOND
            self._body_since = self._body_since and self._body_since + 1 / LOOKS_A_SECOND
        if self._takes_nothing(now) or self._past(self._left_at, limits.linger_seconds, now):
            self.transport.abort()
        elif self._past(self._idle_since, limits.idle_seconds, now):
            self.transport.close()
        elif self._past(self._head_since, limits.head_seconds, now):
            if self._begun:
                self._refuse(errors.RequestTimedOut())
            else:
                self.transport.close()
        elif self._body_since is not None:
            self._look_at_body(self._body_since, now)

    def _look_at_body(self, since: float, now: float) -> None:
        if self.scope["path"] in self.limits.own_pace and not self.cycle.response_complete:
            return
        if self._past(since, self.limits.body_seconds, now):
            self._refuse(errors.RequestTimedOut())
        elif self._past(self._stopping_since, self.limits.stop_seconds, now):
            self._refuse(errors.Unavailable("service"))

    @staticmethod
    def _past(since: float | None, seconds: float, now: float) -> bool:
        return since is not None and now - since > seconds

    def _takes_nothing(self, now: float) -> bool:
        """Whether too little of what was written has been taken for too long."""
        waiting = self.transport.get_write_buffer_size()
        if not waiting:
            self._unread = None
            return False
        taken = self._written.count - waiting
        if self._unread is None or taken >= self._unread[0] + self.limits.least_taken:
            self._unread = taken, now
        patience = self.limits.stop_seconds if self._stopping_since else self.limits.unread_seconds
        return now - self._unread[1] > patience


class _Counting:
    """A transport that knows how much was written."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.count = 0

    def write(self, data: bytes) -> None:
        self.count += len(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def protocol(limits: ConnectionLimits) -> type[EnvelopedProtocol]:
    """The protocol with these limits, as uvicorn's configuration takes it."""

    class Limited(EnvelopedProtocol):
        pass

    Limited.limits = limits
    return Limited
