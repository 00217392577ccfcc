"""One call to Flickr: what goes out, and what each way of not answering becomes."""

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import parse_qsl, urlsplit

import pytest
from oauthlib.oauth1 import SignatureOnlyEndpoint
from oauthlib.oauth1.rfc5849.request_validator import RequestValidator
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from flickrhub_common.call_client import make_call_client
from flickrhub_executor.adapters.flickr_rest import MAX_REPLY_BYTES, FlickrRest
from flickrhub_executor.errors import TransientFailure
from flickrhub_executor.models import Credentials, FlickrCall, FlickrReply, json_params
from tests.support.listening import listening
from tests.support.raw_server import OK, RawServer, Writes, hang_up, reset

PATH = "/services/rest/"
LENT = Credentials("user", "k" * 32, "s" * 16, "72157-token", "t" * 16, "f00d")
AWKWARD = {
    "text": "a b+c&d=e~f%20g/h?i#j'(k)*!",
    "emoji": "日本 😀 é e\u0301",
    "empty": "",
    "list": ["x,y", "z w", 1, True],
    "yes": True,
    "no": False,
    "number": 1.5,
    "line": "a\r\nb\tc",
    "näme with+signs&": "v",
    "tilde~": "~",
}


class _KnowsLent(RequestValidator):
    """Oauthlib's server side, for the one app and token."""

    client_key_length = (1, 64)
    access_token_length = (1, 64)
    nonce_length = (1, 64)

    @property
    def enforce_ssl(self) -> bool:
        return False

    def check_client_key(self, client_key: str) -> bool:
        return True

    def check_nonce(self, nonce: str) -> bool:
        return True

    def check_access_token(self, request_token: str) -> bool:
        return True

    def validate_timestamp_and_nonce(self, *_: object, **__: object) -> bool:
        return True

    def validate_client_key(self, client_key: str, request: object) -> bool:
        return client_key == LENT.api_key

    def get_client_secret(self, client_key: str, request: object) -> str:
        return LENT.api_secret

    def get_access_token_secret(self, client_key: str, token: str, request: object) -> str:
        return LENT.oauth_token_secret


@dataclass(frozen=True)
class Sent:
    """A request as it came."""

    method: str
    url: str
    headers: dict[str, str]
    body: str


@contextlib.asynccontextmanager
async def flickr(
    server: RawServer, *, timeout_seconds: float = 5.0, provider: TracerProvider | None = None
) -> AsyncIterator[FlickrRest]:
    """Calls to this server."""
    async with listening(server) as port, make_call_client(timeout_seconds=5, most_reply_bytes=10**9) as client:
        tracer = (provider or TracerProvider()).get_tracer("test")
        url = f"http://127.0.0.1:{port}{PATH}"
        yield FlickrRest(client, url=url, tracer=tracer, timeout_seconds=timeout_seconds)


def replying(status: int = 200, body: bytes = b"{}", headers: str = "") -> RawServer:
    head = f"HTTP/1.1 {status} Word\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return RawServer(head.encode("latin-1") + body)


async def answer(server: RawServer, *, timeout_seconds: float = 5.0) -> FlickrReply:
    """What a read makes of the server's answer."""
    async with flickr(server, timeout_seconds=timeout_seconds) as rest:
        return await rest.call(FlickrCall("m", "GET", ()), LENT)


async def sent(call: FlickrCall) -> Sent:
    """The request a call makes."""
    server = RawServer(OK)
    async with flickr(server) as rest:
        await rest.call(call, LENT)
    head, _, body = server.requests[0].decode().partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Sent(method, f"http://{headers['host']}{target}", headers, body)


def params_of(request: Sent) -> dict[str, str]:
    text = request.body if request.method == "POST" else urlsplit(request.url).query
    return dict(parse_qsl(text, keep_blank_values=True, strict_parsing=True))


@pytest.mark.parametrize("http_method", ["GET", "POST"])
async def test_every_param_arrives_as_it_was_given(http_method: str) -> None:
    request = await sent(FlickrCall("flickr.test.echo", http_method, json_params(AWKWARD)))
    asked = {"method": "flickr.test.echo", "format": "json", "nojsoncallback": "1"}
    assert request.method == http_method
    assert params_of(request) == {**dict(json_params(AWKWARD)), **asked}
    assert (request.headers.get("content-type") == "application/x-www-form-urlencoded") == (http_method == "POST")


@pytest.mark.parametrize("http_method", ["GET", "POST"])
async def test_oauthlib_s_server_side_finds_the_signature_right_and_a_changed_call_s_wrong(http_method: str) -> None:
    request = await sent(FlickrCall("flickr.test.echo", http_method, json_params(AWKWARD)))
    endpoint = SignatureOnlyEndpoint(_KnowsLent())
    url, body, headers = request.url, request.body, request.headers
    assert endpoint.validate_request(url, http_method, body, headers)[0]
    if http_method == "GET":
        url = f"{url}&more=1"
    else:
        body = f"{body}&more=1"
    assert not endpoint.validate_request(url, http_method, body, headers)[0]


async def test_every_call_is_signed_afresh() -> None:
    call = FlickrCall("flickr.test.echo", "GET", ())
    headers = [(await sent(call)).headers["authorization"] for _ in range(2)]
    assert headers[0] != headers[1]
    assert all(header.startswith("OAuth ") for header in headers)


async def test_the_secrets_themselves_never_go_out() -> None:
    request = await sent(FlickrCall("flickr.test.echo", "POST", (("a", "b"),)))
    wire = f"{request}"
    assert LENT.api_secret not in wire
    assert LENT.oauth_token_secret not in wire


