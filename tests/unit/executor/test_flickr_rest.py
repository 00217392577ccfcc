"""One call to Flickr: what goes out, and what each way of not answering becomes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from oauthlib.oauth1 import SignatureOnlyEndpoint
from oauthlib.oauth1.rfc5849.request_validator import RequestValidator

from flickrhub_executor.adapters.flickr_rest import MAX_REPLY_BYTES, FlickrRest
from flickrhub_executor.errors import TransientFailure
from flickrhub_executor.models import Credentials, FlickrCall, json_params

URL = "https://api.flickr.com/services/rest/"
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

Respond = Callable[[httpx2.Request], httpx2.Response]


class _KnowsLent(RequestValidator):
    """Oauthlib's server side, for the one app and token."""

    client_key_length = (1, 64)
    access_token_length = (1, 64)
    nonce_length = (1, 64)

    @property
    def enforce_ssl(self) -> bool:
        return True

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


def flickr(respond: Respond, *, timeout_seconds: float = 5.0) -> FlickrRest:
    client = httpx2.AsyncClient(transport=httpx2.MockTransport(respond))
    return FlickrRest(client, url=URL, timeout_seconds=timeout_seconds)


def replying(status: int = 200, body: bytes = b"{}", headers: dict[str, str] | None = None) -> Respond:
    return lambda _: httpx2.Response(status, content=body, headers=headers)


async def sent(call: FlickrCall) -> httpx2.Request:
    """The request a call makes."""
    requests: list[httpx2.Request] = []

    def respond(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        return httpx2.Response(200, content=b"{}")

    await flickr(respond).call(call, LENT)
    return requests[0]


def params_of(request: httpx2.Request) -> dict[str, str]:
    text = request.content.decode() if request.method == "POST" else urlsplit(str(request.url)).query
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
    url, body, headers = str(request.url), request.content.decode(), dict(request.headers)
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
    wire = f"{request.url}{dict(request.headers)}{request.content!r}"
    assert LENT.api_secret not in wire
    assert LENT.oauth_token_secret not in wire


async def test_a_read_too_long_for_a_url_goes_out_as_post() -> None:
    request = await sent(FlickrCall("flickr.test.echo", "GET", (("text", "x" * 7000),)))
    assert (request.method, urlsplit(str(request.url)).query) == ("POST", "")


async def test_the_reply_is_handed_on_whole() -> None:
    reply = await flickr(replying(418, b"teapot", {"Retry-After": "7"})).call(FlickrCall("m", "GET", ()), LENT)
    assert (reply.status, reply.body, reply.retry_after) == (418, b"teapot", 7.0)
    assert reply.duration_ms >= 0


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
    headers = [(b"retry-after", value.encode("latin-1"))]
    asked = await flickr(lambda _: httpx2.Response(429, headers=headers)).call(FlickrCall("m", "GET", ()), LENT)
    assert asked.retry_after == seconds


async def test_a_date_in_the_future_is_seconds_from_now() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    reply = await flickr(replying(503, headers={"Retry-After": date})).call(FlickrCall("m", "GET", ()), LENT)
    assert reply.retry_after == pytest.approx(90, abs=3)


@pytest.mark.parametrize(
    ("error", "code", "doubtful"),
    [
        (httpx2.ConnectError("refused"), "ERR_FLICKR_UNREACHABLE", False),
        (httpx2.ConnectTimeout("slow"), "ERR_FLICKR_UNREACHABLE", False),
        (httpx2.PoolTimeout("full"), "ERR_FLICKR_UNREACHABLE", False),
        (httpx2.ReadError("reset"), "ERR_FLICKR_UNREACHABLE", True),
        (httpx2.WriteError("reset"), "ERR_FLICKR_UNREACHABLE", True),
        (httpx2.RemoteProtocolError("gone"), "ERR_FLICKR_UNREACHABLE", True),
        (httpx2.DecodingError("no gzip"), "ERR_FLICKR_UNREACHABLE", True),
        (httpx2.ReadTimeout("slow"), "ERR_FLICKR_TIMEOUT", True),
        (httpx2.WriteTimeout("slow"), "ERR_FLICKR_TIMEOUT", True),
    ],
)
async def test_no_answer_is_a_passing_failure_in_doubt_unless_nothing_was_sent(
    error: Exception, code: str, doubtful: bool
) -> None:
    def respond(_: httpx2.Request) -> httpx2.Response:
        raise error

    with pytest.raises(TransientFailure) as raised:
        await flickr(respond).call(FlickrCall("m", "GET", ()), LENT)
    assert (raised.value.code, raised.value.doubtful) == (code, doubtful)
    assert raised.value.__cause__ is error


class _Chunks(httpx2.AsyncByteStream):
    def __init__(self, chunks: Callable[[], AsyncIterator[bytes]]) -> None:
        self._chunks = chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks()


async def test_an_answer_that_drips_for_ever_is_cut_off_at_the_time_limit() -> None:
    async def drip() -> AsyncIterator[bytes]:
        while True:
            yield b"."
            await asyncio.sleep(0.01)

    drips = flickr(lambda _: httpx2.Response(200, stream=_Chunks(drip)), timeout_seconds=0.1)
    with pytest.raises(TransientFailure) as raised:
        await drips.call(FlickrCall("m", "GET", ()), LENT)
    assert (raised.value.code, raised.value.doubtful) == ("ERR_FLICKR_TIMEOUT", True)


async def test_an_endless_answer_is_cut_off_at_the_size_limit() -> None:
    given = 0

    async def flood() -> AsyncIterator[bytes]:
        nonlocal given
        while True:
            given += 1024 * 1024
            yield b"x" * 1024 * 1024

    floods = flickr(lambda _: httpx2.Response(200, stream=_Chunks(flood)))
    with pytest.raises(TransientFailure) as raised:
        await floods.call(FlickrCall("m", "GET", ()), LENT)
    assert raised.value.code == "ERR_FLICKR_BAD_REPLY"
    assert given <= MAX_REPLY_BYTES + 2 * 1024 * 1024
