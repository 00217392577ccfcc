"""The spans of messages: one around each that is sent, one around each handler, and the headers that tie them.

Where nothing is recorded there are none: then the trace of whoever enqueued is handed on as it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, TracerProvider

from flickrhub_common.consuming import Delivery, trace_of
from flickrhub_common.telemetry import context_of, records, trace_headers

_SYSTEM = {"messaging.system": "rabbitmq"}


class MessageSpans:
    """Makes them with a tracer of ``provider``, the process's if none is given."""

    def __init__(self, provider: TracerProvider | None) -> None:
        self._tracer = trace.get_tracer("flickrhub_common.messages", tracer_provider=provider)
        self._recorded = records(provider)

    @contextmanager
    def sending(self, exchange: str, key: str, *, correlation_id: str) -> Iterator[dict[str, str]]:
        """The headers by which a message carries its trace, and the span of sending it."""
        if not self._recorded:
            yield trace_headers() or self._fresh()
            return
        attributes = _SYSTEM | {
            "messaging.destination.name": exchange,
            "messaging.rabbitmq.destination.routing_key": key,
            "messaging.message.conversation_id": correlation_id,
        }
        name = f"{exchange}.{key} publish"
        with self._tracer.start_as_current_span(name, kind=SpanKind.PRODUCER, attributes=attributes):
            yield trace_headers()

    @contextmanager
    def handling(self, message: Delivery) -> Iterator[None]:
        """Go on with the trace of a message, or begin one, in the span of handling it."""
        parent = context_of(trace_of(message), sampled=self._recorded)
        name = f"{message.exchange or 'default'}.{message.routing_key} process"
        if self._recorded:
            attributes: dict[str, str | int] = {
                **_SYSTEM,
                "messaging.destination_publish.name": message.exchange,
                "messaging.rabbitmq.destination.routing_key": message.routing_key,
                "messaging.message.conversation_id": message.correlation_id or "",
                "messaging.message.body.size": len(message.body),
            }
            with self._tracer.start_as_current_span(name, parent, SpanKind.CONSUMER, attributes):
                yield
            return
        if not parent:
            parent = trace.set_span_in_context(self._tracer.start_span(name, Context()), Context())
        token = otel_context.attach(parent)
        try:
            yield
        finally:
            otel_context.detach(token)

    def _fresh(self) -> dict[str, str]:
        """Of a message that nobody's request led to."""
        with trace.use_span(self._tracer.start_span("send", Context())):
            return trace_headers()
