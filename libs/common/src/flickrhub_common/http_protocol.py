"""HTTP on the wire: uvicorn's, with an end to what a client may send, hold open or leave unread.

Relied on of uvicorn's ``HttpToolsProtocol``, and checked by ``tests/unit/common/test_uvicorn_internals.py``: the
parser's callbacks and ``data_received`` (which is written anew in ``http_parsing.py``, for its log lines), ``cycle``
with ``disconnected``, ``message_event``, ``response_started`` and ``response_complete``, ``_start_asgi_task``,
``flow``, ``pipeline``, ``connections``, ``shutdown``, and that all is written by the transport's ``write``.
"""

import asyncio
from typing import Any, cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from flickrhub_common import errors, problems
from flickrhub_common.errors import HubError
from flickrhub_common.http_limits import ConnectionLimits
from flickrhub_common.http_parsing import BoundedParsing
from flickrhub_common.http_patience import Patience, Verdict
from flickrhub_common.logs import logger

log = logger(__name__)

LOOKS_A_SECOND = 4


class EnvelopedProtocol(BoundedParsing):
    """One connection. Whatever it is refused for, the answer is the envelope, wherever one can still be given."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        now = self.loop.time()
        self._patience = Patience(limits=self.limits, made_at=now, head_since=now)
        self._watch: asyncio.TimerHandle | None = None
        self._running: RequestResponseCycle | None = None
        self._asked = self._begun = self._half_closed = False
        self._unanswered = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it, in place of one that is of the least use if there are too many, or refuse it."""
        self._counted = _Counting(transport)
        super().connection_made(cast("asyncio.Transport", self._counted))
        self._watch = self.loop.call_later(1 / LOOKS_A_SECOND, self._look)
        if len(self.connections) > self.limits.connections:
            others = [one for one in self.connections if isinstance(one, EnvelopedProtocol) and one is not self]
            spare = [(one.spare, one) for one in others if one.spare is not None]
            if spare:
                min(spare, key=lambda pair: pair[0])[1].transport.close()
            else:
                self.refuse(errors.Crowded(retry_after=5))

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """The client sends no more, and may still read: whole requests are answered."""
        if self._begun or not self._unanswered:
            return None  # closes it
        self._half_closed = True
        return True

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
        return self._patience.idle_since

    @property
    def spare(self) -> tuple[int, float] | None:
        """How soon it may go for a newer one, the least first; None while it is of use."""
        return None if self.transport.is_closing() else self._patience.spare(self.loop.time(), asked=self._asked)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._begun = True
        self._patience.head_since, self._patience.idle_since = self.loop.time(), None

    def on_headers_complete(self) -> None:
        """The head is whole; a body may follow."""
        super().on_headers_complete()
        self._unanswered += 1
        self._asked = True
        self._patience.head_since, self._patience.body_since = None, self.loop.time()

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._begun, self._patience.body_since = False, None
        super().on_message_complete()
        self._rest()

    def on_response_complete(self) -> None:
        """The reply is written; another may be due."""
        self._unanswered -= 1
        super().on_response_complete()
        if self.refused and not self.transport.is_closing():
            self._part()  # what came after this request was refused, and had to wait for its reply
        elif self._half_closed and not self._unanswered:
            self.transport.close()
        self._rest()

    def _rest(self) -> None:
        if not self._begun and not self._unanswered:
            self._patience.idle_since = self.loop.time()

    def shutdown(self) -> None:
        """The service stops: what is whole is answered, what has only begun isn't waited for."""
        self._patience.stopping_since = self.loop.time()
        if self._begun and self._patience.body_since is None and not self._unanswered:
            self.refuse(errors.Unavailable("service"))
        else:
            super().shutdown()

    def refuse(self, error: HubError) -> None:
        """Answer, if it is this request's turn, and let the client finish talking to nobody for a moment."""
        if self.refused or self.transport.is_closing():
            return
        self.refused = True
        log.info("request_refused", code=error.code, client=self.client[0] if self.client else None)
        mine = 0 if self._patience.body_since is None else 1
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
        if self._patience.stopping_since or len(self.connections) > self.limits.connections:
            self.transport.close()
        else:  # closing at once would reset a client that is still sending, before it has read the answer
            self._patience.left_at = self.loop.time()
            self.flow.resume_reading()
            self.transport.write_eof()

    def _look(self) -> None:
        """See, a few times a second, whether the client has run out of time."""
        self._watch = self.loop.call_later(1 / LOOKS_A_SECOND, self._look)
        now, untaken = self.loop.time(), self.transport.get_write_buffer_size()
        if self.flow.read_paused:
            self._patience.forgive(1 / LOOKS_A_SECOND)
        if self._patience.takes_nothing(now, written=self._counted.written, untaken=untaken):
            self.transport.abort()
            return
        match self._patience.verdict(now, begun=self._begun, own_pace=self._own_pace()):
            case Verdict.CUT_OFF:
                self.transport.abort()
            case Verdict.CLOSE:
                self.transport.close()
            case Verdict.TIMED_OUT:
                self.refuse(errors.RequestTimedOut())
            case Verdict.STOPPED:
                self.refuse(errors.Unavailable("service"))

    def _own_pace(self) -> bool:
        """Whether somebody else sees to it that the body comes: as long as it is asked for."""
        asked_for = self.cycle is not None and not self.cycle.response_complete
        return asked_for and self.cycle.scope["path"] in self.limits.own_pace


class _Counting:
    """A transport that knows how many bytes were ``written``."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.written = 0

    def write(self, data: bytes) -> None:
        self.written += len(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def protocol(limits: ConnectionLimits) -> type[EnvelopedProtocol]:
    """The protocol with these limits, as uvicorn's configuration takes it."""

    class Limited(EnvelopedProtocol):
        pass

    Limited.limits = limits
    return Limited
