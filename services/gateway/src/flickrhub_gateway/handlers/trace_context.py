"""The trace of requests of which nothing is recorded."""

from collections.abc import Container

from opentelemetry import context, propagate, trace
from opentelemetry.trace import TracerProvider
from starlette.types import ASGIApp, Receive, Scope, Send

_CARRIED = (b"traceparent", b"tracestate", b"baggage")


class TraceContext:
    """ASGI middleware: a POST to one of ``paths`` goes on with its client's trace, or begins one.

    That is all a span gives when it isn't recorded, and the framework's costs as much as checking the body does: it
    collects what would be recorded first.
    """

    def __init__(self, app: ASGIApp, tracer_provider: TracerProvider, paths: Container[str]) -> None:
        self._app = app
        self._tracer = tracer_provider.get_tracer(__name__)
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in self._paths:
            await self._app(scope, receive, send)
            return
        theirs = propagate.extract(_carrier(scope))
        span = self._tracer.start_span("request", theirs)
        token = context.attach(trace.set_span_in_context(span, theirs))
        await self._app(scope, receive, send)
        context.detach(token)  # not after a crash, which is logged further out, with its trace; the task ends there


def _carrier(scope: Scope) -> dict[str, str]:
    """The headers that carry a trace; of one that is there several times the first, but all of the lists."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        if name in _CARRIED:
            text, key = value.decode("latin-1"), name.decode()
            found[key] = f"{found[key]},{text}" if key in found and key != "traceparent" else found.get(key, text)
    return found
