"""The client for addresses that others chose: what it dials, what it refuses, and how it names failures.

Real sockets on loopback, no other server; DNS is the one thing that is replaced.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from flickrhub_common.addresses import REFUSED_ADDRESS, AddressPolicy, RefusedUrl
from flickrhub_common.http_client import (
    GUARDED_REPLY_BYTES,
    HttpError,
    failure_name,
    make_guarded_client,
    make_http_client,
)
from tests.support.callback_receiver import CallbackReceiver, Reply
from tests.support.guarded_calls import FacedCalls
from tests.support.stub_dns import StubDns

NOBODY_ELSE = AddressPolicy()
LOOPBACK = AddressPolicy.parse("127.0.0.0/8,::1/128")


@pytest.fixture(autouse=True, params=["httpx2", "aiohttp"])
def driver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each test judges the client for photos, over httpx2, and that for callbacks, over aiohttp."""
    if request.param == "aiohttp":
        monkeypatch.setattr(f"{__name__}.make_guarded_client", FacedCalls)
        monkeypatch.setattr(f"{__name__}.failure_name", lambda error: error.reason)
    return str(request.param)


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def listener(serve: Serve, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A listener on 127.0.0.1 inside the block; its port."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await serve(reader, writer)
        writer.transport.abort()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def _post(url: str, policy: AddressPolicy, *, seconds: float = 5) -> int:
    async with asyncio.timeout(seconds), make_guarded_client(policy, timeout_seconds=seconds) as client:
        return (await client.post(url, content=b"{}")).status_code


async def _failure(url: str, policy: AddressPolicy = LOOPBACK, *, seconds: float = 5) -> str:
    with pytest.raises(HttpError) as caught:
        await _post(url, policy, seconds=seconds)
    return failure_name(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST.", "[::ffff:127.0.0.1]", "127。0。0。1"])
async def test_nothing_reaches_a_listener_on_loopback_unless_it_is_allowed(host: str) -> None:
    connected = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.readuntil(b"{}")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()

    async with listener(serve) as port:
        with pytest.raises(RefusedUrl, match=REFUSED_ADDRESS):
            await _post(f"http://{host}:{port}/", NOBODY_ELSE)
        assert not connected.is_set()
        assert await _post(f"http://{host}:{port}/", LOOPBACK) == 204
        assert connected.is_set()


async def test_a_redirect_is_not_followed(receiver: CallbackReceiver) -> None:
    receiver.script("/from", Reply(302, {"location": receiver.url("/to")}))
    assert await _post(receiver.url("/from"), LOOPBACK) == 302
    assert [request.path for request in receiver.requests] == ["/from"]


@pytest.mark.parametrize("most_reply_bytes", [GUARDED_REPLY_BYTES, 100 * GUARDED_REPLY_BYTES])
async def test_endless_interim_replies_end_at_the_limit_of_bytes_however_long_a_body_may_be(
    most_reply_bytes: int,
) -> None:
    sent = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"{}")
        while True:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
            await writer.drain()
            sent += 2500

    async with (
        listener(serve) as port,
        make_guarded_client(LOOPBACK, timeout_seconds=20, most_reply_bytes=most_reply_bytes) as client,
    ):
        with pytest.raises(HttpError) as caught:
            await client.post(f"http://127.0.0.1:{port}/", content=b"{}")
    assert failure_name(caught.value) == "protocol_error"
    assert sent >= GUARDED_REPLY_BYTES - 2500
    assert sent < 20 * GUARDED_REPLY_BYTES  # what the sockets hold comes on top


async def test_the_limit_of_bytes_counts_anew_for_each_request_of_a_kept_connection(receiver: CallbackReceiver) -> None:
    receiver.always(Reply(body=b"x" * (GUARDED_REPLY_BYTES // 2)))
    async with make_guarded_client(LOOPBACK, timeout_seconds=5) as client:
        statuses = [(await client.post(receiver.url(), content=b"{}")).status_code for _ in range(4)]
    assert statuses == [200] * 4


async def _stream(receiver: CallbackReceiver, *, most_reply_bytes: int) -> int:
    """Bytes of two long bodies over one connection."""
    receiver.always(Reply(body=b"x" * 1_900_000))
    got = 0
    async with make_guarded_client(LOOPBACK, timeout_seconds=5, most_reply_bytes=most_reply_bytes) as client:
        for _ in range(2):
            async with client.stream("POST", receiver.url(), content=b"{}") as reply:
                got += sum([len(piece) async for piece in reply.aiter_raw()])
    return got


async def test_a_long_body_comes_where_the_limit_allows_it(receiver: CallbackReceiver, driver: str) -> None:
    if driver == "aiohttp":
        pytest.skip("it reads the beginning only")
    assert await _stream(receiver, most_reply_bytes=2_000_000) == 3_800_000


async def test_a_body_over_the_limit_is_a_failure(receiver: CallbackReceiver, driver: str) -> None:
    if driver == "aiohttp":
        pytest.skip("it reads the beginning only")
    with pytest.raises(HttpError) as caught:
        await _stream(receiver, most_reply_bytes=1_500_000)
    assert failure_name(caught.value) == "protocol_error"


async def test_failures_have_fixed_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getaddrinfo", StubDns())

    async def hang_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")

    async def talk_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(64)
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        await writer.drain()

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert await _failure(f"http://127.0.0.1:{free.getsockname()[1]}/") == "connection_refused"
    assert await _failure("http://nowhere.example/") == "dns_error"
    async with listener(hang_up) as port:
        assert await _failure(f"http://127.0.0.1:{port}/") in {"connection_reset", "protocol_error"}
    async with listener(talk_nonsense) as port:
        assert await _failure(f"http://127.0.0.1:{port}/") == "protocol_error"
        assert await _failure(f"https://127.0.0.1:{port}/") == "tls_error"


async def test_a_silent_receiver_is_a_timeout(driver: str) -> None:
    if driver == "aiohttp":
        pytest.skip("its time limit is its caller's")

    async def say_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listener(say_nothing) as port, make_guarded_client(LOOPBACK, timeout_seconds=0.2) as client:
        with pytest.raises(HttpError) as caught:
            await client.post(f"http://127.0.0.1:{port}/", content=b"{}")
    assert failure_name(caught.value) == "timeout"


async def test_a_deadline_in_the_middle_of_a_handshake_closes_the_connection() -> None:
    hung_up = asyncio.Event()

    async def never_shake_hands(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()  # until the other side closes
        hung_up.set()

    async with listener(never_shake_hands) as port, make_guarded_client(LOOPBACK, timeout_seconds=30) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await client.post(f"https://127.0.0.1:{port}/", content=b"{}")
        async with asyncio.timeout(2):
            await hung_up.wait()


async def test_the_driver_makes_no_span_that_would_hold_the_whole_url(receiver: CallbackReceiver) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor = HTTPX2ClientInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    try:
        assert await _post(receiver.url("/hook?key=of-the-client"), LOOPBACK) == 200
    finally:
        instrumentor.uninstrument()
    assert exporter.get_finished_spans() == ()


async def test_a_cookie_set_for_one_request_does_not_go_out_with_the_next(receiver: CallbackReceiver) -> None:
    receiver.always(Reply(headers={"set-cookie": "owner=somebody; Path=/"}))
    for client in (make_guarded_client(LOOPBACK, timeout_seconds=5), make_http_client(timeout_seconds=5)):
        async with client:
            await client.post(receiver.url("/a"))
            await client.post(receiver.url("/b"))
    assert len(receiver.requests) == 4
    assert not any("cookie" in request.headers for request in receiver.requests)
