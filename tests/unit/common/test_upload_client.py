"""The client for long requests: over plain sockets and TLS it hears an answer while it still sends."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from flickrhub_common.http_client import HttpReply
from flickrhub_common.upload_client import make_upload_client
from tests.support.certificates import self_signed
from tests.unit.common.test_guarded_client import listener

PIECE = 256 * 1024
PIECES = 64
REFUSED = b"HTTP/1.1 413 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(params=["http", "https"])
def tls(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext | None:
    if request.param == "http":
        return None
    certificate, context = self_signed(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return context


async def _body(taken: list[int]) -> AsyncIterator[bytes]:
    for number in range(PIECES):
        taken.append(number)
        yield bytes(PIECE)


async def _sent(port: int, tls: ssl.SSLContext | None, *, times: int = 1) -> tuple[HttpReply, int]:
    """The last reply to so many long requests over one client, and how many pieces went into it."""
    url = f"http{'s' if tls else ''}://localhost:{port}/"
    async with make_upload_client(timeout_seconds=5) as client:
        for _ in range(times):
            taken: list[int] = []
            headers = {"Content-Length": str(PIECES * PIECE)}
            reply = await client.post(url, content=_body(taken), headers=headers)
    return reply, len(taken)


async def _read_all(reader: asyncio.StreamReader) -> None:
    await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(PIECES * PIECE)


async def test_whole_requests_have_a_connection_each_which_is_closed_after_the_answer(
    tls: ssl.SSLContext | None,
) -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await _read_all(reader)
        writer.write(OK)
        assert await reader.read() == b""

    async with listener(serve, tls=tls) as port:
        reply, taken = await _sent(port, tls, times=2)
    assert (reply.status_code, reply.content, taken, connections) == (200, b"ok", PIECES, 2)


@pytest.mark.parametrize("stays", [False, True])
async def test_an_early_answer_ends_the_request(tls: ssl.SSLContext | None, stays: bool) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(REFUSED)
        await writer.drain()
        if stays:
            await asyncio.wait_for(reader.read(-1), 5)

    async with listener(serve, tls=tls) as port:
        reply, taken = await _sent(port, tls)
    assert (reply.status_code, reply.content) == (413, b"no")
    assert taken < PIECES


async def test_an_interim_answer_doesn_t(tls: ssl.SSLContext | None) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await asyncio.sleep(0.05)  # until nothing more can be written
        await _read_all(reader)
        writer.write(OK)
        await writer.drain()

    async with listener(serve, tls=tls) as port:
        reply, taken = await _sent(port, tls)
    assert (reply.status_code, taken) == (200, PIECES)


async def test_a_request_is_traced_like_any_other() -> None:
    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _read_all(reader)
        writer.write(OK)
        await writer.drain()

    HTTPX2ClientInstrumentor().instrument(tracer_provider=provider)
    try:
        async with listener(serve) as port:
            await _sent(port, None)
    finally:
        HTTPX2ClientInstrumentor().uninstrument()
    assert len(spans.get_finished_spans()) == 1
