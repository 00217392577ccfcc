"""Trace ids travel, with and without a collector."""

import socket
import time
import uuid

import pytest
from opentelemetry import baggage, propagate, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from flickrhub_common.settings import Settings
from flickrhub_common.telemetry import (
    SpanProcessor,
    context_of,
    continuing,
    make_tracer_provider,
    records,
    resumed,
    trace_headers,
    trace_uuid,
)

TRACE = "0af7651916cd43dd8448eb211c80319c"
AS_UUID = "0af76519-16cd-43dd-8448-eb211c80319c"
OTHER = "00-11111111111111111111111111111111-b7ad6b7169203331-01"
HEADERS = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}


@pytest.mark.parametrize("provider", [TracerProvider(), TracerProvider(sampler=ALWAYS_OFF)], ids=["on", "off"])
def test_the_trace_id_is_the_spans_written_as_a_uuid(provider: TracerProvider) -> None:
    with provider.get_tracer("t").start_as_current_span("s") as span:
        assert uuid.UUID(trace_uuid()).int == span.get_span_context().trace_id
        assert trace_headers()["traceparent"].split("-")[1] == f"{span.get_span_context().trace_id:032x}"


def test_without_a_trace_there_is_a_fresh_id_and_no_header() -> None:
    assert trace_uuid() != trace_uuid()
    assert uuid.UUID(trace_uuid()).version == 4
    assert trace_headers() == {}


def test_a_trace_is_resumed_within_its_block_only() -> None:
    with resumed(HEADERS):
        assert trace_uuid() == AS_UUID
        assert trace_headers()["traceparent"] == HEADERS["traceparent"]
    assert trace_uuid() != AS_UUID


def test_a_block_that_raises_leaves_the_trace_too() -> None:
    with pytest.raises(ValueError, match="out"), resumed(HEADERS):
        raise ValueError("out")
    assert trace_headers() == {}


@pytest.mark.parametrize(
    "headers", [{}, {"traceparent": ""}, {"traceparent": "nonsense"}, {"traceparent": f"00-{'0' * 32}-{'0' * 16}-01"}]
)
def test_nonsense_resumes_nothing_and_raises_nothing(headers: dict[str, str]) -> None:
    with resumed(headers):
        assert trace_headers() == {}


def test_a_span_made_within_a_resumed_trace_is_of_it() -> None:
    with resumed(HEADERS), TracerProvider(sampler=ALWAYS_OFF).get_tracer("t").start_as_current_span("s"):
        assert trace_uuid() == AS_UUID


def test_continuing_stays_with_the_current_span_of_the_same_trace() -> None:
    with resumed(HEADERS), TracerProvider().get_tracer("t").start_as_current_span("s") as span, continuing(HEADERS):
        assert trace.get_current_span() is span


def test_continuing_goes_on_with_another_trace_than_the_current() -> None:
    with resumed({"traceparent": OTHER}), continuing(HEADERS):
        assert trace_uuid() == AS_UUID


def test_continuing_without_a_trace_changes_nothing() -> None:
    with resumed(HEADERS), continuing({}):
        assert trace_uuid() == AS_UUID


def test_without_a_collector_nothing_is_recorded_but_ids_are_there() -> None:
    provider = make_tracer_provider(Settings(otel_exporter_otlp_endpoint=None), service="test")
    with provider.get_tracer("t").start_as_current_span("s") as span:
        assert not span.is_recording()
        assert span.get_span_context().is_valid
    provider.shutdown()


def test_a_collector_that_is_silent_delays_the_end_of_a_process_by_a_moment_only() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        provider = TracerProvider()
        provider.add_span_processor(SpanProcessor(OTLPSpanExporter(f"http://127.0.0.1:{silent.getsockname()[1]}")))
        provider.get_tracer("t").start_span("s").end()
        began = time.monotonic()
        provider.shutdown()
    assert time.monotonic() - began < 3


def test_what_clients_write_into_a_request_line_is_in_no_span() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SpanProcessor(exporter))
    written = {"url.path": "/a-secret", "url.query": "api_secret=a-secret", "http.request.method_original": "A-SECRET"}
    tracer = provider.get_tracer("t")
    kept = {"http.request.method": "GET"}
    tracer.start_span("GET", kind=trace.SpanKind.SERVER, attributes={**written, **kept}).end()
    tracer.start_span("GET", kind=trace.SpanKind.SERVER, attributes=kept).end()
    provider.force_flush()
    served, bare = exporter.get_finished_spans()
    assert dict(served.attributes or {}) == {**dict.fromkeys(written, "…"), **kept}
    assert dict(bare.attributes or {}) == kept
    provider.shutdown()


PLAIN = [
    {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"},
    {"traceparent": f"00-{TRACE}-b7ad6b7169203331-00"},
    {"traceparent": f"00-{TRACE}-b7ad6b7169203331-ff"},
    {"traceparent": f"cc-{TRACE}-b7ad6b7169203331-01-more"},
    {"traceparent": f"ff-{TRACE}-b7ad6b7169203331-01"},
    {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01-more"},
    {"traceparent": f" 00-{TRACE}-b7ad6b7169203331-01 "},
    {"traceparent": f"00-{TRACE.upper()}-b7ad6b7169203331-01"},
    {"traceparent": f"00-{'0' * 32}-b7ad6b7169203331-01"},
    {"traceparent": f"00-{TRACE}-{'0' * 16}-01"},
    {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "tracestate": "a=b"},
    {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "baggage": "a=b"},
    {"tracestate": "a=b"},
    {},
]


@pytest.mark.parametrize("headers", PLAIN, ids=range(len(PLAIN)))
def test_a_context_is_read_and_written_as_the_propagators_do(headers: dict[str, str]) -> None:
    ours, theirs = context_of(headers), propagate.extract(headers, Context())
    assert trace.get_current_span(ours).get_span_context() == trace.get_current_span(theirs).get_span_context()
    assert baggage.get_all(ours) == baggage.get_all(theirs)
    expected: dict[str, str] = {}
    propagate.inject(expected, theirs)
    with resumed(headers):
        assert trace_headers() == expected


def test_a_context_that_isnt_sampled_says_so_and_is_the_same_else() -> None:
    span = trace.get_current_span(context_of(HEADERS, sampled=False)).get_span_context()
    assert (f"{span.trace_id:032x}", span.trace_flags) == (TRACE, 0)


@pytest.mark.parametrize(
    ("provider", "recorded"),
    [(TracerProvider(), True), (TracerProvider(sampler=ALWAYS_OFF), False), (None, True)],
    ids=["on", "off", "somebody else's"],
)
def test_whether_spans_are_recorded_is_known(*, provider: TracerProvider | None, recorded: bool) -> None:
    assert records(provider) is recorded
