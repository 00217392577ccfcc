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

from flickrhub_common.server import EnvelopedProtocol, make_app
from tests.support.waiting import eventually


@asynccontextmanager
async def _nothing(_: FastAPI) -> AsyncIterator[None]:
    yield


def _app(provider: TracerProvider | None = None) -> FastAPI:
    app = make_app(title="t", description="t", lifespan=_nothing, max_body_bytes=10, tracer_provider=provider)

    @app.post("/read")
    async def read(request: Request) -> int:
        return len(await request.body())

    @app.post("/ignore")
    async def ignore() -> int:
        return 1

    return app


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
    server = uvicorn.Server(uvicorn.Config(_app(), port=0, http=EnvelopedProtocol, ws="none", log_config=None))
    running = asyncio.create_task(server.serve())
    await eventually(lambda: server.started, every=0.01, what="the server")
    reader, writer = await asyncio.open_connection(*server.servers[0].sockets[0].getsockname()[:2])
    writer.write(raw)
    reply = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    server.should_exit = True
    await running
    assert reply.startswith(b"HTTP/1.1 400 ")
    assert b'"error":{"code":"ERR_INVALID_REQUEST"' in reply
