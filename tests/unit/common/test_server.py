"""What the app of every service does before a handler is asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI, Request
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from flickrhub_common import body_limit, errors
from flickrhub_common.http_protocol import EnvelopedProtocol
from flickrhub_common.server import make_app
from tests.support.waiting import eventually

LARGE = 50 * 1024 * 1024


@asynccontextmanager
async def _nothing(_: FastAPI) -> AsyncIterator[None]:
    yield


def _app(provider: TracerProvider | None = None) -> FastAPI:
    app = make_app(
        title="t",
        description="t",
        lifespan=_nothing,
        max_body_bytes=10,
        larger_bodies={"/large": LARGE},
        tracer_provider=provider,
    )

    @app.post("/read")
    async def read(request: Request) -> int:
        return len(await request.body())

    @app.post("/ignore")
    async def ignore() -> int:
        return 1

    @app.post("/large")
    async def large(request: Request, read: bool = True) -> int:
        if not read:
            raise errors.Conflict
        return sum([len(chunk) async for chunk in request.stream()])

    return app


@asynccontextmanager
async def _served() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to the app as a service serves it."""
    server = uvicorn.Server(uvicorn.Config(_app(), port=0, http=EnvelopedProtocol, ws="none", log_config=None))
    running = asyncio.create_task(server.serve())
    await eventually(lambda: server.started, every=0.01, what="the server")
    reader, writer = await asyncio.open_connection(*server.servers[0].sockets[0].getsockname()[:2])
    try:
        yield reader, writer
    finally:
        writer.close()
        server.should_exit = True
        await running


def _client(app: FastAPI) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://hub")


@pytest.mark.parametrize("path", ["/read", "/ignore", "/unknown"])
async def test_a_declared_length_over_the_limit_is_refused_in_the_envelope_wherever_it_is_sent(path: str) -> None:
    async with _client(_app()) as client:
        reply = await client.post(path, content=b"x" * 11)
    assert reply.status_code == 413
    assert reply.json()["error"]["code"] == "ERR_PAYLOAD_TOO_LARGE"
    assert reply.headers["x-request-id"] == reply.json()["request_id"]


async def test_a_body_that_grows_over_the_limit_is_refused_in_the_envelope() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"12345"

    async with _client(_app()) as client:
        reply = await client.post("/read", content=chunks())
    assert reply.status_code == 413
    assert reply.json()["error"]["code"] == "ERR_PAYLOAD_TOO_LARGE"


async def test_a_body_of_just_the_limit_is_taken() -> None:
    async with _client(_app()) as client:
        reply = await client.post("/read", content=b"x" * 10)
    assert (reply.status_code, reply.text) == (200, "10")


async def test_the_given_tracer_sees_calls_but_no_probes() -> None:
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    async with _client(_app(provider)) as client:
        await client.post("/ignore")
        await client.get("/health")
    assert [span.name for span in spans.get_finished_spans()] == ["POST /ignore"]


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense\r\n\r\n",
        b"POST /read HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST /read HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n",
    ],
)
async def test_what_isnt_http_gets_the_envelope_too(raw: bytes) -> None:
    async with _served() as (reader, writer):
        writer.write(raw)
        reply = await asyncio.wait_for(reader.read(), 5)
    assert reply.startswith(b"HTTP/1.1 400 ")
    assert b'"error":{"code":"ERR_INVALID_REQUEST"' in reply


async def test_a_path_may_have_a_larger_limit_of_its_own() -> None:
    async with _client(_app()) as client:
        assert (await client.post("/large", content=b"x" * 11)).text == "11"
        assert (await client.post("/ignore", content=b"x" * 11)).status_code == 413
        reply = await client.post("/large", content=b"", headers={"content-length": str(LARGE + 1)})
    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "ERR_PAYLOAD_TOO_LARGE")


def _large(query: str = "", more: str = "", length: int = 20 * 1024 * 1024) -> bytes:
    return f"POST /large{query} HTTP/1.1\r\nHost: h\r\n{more}Content-Length: {length}\r\n\r\n".encode()


async def _answer(reader: asyncio.StreamReader) -> bytes:
    return await asyncio.wait_for(reader.readuntil(b"}}"), 5)


@pytest.mark.parametrize("length", [20 * 1024 * 1024, LARGE + 1])
async def test_a_client_that_sends_everything_before_it_reads_gets_the_answer(length: int) -> None:
    async with _served() as (reader, writer):
        writer.write(_large("?read=false", length=length))
        for _ in range(length // 1024**2):
            writer.write(bytes(1024**2))
            await writer.drain()
        writer.write(bytes(length % 1024**2))
        answer = await _answer(reader)
        assert await asyncio.wait_for(reader.read(), 5) == b""
    assert answer.startswith(b"HTTP/1.1 409 " if length < LARGE else b"HTTP/1.1 413 ")
    assert b"\r\nconnection: close\r\n" in answer


async def test_an_answer_doesnt_wait_for_the_rest_of_the_body() -> None:
    async with _served() as (reader, writer):
        writer.write(_large("?read=false") + bytes(100_000))
        assert (await _answer(reader)).startswith(b"HTTP/1.1 409 ")
        writer.write(bytes(1024**2))  # still connected
        await writer.drain()
        await asyncio.sleep(0)
        assert not reader.at_eof()


async def test_a_client_that_falls_silent_after_its_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_limit, "QUIET_SECONDS", 0.05)
    async with _served() as (reader, writer):
        writer.write(_large("?read=false") + bytes(1000))
        await _answer(reader)
        assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_a_client_that_sends_for_ever_after_its_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_limit, "LINGER_SECONDS", 0.2)
    async with _served() as (reader, writer):
        writer.write(_large("?read=false"))
        await _answer(reader)

        async def trickle() -> None:
            while True:
                writer.write(b"x")
                await asyncio.sleep(0.02)

        trickling = asyncio.create_task(trickle())
        try:
            await asyncio.wait_for(reader.read(), 5)
        except ConnectionError:
            pass  # as good a way to be left
        finally:
            trickling.cancel()


async def test_a_client_that_asks_first_isnt_told_to_go_on_with_a_body_nobody_wants() -> None:
    async with _served() as (reader, writer):
        writer.write(_large("?read=false", "Expect: 100-continue\r\n"))
        assert (await _answer(reader)).startswith(b"HTTP/1.1 409 ")
        writer.close()


async def test_a_body_that_was_read_to_its_end_leaves_the_connection_open() -> None:
    async with _served() as (reader, writer):
        for _ in range(2):
            writer.write(_large(length=3) + b"abc")
            reply = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n3"), 5)
            assert reply.startswith(b"HTTP/1.1 200 ")
            assert b"connection: close" not in reply
