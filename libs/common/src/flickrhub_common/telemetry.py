"""Traces: one from the enqueue request through every hop to the callback, in W3C form.

Without a collector (``OTEL_EXPORTER_OTLP_ENDPOINT``) nothing is recorded, but trace ids still travel, because a job's
``trace_id`` is part of the contract.
"""

import re
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import baggage, propagate, trace
from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor
from opentelemetry.instrumentation.pymongo import PymongoInstrumentor
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from flickrhub_common.settings import Settings

LAST_SPANS_SECONDS = 1.5
"""How long a stopping process waits for its last spans to be taken."""

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_WRITTEN_BY_CLIENTS = ("url.path", "url.query", "http.request.method_original")


class SpanProcessor(BatchSpanProcessor):
    """Exports spans in batches, and ends in time. What a client can write anything into is left out."""

    def on_start(self, span: Span, parent_context: otel_context.Context | None = None) -> None:
        """Blank it before anybody sees it; `http.route` says where a request went."""
        if span.kind is trace.SpanKind.SERVER:
            span.set_attributes({name: "…" for name in _WRITTEN_BY_CLIENTS if name in (span.attributes or {})})
        super().on_start(span, parent_context)

    def shutdown(self) -> None:
        """Send what is left, for a moment: the SDK's own waits 20 to 30 s for a collector that is away."""
        last = threading.Thread(target=super().shutdown, name="last-spans", daemon=True)
        last.start()
        last.join(LAST_SPANS_SECONDS)


def make_tracer_provider(settings: Settings, *, service: str) -> TracerProvider:
    """Make the process's tracer provider; exporting and instrumenting clients only when a collector is set."""
    resource = Resource.create({"service.name": f"flickrhub-{service}", "deployment.environment": settings.service_env})
    if not settings.otel_exporter_otlp_endpoint:
        return TracerProvider(resource=resource, sampler=ALWAYS_OFF)
    provider = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(1.0)))
    endpoint = settings.otel_exporter_otlp_endpoint.rstrip("/") + "/v1/traces"
    provider.add_span_processor(SpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    instrument_clients(provider)
    return provider


def instrument_clients(provider: TracerProvider) -> None:
    """Give every HTTP, Redis and Mongo client made after this a span for each call."""
    HTTPX2ClientInstrumentor().instrument(tracer_provider=provider)
    RedisInstrumentor().instrument(tracer_provider=provider)
    PymongoInstrumentor().instrument(tracer_provider=provider)


def records(provider: trace.TracerProvider | None) -> bool:
    """Whether spans of a provider can be recorded; of one that isn't ours, nobody knows."""
    return getattr(provider, "sampler", None) is not ALWAYS_OFF


def trace_headers() -> dict[str, str]:
    """The current trace context as headers (``traceparent``), empty when there is none."""
    current = trace.get_current_span().get_span_context()
    if current.is_valid and not current.trace_state and not baggage.get_all():  # a tenth of what the propagators take
        return {"traceparent": f"00-{current.trace_id:032x}-{current.span_id:016x}-{current.trace_flags:02x}"}
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier


def context_of(headers: Mapping[str, str], *, sampled: bool = True) -> Context:
    """The trace context that headers carry, empty if they carry none.

    Unless ``sampled``, it says that spans of it aren't recorded, whoever sent it.
    """
    plain = _TRACEPARENT.fullmatch(headers.get("traceparent", "")) if len(headers) == 1 else None
    if plain is None:  # the propagators know all forms, and take five times as long
        return propagate.extract(dict(headers), Context())
    trace_id, span_id, flags = (int(part, 16) for part in plain.groups())
    kept = TraceFlags(flags if sampled else flags & ~TraceFlags.SAMPLED)
    span = SpanContext(trace_id, span_id, is_remote=True, trace_flags=kept)
    return trace.set_span_in_context(NonRecordingSpan(span), Context()) if span.is_valid else Context()


def trace_uuid() -> str:
    """The current W3C trace id written as a UUID; a fresh one when no trace is current."""
    context = trace.get_current_span().get_span_context()
    return str(uuid.UUID(int=context.trace_id)) if context.is_valid else str(uuid.uuid4())


@contextmanager
def resumed(headers: Mapping[str, str]) -> Iterator[None]:
    """Go on, within the block, with the trace these headers carry."""
    token = otel_context.attach(context_of(headers))
    try:
        yield
    finally:
        otel_context.detach(token)


@contextmanager
def continuing(headers: Mapping[str, str]) -> Iterator[None]:
    """Stay with the current span if it is of the trace these headers carry; else go on, within the block, with theirs.

    For work that a message resumes: normally the message carries the trace, but one moved by hand carries none.
    """
    ours = trace.get_current_span().get_span_context()
    if ours.is_valid and f"-{ours.trace_id:032x}-" in headers.get("traceparent", ""):
        yield  # as a rule, and without reading them
        return
    theirs = trace.get_current_span(context_of(headers)).get_span_context()
    if not theirs.is_valid or theirs.trace_id == ours.trace_id:
        yield
    else:
        with resumed(headers):
            yield
