"""One trace from the first message to the last, also where a message waits, fails or dies on its way."""

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from flickrhub_common import settling
from flickrhub_common.broker import Messaging
from flickrhub_common.contracts import JobCompleted, JobRequested
from flickrhub_common.errors import Unavailable
from flickrhub_common.settings import RabbitSettings
from flickrhub_common.telemetry import trace_uuid
from flickrhub_common.topology import FLICKR_DLQ, GATEWAY_JOB_EVENTS
from tests.integration.broker.parts import JOBS, Inbox, MakeMessaging
from tests.support.rabbit_admin import RabbitAdmin
from tests.support.samples import a_completion, a_job
from tests.support.waiting import eventually

TRACE = "0af7651916cd43dd8448eb211c80319c"
AS_UUID = "0af76519-16cd-43dd-8448-eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture(params=["recording", "not recording"])
def provider(request: pytest.FixtureRequest, spans: InMemorySpanExporter) -> Iterator[TracerProvider]:
    made = TracerProvider() if request.param == "recording" else TracerProvider(sampler=ALWAYS_OFF)
    made.add_span_processor(SimpleSpanProcessor(spans))
    yield made
    made.shutdown()


class TraceInbox(Inbox):
    """Remembers the trace that was current in each call."""

    def __init__(self, **more: object) -> None:
        super().__init__(**more)  # type: ignore[arg-type]
        self.traces: list[str] = []

    async def take(self, message: object) -> None:
        self.traces.append(trace_uuid())
        await super().take(message)  # type: ignore[arg-type]


async def started(
    make: MakeMessaging, settings: RabbitSettings, provider: TracerProvider, inbox: TraceInbox
) -> Messaging:
    messaging = make.remember(Messaging(settings, service="traced", tracer_provider=provider))
    messaging.subscribe(JOBS, (JobRequested,), inbox.take, concurrency=4)
    await messaging.start()
    return messaging


async def test_a_handler_goes_on_with_the_trace_of_whoever_sent(
    make: MakeMessaging, rabbit_settings: RabbitSettings, provider: TracerProvider
) -> None:
    inbox = TraceInbox()
    messaging = await started(make, rabbit_settings, provider, inbox)
    with provider.get_tracer("test").start_as_current_span("enqueue"):
        sent_in = trace_uuid()
        await messaging.send_job(a_job())
    await inbox.has_finished(1)
    assert inbox.traces == [sent_in]


async def test_the_trace_is_kept_over_a_wait_in_the_ladder(
    make: MakeMessaging, rabbit_settings: RabbitSettings, provider: TracerProvider, rabbit_admin: RabbitAdmin
) -> None:
    inbox = TraceInbox()
    messaging = await started(make, rabbit_settings, provider, inbox)
    with provider.get_tracer("test").start_as_current_span("enqueue"):
        sent_in = trace_uuid()
        await messaging.send_later(a_job(), queue=JOBS, seconds=0.5)
    await inbox.has_finished(1)
    assert inbox.traces == [sent_in]


async def test_the_trace_is_kept_over_failures(
    make: MakeMessaging,
    rabbit_settings: RabbitSettings,
    provider: TracerProvider,
    rabbit_admin: RabbitAdmin,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settling, "LONGEST_WAIT_SECONDS", 0.25)
    inbox = TraceInbox(failures=[ValueError("a bug"), Unavailable("redis"), Unavailable("redis")])
    await started(make, rabbit_settings, provider, inbox)
    await rabbit_admin.publish(a_job().to_bytes(), key=JOBS, headers={"traceparent": TRACEPARENT})
    await inbox.has_finished(1)
    assert inbox.traces == [AS_UUID] * 4


async def test_a_dead_letter_says_which_trace_it_was_of(
    make: MakeMessaging, rabbit_settings: RabbitSettings, provider: TracerProvider, rabbit_admin: RabbitAdmin
) -> None:
    await started(make, rabbit_settings, provider, TraceInbox())
    await rabbit_admin.publish(b"no", key=JOBS, headers={"traceparent": TRACEPARENT})
    (letter,) = await eventually(lambda: rabbit_admin.peek(FLICKR_DLQ), what="a dead letter")
    assert letter.headers["traceparent"].split("-")[1] == TRACE


async def test_what_a_handler_sends_is_of_its_trace(
    make: MakeMessaging, rabbit_settings: RabbitSettings, provider: TracerProvider, rabbit_admin: RabbitAdmin
) -> None:
    messaging = make.remember(Messaging(rabbit_settings, service="traced", tracer_provider=provider))

    async def handle(job: JobRequested) -> None:
        await messaging.send_event(a_completion(job.job_id))

    messaging.subscribe(JOBS, (JobRequested,), handle, concurrency=4)
    await messaging.start()
    await rabbit_admin.publish(a_job().to_bytes(), key=JOBS, headers={"traceparent": TRACEPARENT})
    (letter,) = await eventually(lambda: rabbit_admin.peek(GATEWAY_JOB_EVENTS), what="an event")
    assert JobCompleted.model_validate_json(letter.body)
    assert letter.headers["traceparent"].split("-")[1] == TRACE


async def test_each_hop_has_a_span_whose_parents_lead_to_the_first(
    make: MakeMessaging, rabbit_settings: RabbitSettings, spans: InMemorySpanExporter
) -> None:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    inbox = TraceInbox()
    messaging = await started(make, rabbit_settings, provider, inbox)
    with provider.get_tracer("test").start_as_current_span("enqueue") as first:
        await messaging.send_job(a_job())
    await inbox.has_finished(1)
    await messaging.stop()
    finished = spans.get_finished_spans()
    by_id = {span.context.span_id: span for span in finished if span.context}
    assert {span.context.trace_id for span in finished if span.context} == {first.get_span_context().trace_id}
    (process,) = [span for span in finished if span.name.endswith(" process")]
    kinds = {span.name.rsplit(" ", 1)[-1]: span.kind for span in finished}
    assert kinds["publish"] is trace.SpanKind.PRODUCER
    assert kinds["process"] is trace.SpanKind.CONSUMER
    ancestor = process
    while ancestor.parent is not None:
        ancestor = by_id[ancestor.parent.span_id]
    assert ancestor.name == "enqueue"
    provider.shutdown()
