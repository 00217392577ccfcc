"""One trace from enqueue to callback: every service in this process, on real servers, spans kept in memory."""

import asyncio
import contextlib
import secrets
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
import uvicorn
from fastapi import FastAPI
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor
from opentelemetry.instrumentation.pymongo import PymongoInstrumentor
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.instrumentation.utils import suppress_http_instrumentation
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, SpanKind

import flickrhub_auth.wiring as auth_wiring
import flickrhub_executor.wiring as executor_wiring
import flickrhub_gateway.wiring as gateway_wiring
import flickrhub_notifier.wiring as notifier_wiring
from flickrhub_auth.settings import AuthSettings
from flickrhub_common.settings import MongoSettings, RabbitSettings, RedisSettings
from flickrhub_common.telemetry import instrument_clients
from flickrhub_executor.settings import ExecutorSettings
from flickrhub_gateway.settings import GatewaySettings
from flickrhub_notifier.settings import NotifierSettings
from tests.support.callback_receiver import CallbackReceiver, Received, Reply
from tests.support.flickrhub_client import FlickrHub, flickrhub
from tests.support.hub_account import ECHO, Account, connector
from tests.support.run_env import needed
from tests.support.simulator import Simulator, simulator
from tests.support.waiting import eventually

TRACE = uuid.UUID("0af76519-16cd-43dd-8448-eb211c80319c")
CLIENTS_SPAN = "b7ad6b7169203331"
SECRET = "callback-secret-nobody-may-see"
HOOK_SECRET = "capability-in-a-path"
HOOK = f"/told/{HOOK_SECRET}"


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(spans: InMemorySpanExporter) -> Iterator[TracerProvider]:
    """As a service with a collector has it, but the spans stay here."""
    made = TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(spans))
    instrument_clients(made)
    yield made
    for instrumentor in (HTTPX2ClientInstrumentor(), RedisInstrumentor(), PymongoInstrumentor()):
        instrumentor.uninstrument()


@contextlib.asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[str]:
    """The app with its lifespan over real HTTP; its URL."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, ws="none", log_config=None))
    running = asyncio.create_task(server.serve())
    await eventually(lambda: server.started or running.done(), within=20, every=0.01, what="the server")
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await running


@pytest.fixture
async def hub(
    provider: TracerProvider,
    rabbit_settings: RabbitSettings,
    mongo_settings: MongoSettings,
    redis_settings: RedisSettings,
) -> AsyncIterator[FlickrHub]:
    """Gateway, auth, executor and notifier, all of them giving their spans to one provider."""
    given = rabbit_settings.model_dump() | mongo_settings.model_dump() | redis_settings.model_dump()
    given |= {
        "internal_api_token": secrets.token_hex(16),
        "encryption_keys": "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
        "mock_flickr": True,
        "flickr_sim_url": needed("SIM_URL"),
        "callback_allow_cidrs": "127.0.0.0/8",
    }
    auth = auth_wiring.build_app(AuthSettings.model_validate(given), tracer_provider=provider)
    async with contextlib.AsyncExitStack() as stack:
        given["auth_url"] = await stack.enter_async_context(serving(auth))
        settings = GatewaySettings.model_validate(given)
        lifespan = gateway_wiring.lifespan(settings, provider)
        gateway = gateway_wiring.make_gateway_app(lifespan, tracer_provider=provider)
        url = await stack.enter_async_context(serving(gateway))
        await stack.enter_async_context(executor_wiring.running(ExecutorSettings.model_validate(given), provider))
        await stack.enter_async_context(notifier_wiring.opened(NotifierSettings.model_validate(given), provider))
        yield await stack.enter_async_context(flickrhub(url))


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with simulator(needed("SIM_URL")) as client:
        yield client


@dataclass
class Story:
    """The spans of one trace."""

    spans: list[ReadableSpan]

    def all(self, kind: SpanKind, *words: str) -> list[ReadableSpan]:
        """The spans of this kind whose name and attributes hold these words."""
        return [span for span in self.spans if span.kind is kind and all(word in text(span) for word in words)]

    def one(self, kind: SpanKind, *words: str) -> ReadableSpan:
        """The only such span."""
        found = self.all(kind, *words)
        assert len(found) == 1, f"{kind.name} {words}: {[text(s) for s in found]} of {[text(s) for s in self.spans]}"
        return found[0]

    def parent(self, span: ReadableSpan) -> ReadableSpan:
        """The span that a span is a child of."""
        assert span.parent is not None, text(span)
        (found,) = [each for each in self.spans if context(each).span_id == span.parent.span_id]
        return found


def context(span: ReadableSpan) -> SpanContext:
    found = span.get_span_context()
    assert found is not None
    return found


def text(span: ReadableSpan) -> str:
    return f"{span.name} {dict(span.attributes or {})} {[(event.name, event.attributes) for event in span.events]}"


async def told(hub: FlickrHub, sim: Simulator, receiver: CallbackReceiver) -> tuple[Account, Received]:
    """Enqueue one job with a client's traceparent, and wait for its callback."""
    with suppress_http_instrumentation():  # the test's own calls are no part of the story
        account = await connector(hub, sim)()
        body = {
            "method": ECHO,
            "user_id": account.user_id,
            "callback_url": receiver.url(HOOK),
            "callback_secret": SECRET,
        }
        traceparent = {"traceparent": f"00-{TRACE.hex}-{CLIENTS_SPAN}-01"}
        reply = await hub.post("/api/v1/flickr/rest", body, traceparent)
        assert reply.status_code == 202, reply.text
        (received,) = await receiver.received(1, HOOK)
    return account, received