async def test_a_read_too_long_for_a_url_goes_out_as_post() -> None:
    request = await sent(FlickrCall("flickr.test.echo", "GET", (("text", "x" * 7000),)))
    assert (request.method, urlsplit(request.url).query) == ("POST", "")


async def test_the_reply_is_handed_on_whole() -> None:
    reply = await answer(replying(418, b"teapot", "Retry-After: 7\r\n"))
    assert (reply.status, reply.body, reply.retry_after) == (418, b"teapot", 7.0)
    assert reply.duration_ms >= 0


async def test_packed_replies_are_asked_for_and_unpacked() -> None:
    assert (await sent(FlickrCall("m", "GET", ()))).headers["accept-encoding"] == "gzip, deflate"
    assert (await answer(replying(200, gzip.compress(b"{}"), "Content-Encoding: gzip\r\n"))).body == b"{}"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 3 ", 3.0),
        ("0", 0.0),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("\xb2", None),
        ("1.5", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 0.0),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
        ("Wed, 21 Oct 99999999 07:28:00 GMT", None),
        ("Wed, 21 Oct 2015 07:28:00 +9999", None),
    ],
)
async def test_retry_after_is_read_in_both_forms_and_nonsense_is_ignored(value: str, seconds: float | None) -> None:
    asked = await answer(replying(429, headers=f"Retry-After: {value}\r\n"))
    assert asked.retry_after == seconds


async def test_a_date_in_the_future_is_seconds_from_now() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    reply = await answer(replying(503, headers=f"Retry-After: {date}\r\n"))
    assert reply.retry_after == pytest.approx(90, abs=3)


async def failure(server: RawServer, *, timeout_seconds: float = 5.0) -> tuple[str | None, bool]:
    """The code of the failure that the server's behaviour becomes, and whether the call is in doubt."""
    with pytest.raises(TransientFailure) as raised:
        await answer(server, timeout_seconds=timeout_seconds)
    assert raised.value.__cause__ is not None
    return raised.value.code, raised.value.doubtful


async def test_a_call_that_never_went_out_is_a_passing_failure_without_doubt() -> None:
    async with listening(RawServer(OK)) as port:
        pass  # nobody listens there any more
    async with make_call_client(timeout_seconds=5) as client:
        url, tracer = f"http://127.0.0.1:{port}{PATH}", TracerProvider().get_tracer("test")
        rest = FlickrRest(client, url=url, tracer=tracer, timeout_seconds=5)
        with pytest.raises(TransientFailure) as raised:
            await rest.call(FlickrCall("m", "POST", ()), LENT)
    assert (raised.value.code, raised.value.doubtful) == ("ERR_FLICKR_UNREACHABLE", False)


HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"


@pytest.mark.parametrize("after", [hang_up, reset])
@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200", HALF], ids=["nothing", "half the head", "half the body"])
async def test_a_connection_that_breaks_leaves_the_call_in_doubt(begin: bytes, after: Writes) -> None:
    server = RawServer((begin, after))
    assert await failure(server) == ("ERR_FLICKR_UNREACHABLE", True)
    assert len(server.requests) == 1


async def test_what_cannot_be_unpacked_leaves_the_call_in_doubt() -> None:
    server = replying(200, b"no gzip", "Content-Encoding: gzip\r\n")
    assert await failure(server) == ("ERR_FLICKR_UNREACHABLE", True)


async def test_silence_leaves_the_call_in_doubt() -> None:
    async def nothing(_: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    assert await failure(RawServer((b"", nothing)), timeout_seconds=0.1) == ("ERR_FLICKR_TIMEOUT", True)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_an_answer_that_drips_for_ever_is_cut_off_at_the_time_limit() -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        while not writer.transport.is_closing():
            writer.write(b"1\r\n.\r\n")
            await asyncio.sleep(0.01)

    assert await failure(RawServer((CHUNKED, drip)), timeout_seconds=0.1) == ("ERR_FLICKR_TIMEOUT", True)


async def test_an_endless_answer_is_cut_off_at_the_size_limit() -> None:
    given = 0

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal given
        while not writer.transport.is_closing():
            writer.write(b"100000\r\n" + b"x" * 0x100000 + b"\r\n")
            await writer.drain()
            given += 0x100000

    assert await failure(RawServer((CHUNKED, flood))) == ("ERR_FLICKR_BAD_REPLY", True)
    assert given <= MAX_REPLY_BYTES + 8 * 1024 * 1024  # what the sockets hold comes on top


async def test_a_bomb_is_cut_off_at_the_size_limit() -> None:
    bomb = gzip.compress(bytes(MAX_REPLY_BYTES + 1), 1)
    assert await failure(replying(200, bomb, "Content-Encoding: gzip\r\n")) == ("ERR_FLICKR_BAD_REPLY", True)


async def test_a_call_has_a_span_that_tells_the_method_and_nothing_that_the_client_asked_for() -> None:
    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    server = RawServer(OK, (b"", hang_up))
    call = FlickrCall("flickr.test.echo", "GET", (("text", "private"),))
    async with flickr(server, provider=provider) as rest:
        with provider.get_tracer("test").start_as_current_span("the message"):
            await rest.call(call, LENT)
            with pytest.raises(TransientFailure):
                await rest.call(call, LENT)
    good, bad, _ = spans.get_finished_spans()
    assert good.attributes is not None
    assert good.attributes["flickr.method"] == "flickr.test.echo"
    assert good.attributes["http.response.status_code"] == 200
    assert (good.status.is_ok, bad.status.is_ok) == (True, False)
    assert "private" not in f"{good.to_json()}{bad.to_json()}"
    context = good.get_span_context()
    assert context is not None
    assert f"{context.span_id:016x}" in server.requests[0].decode()
