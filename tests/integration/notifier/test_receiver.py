"""One POST to real receivers, well-behaved and nasty, under a deadline of half a second."""

import asyncio
import gzip
import time
from collections.abc import AsyncIterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from flickrhub_common.addresses import AddressPolicy
from flickrhub_common.guarded_calls import make_guarded_call_client
from flickrhub_notifier.adapters.receiver import EXCERPT_CHARACTERS, HttpReceiver
from flickrhub_notifier.models import Answer, Post
from tests.integration.notifier import nasty as receivers
from tests.integration.notifier.nasty import nasty
from tests.support.callback_receiver import CallbackReceiver, Reply
from tests.support.listening import Serve

DEADLINE = 0.5
LOOPBACK = AddressPolicy.parse("127.0.0.0/8,::1/128")


def a_post(url: str) -> Post:
    """A request such as the use case makes."""
    return Post(url, b'{"job_id":"job-1"}', {"Content-Type": "application/json", "webhook-id": "job-1"})


@pytest.fixture
def spans() -> InMemorySpanExporter:
    """What was traced."""
    return InMemorySpanExporter()


@pytest.fixture
def tracing(spans: InMemorySpanExporter) -> TracerProvider:
    """A provider that records everything."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return provider


def http_receiver(tracing: TracerProvider, policy: AddressPolicy) -> AsyncIterator[HttpReceiver]:
    """Made as the wiring makes it."""

    async def made() -> AsyncIterator[HttpReceiver]:
        async with make_guarded_call_client(policy, timeout_seconds=DEADLINE + 1) as client:
            yield HttpReceiver(client, policy=policy, tracer=tracing.get_tracer("test"), timeout_seconds=DEADLINE)

    return made()


@pytest.fixture
async def http(tracing: TracerProvider) -> AsyncIterator[HttpReceiver]:
    """The adapter under test; loopback is allowed."""
    async for adapter in http_receiver(tracing, LOOPBACK):
        yield adapter


@pytest.fixture
async def strict(tracing: TracerProvider) -> AsyncIterator[HttpReceiver]:
    """The adapter under test; nothing but public addresses is allowed."""
    async for adapter in http_receiver(tracing, AddressPolicy()):
        yield adapter


@pytest.mark.parametrize(
    ("serve", "answers"),
    [
        (receivers.silent, {Answer(None, "timeout")}),
        (receivers.trickling, {Answer(200, "too_slow")}),
        (receivers.slow_headers, {Answer(None, "timeout")}),
        (receivers.endless_headers, {Answer(None, "protocol_error")}),
        (receivers.interim, {Answer(None, "timeout")}),
        (receivers.resetting, {Answer(None, "protocol_error"), Answer(None, "connection_reset")}),
        (receivers.half_a_body, {Answer(200, "protocol_error"), Answer(200, "connection_reset")}),
        (receivers.not_http, {Answer(None, "protocol_error"), Answer(None, "connection_reset")}),
        (receivers.switching, {Answer(None, "protocol_error")}),
    ],
)
async def test_a_nasty_receiver_is_left_at_the_deadline_with_a_name_for_it(
    http: HttpReceiver, serve: Serve, answers: set[Answer]
) -> None:
    async with nasty(serve) as receiver:
        began = time.monotonic()
        answer = await http.post(a_post(receiver.url))
        assert time.monotonic() - began < DEADLINE + 0.4
        assert answer in answers
        assert not answer.succeeded
        assert receiver.connections == 1


async def test_of_an_endless_reply_the_beginning_is_read_and_the_connection_closed(http: HttpReceiver) -> None:
    async with nasty(receivers.endless) as receiver:
        began = time.monotonic()
        answer = await http.post(a_post(receiver.url))
        assert time.monotonic() - began < DEADLINE
        assert answer == Answer(200, None, None, "x" * EXCERPT_CHARACTERS)
        async with asyncio.timeout(2):
            await receiver.hung_up.wait()


async def test_a_deadline_closes_the_connection(http: HttpReceiver) -> None:
    async with nasty(receivers.silent) as receiver:
        assert (await http.post(a_post(receiver.url))).error == "timeout"
        async with asyncio.timeout(2):
            await receiver.hung_up.wait()


async def test_a_hundred_hanging_receivers_take_no_longer_than_one(http: HttpReceiver) -> None:
    async with nasty(receivers.silent) as receiver:
        began = time.monotonic()
        answers = await asyncio.gather(*(http.post(a_post(receiver.url)) for _ in range(100)))
        assert time.monotonic() - began < DEADLINE + 1.5
    assert {answer.error for answer in answers} == {"timeout"}


async def test_a_redirect_is_a_failure_and_its_target_hears_nothing(
    http: HttpReceiver, receiver: CallbackReceiver
) -> None:
    receiver.script("/from", Reply(307, {"location": receiver.url("/to")}))
    assert (await http.post(a_post(receiver.url("/from")))).status == 307
    assert [request.path for request in receiver.requests] == ["/from"]


async def test_a_compressed_reply_is_not_unpacked(http: HttpReceiver, receiver: CallbackReceiver) -> None:
    bomb = gzip.compress(b"\0" * 40_000_000)
    receiver.always(Reply(200, {"content-encoding": "gzip", "content-type": "application/json"}, bomb))
    assert await http.post(a_post(receiver.url())) == Answer(200, None, None, None)


async def test_a_reply_that_only_claims_to_be_compressed_does_no_harm(
    http: HttpReceiver, receiver: CallbackReceiver
) -> None:
    receiver.always(Reply(200, {"content-encoding": "gzip, br"}, b"not compressed"))
    assert (await http.post(a_post(receiver.url()))).succeeded


async def test_an_excerpt_is_harmless_text(http: HttpReceiver, receiver: CallbackReceiver) -> None:
    receiver.always(Reply(500, body=b"\x00\x1b[2J\xff broken: api_key=0123456789&x=1\nnext" + b"z" * 5000))
    answer = await http.post(a_post(receiver.url()))
    assert answer.excerpt is not None
    assert answer.excerpt.startswith("\ufffd\ufffd[2J\ufffd broken: api_key=…&x=1\nnextz")
    assert len(answer.excerpt) <= EXCERPT_CHARACTERS


async def test_retry_after_is_handed_on(http: HttpReceiver, receiver: CallbackReceiver) -> None:
    receiver.always(Reply(429, {"retry-after": "17"}))
    assert (await http.post(a_post(receiver.url()))).retry_after == "17"


async def test_the_request_has_its_body_and_headers_and_no_others_that_tell_of_us(
    http: HttpReceiver, receiver: CallbackReceiver
) -> None:
    await http.post(a_post(receiver.url("/in?key=1")))
    [request] = receiver.requests
    assert (request.method, request.path, request.body) == ("POST", "/in?key=1", b'{"job_id":"job-1"}')
    assert set(request.headers) == {
        "host",
        "user-agent",
        "accept",
        "accept-encoding",
        "connection",
        "content-type",
        "content-length",
        "webhook-id",
        "traceparent",
    }
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("FlickrHub/")


async def test_the_span_of_a_post_is_the_parent_the_receiver_sees_and_holds_no_path(
    http: HttpReceiver, receiver: CallbackReceiver, spans: InMemorySpanExporter
) -> None:
    receiver.always(Reply(503))
    await http.post(a_post(receiver.url("/path-secret?key=query-secret")))
    [span] = spans.get_finished_spans()
    assert span.kind is SpanKind.CLIENT
    assert span.context is not None
    traceparent = receiver.requests[0].headers["traceparent"].split("-")
    assert traceparent[1:3] == [f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"]
    assert span.attributes is not None
    assert span.attributes["http.response.status_code"] == 503
    assert span.attributes["error.type"] == "http_503"
    assert "secret" not in span.to_json()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "[::ffff:127.0.0.1]"])
async def test_an_address_that_is_not_public_is_refused_without_a_connection(strict: HttpReceiver, host: str) -> None:
    async with nasty(receivers.silent) as receiver:
        answer = await strict.post(a_post(f"http://{host}:{receiver.port}/"))
        assert answer == Answer(error="refused_address")
        assert receiver.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "http://user:pw@127.0.0.1/",
        "http://",
        "http://[::1/",
        "http://a\u00adb.example/",
        "http://xn--a.example:99999/",
        "",
    ],
)
async def test_what_is_no_url_to_call_is_named_so(http: HttpReceiver, url: str) -> None:
    assert await http.post(a_post(url)) == Answer(error="invalid_url")


async def test_whatever_else_the_driver_raises_is_a_failed_attempt(
    http: HttpReceiver, receiver: CallbackReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("aiohttp.ClientSession.request", crash)
    assert await http.post(a_post(receiver.url())) == Answer(error="internal_error")