async def story_of(trace: uuid.UUID, spans: InMemorySpanExporter) -> Story:
    """The whole trace: it is over when both readers of the job's last event have worked it off."""

    def complete() -> Story | None:
        story = Story([span for span in spans.get_finished_spans() if context(span).trace_id == trace.int])
        return story if len(story.all(SpanKind.CONSUMER, "job.completed process")) == 2 else None

    return await eventually(complete, what="the last span")


async def test_one_trace_leads_from_the_enqueue_request_to_the_callback(
    hub: FlickrHub, sim: Simulator, receiver: CallbackReceiver, spans: InMemorySpanExporter
) -> None:
    _, received = await told(hub, sim, receiver)
    story = await story_of(TRACE, spans)

    enqueued = story.one(SpanKind.SERVER, "POST /api/v1/flickr/rest")
    assert enqueued.parent is not None
    assert format(enqueued.parent.span_id, "016x") == CLIENTS_SPAN

    job_published = story.one(SpanKind.PRODUCER, "flickr.jobs.rest publish")
    assert story.parent(job_published) is enqueued

    executed = story.one(SpanKind.CONSUMER, "flickr.jobs.rest process")
    assert story.parent(executed) is job_published
    assert story.parent(story.one(SpanKind.CLIENT, "/services/rest/", f"'flickr.method': '{ECHO}'")) is executed

    event_published = story.one(SpanKind.PRODUCER, "job.completed publish")
    assert story.parent(event_published) is executed

    called_back = story.one(SpanKind.CLIENT, "POST callback")
    notified = story.parent(called_back)
    assert notified.kind is SpanKind.CONSUMER
    assert story.parent(notified) is event_published

    assert received.headers["traceparent"] == f"00-{TRACE.hex}-{context(called_back).span_id:016x}-01"
    assert received.json()["trace_id"] == str(TRACE)


async def test_the_services_questions_to_each_other_are_in_the_trace(
    hub: FlickrHub, sim: Simulator, receiver: CallbackReceiver, spans: InMemorySpanExporter
) -> None:
    await told(hub, sim, receiver)
    story = await story_of(TRACE, spans)
    lookup = story.one(SpanKind.CLIENT, "GET", "/internal/v1/connections/")
    assert story.parent(lookup) is story.one(SpanKind.SERVER, "POST /api/v1/flickr/rest")
    lent = story.one(SpanKind.CLIENT, "/lend")
    assert story.parent(lent) is story.one(SpanKind.CONSUMER, "flickr.jobs.rest process")
    assert story.parent(story.one(SpanKind.SERVER, "POST", "/lend")) is lent


async def test_a_retried_job_and_a_repeated_callback_stay_in_their_trace(
    hub: FlickrHub, sim: Simulator, receiver: CallbackReceiver, spans: InMemorySpanExporter
) -> None:
    receiver.script(HOOK, Reply(500))
    with suppress_http_instrumentation():
        account = await connector(hub, sim)()
        await sim.fault(account.app, code=105)
        body = {"method": ECHO, "user_id": account.user_id, "callback_url": receiver.url(HOOK)}
        await hub.post("/api/v1/flickr/rest", body, {"traceparent": f"00-{TRACE.hex}-{CLIENTS_SPAN}-01"})
        attempts = await receiver.received(2, HOOK)
    story = await story_of(TRACE, spans)
    assert len(story.all(SpanKind.CLIENT, "/services/rest/", f"'flickr.method': '{ECHO}'")) == 2
    assert {attempt.headers["traceparent"].split("-")[1] for attempt in attempts} == {TRACE.hex}
    assert len({attempt.headers["traceparent"].split("-")[2] for attempt in attempts}) == 2


async def test_no_secret_is_in_any_span(
    hub: FlickrHub, sim: Simulator, receiver: CallbackReceiver, spans: InMemorySpanExporter
) -> None:
    account, _ = await told(hub, sim, receiver)
    await story_of(TRACE, spans)
    with suppress_http_instrumentation():
        (call,) = await sim.calls(account.app, ECHO)
        walk = await sim.calls(account.app, kind="oauth")
    everything = "\n".join(text(span) for span in spans.get_finished_spans())
    assert "/services/oauth/access_token" in everything
    hidden = {SECRET, account.app.api_secret, call["oauth_token"], HOOK_SECRET, *(one["oauth_token"] for one in walk)}
    for secret in hidden - {None}:
        assert secret not in everything
