"""Clients that send too much, too slowly, by halves or by surprise, over real sockets."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import cast

import pytest
import structlog
import uvicorn
import uvloop
from fastapi import FastAPI, Request
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from flickrhub_common.errors import RateLimited
from flickrhub_common.http_limits import ConnectionLimits
from flickrhub_common.http_protocol import EnvelopedProtocol, protocol
from flickrhub_common.problems import envelope, problem
from flickrhub_common.server import make_app
from tests.support.waiting import eventually

QUICK = ConnectionLimits(
    head_seconds=0.4, body_seconds=0.4, unread_seconds=0.4, idle_seconds=0.5, linger_seconds=0.3, stop_seconds=0.2
)
PATIENT = ConnectionLimits()
HOST = b"Host: hub\r\n"
GET = b"GET /ok HTTP/1.1\r\n" + HOST + b"\r\n"
REQUEST_ID = "6f1c1f0e-2a53-4b0a-9f0e-0a1b2c3d4e5f"


@asynccontextmanager
async def _nothing(_: FastAPI) -> AsyncIterator[None]:
    yield


class RefusesBeforehand:
    """As the gateway's request limits and CORS do, before anything looks at the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("query_string") == b"refused":
            await problem(Request(scope), RateLimited(retry_after=1))(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _app() -> FastAPI:
    app = make_app(
        title="t",
        description="t",
        lifespan=_nothing,
        larger_bodies={"/photos": 10 * 1024**2},
        middleware=[Middleware(RefusesBeforehand)],
    )

    @app.get("/ok")
    async def ok(request: Request) -> Response:
        return envelope(request, {"ok": True})

    @app.get("/slow")
    async def slow(request: Request) -> Response:
        await request.body()
        await asyncio.sleep(0.6)
        return envelope(request, {"slow": True})

    @app.get("/much")
    async def much(request: Request) -> Response:
        return envelope(request, {"much": "x" * 8 * 1024**2})

    @app.post("/body")
    @app.post("/photos")
    async def body(request: Request) -> Response:
        return envelope(request, {"bytes": len(await request.body())})

    return app


@dataclass
class Served:
    """The app, and connections to it."""

    server: uvicorn.Server

    @property
    def port(self) -> int:
        return int(self.server.servers[0].sockets[0].getsockname()[1])

    @property
    def open(self) -> int:
        return len(self.server.server_state.connections)

    def idle(self) -> list[bool]:
        return [
            one.idle_since is not None for one in cast("set[EnvelopedProtocol]", self.server.server_state.connections)
        ]

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**24)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def exchange(self, *parts: bytes) -> bytes:
        """All that is answered until the end."""
        async with self.connection() as (reader, writer):
            for part in parts:
                writer.write(part)
                with contextlib.suppress(ConnectionError):
                    await writer.drain()
            return await asyncio.wait_for(reader.read(), 20)


@asynccontextmanager
async def served(limits: ConnectionLimits) -> AsyncIterator[Served]:
    config = uvicorn.Config(_app(), port=0, http=protocol(limits), ws="none", log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    await eventually(lambda: server.started, every=0.01, what="the server")
    try:
        yield Served(server)
    finally:
        server.should_exit = True
        await running


def refusal(reply: bytes) -> tuple[int, str]:
    """Status and code of the only reply there is."""
    head, _, body = reply.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 "), reply[:300]
    assert b"connection: close" in head.lower()
    assert b"x-content-type-options: nosniff" in head.lower()
    envelope = json.loads(body)
    assert envelope["data"] is None
    assert f"x-request-id: {envelope['request_id']}".encode() in head.lower()
    return int(head.split()[1]), envelope["error"]["code"]


def _fields(count: int) -> bytes:
    return b"".join(b"X-%d: y\r\n" % number for number in range(count))


HEAD = b"GET /ok HTTP/1.1\r\n" + HOST
CHUNKED = b"POST /body HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
POST = b"POST /body HTTP/1.1\r\n" + HOST
UPGRADE = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
HALF_A_BODY = b"POST /body HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\n12"
FLOOD = [b"a" * 64 * 1024] * 32
TOO_LARGE = (431, "ERR_HEADERS_TOO_LARGE")


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([b"GET /" + b"a" * 1024**2 + b" HTTP/1.1\r\n\r\n"], TOO_LARGE),
        ([HEAD + b"X: " + b"a" * 100 * 1024 + b"\r\n\r\n"], TOO_LARGE),
        ([HEAD + _fields(10_000) + b"\r\n"], TOO_LARGE),
        ([HEAD + _fields(100) + b"\r\n"], TOO_LARGE),
        ([HEAD + b"X: ", *FLOOD], TOO_LARGE),
        ([b"GET /", *FLOOD], TOO_LARGE),
        ([HEAD, *FLOOD], TOO_LARGE),
        ([CHUNKED + b"0\r\nX: ", *FLOOD], TOO_LARGE),
        ([CHUNKED + b"1;x=", *FLOOD], TOO_LARGE),
        ([CHUNKED + b"0\r\n" + _fields(200) + b"\r\n"], TOO_LARGE),
        ([b"\r\n" * 64 * 1024] * 2, TOO_LARGE),
        ([CHUNKED, *([b"1;" + b"e" * 30_000 + b"\r\nx\r\n"] * 200)], (400, "ERR_INVALID_REQUEST")),
        ([POST + b"Host: other\r\nContent-Length: 2\r\n\r\n{}"], (400, "ERR_INVALID_REQUEST")),
        ([b"GET /ok HTTP/1.1\r\n\r\n"], (400, "ERR_INVALID_REQUEST")),
        ([b"GET /ok HTTP/1.1\r\nHost: a b\r\n\r\n"], (400, "ERR_INVALID_REQUEST")),
        ([POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"], (400, "ERR_INVALID_REQUEST")),
        (
            [b"POST /body HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
            (400, "ERR_INVALID_REQUEST"),
        ),
        ([b"GET /ok HTTP/2.0\r\n" + HOST + b"\r\n"], (400, "ERR_INVALID_REQUEST")),
        (
            [POST + UPGRADE + b"Content-Length: 36\r\n\r\n", b"GET /ok HTTP/1.1\r\nHost: smuggled\r\n\r\n"],
            (400, "ERR_INVALID_REQUEST"),
        ),
        ([POST + UPGRADE + b"Transfer-Encoding: chunked\r\n\r\n", b"0\r\n\r\n"], (400, "ERR_INVALID_REQUEST")),
        ([CHUNKED + b"zz\r\n"], (400, "ERR_INVALID_REQUEST")),
        ([b"nonsense\r\n\r\n", *FLOOD], (400, "ERR_INVALID_REQUEST")),
    ],
    ids=[
        *("line", "header", "10000 headers", "101 headers", "endless header", "endless line", "endless name"),
        *("endless trailer", "endless extension", "trailers", "line ends", "extensions", "two hosts", "no host"),
        *("host", "coding", "coding in 1.0", "2.0", "upgrade with a body", "upgrade with chunks", "chunk", "nonsense"),
    ],
)
async def test_a_client_that_sends_too_much_reads_why_though_it_goes_on_sending(
    parts: list[bytes], expected: tuple[int, str]
) -> None:
    async with served(replace(PATIENT, linger_seconds=1)) as hub:
        began = time.monotonic()
        assert refusal(await hub.exchange(*parts)) == expected
        assert time.monotonic() - began < 20


async def test_a_head_just_below_the_limits_is_taken() -> None:
    async with served(PATIENT) as hub, hub.connection() as (reader, writer):
        for _ in range(2):
            writer.write(HEAD + _fields(98) + b"X: " + b"a" * 30_000 + b"\r\n\r\n")
            assert (await asyncio.wait_for(reader.readuntil(b'"error":null}'), 20)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "half",
    [
        b"G",
        HEAD,
        HEAD + b"X-Half: ",
        b"POST /body HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\n",
        b"POST /body HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\n1234",
        CHUNKED,
    ],
)
async def test_half_a_request_is_408_when_its_time_is_over(half: bytes) -> None:
    async with served(QUICK) as hub:
        assert refusal(await hub.exchange(half)) == (408, "ERR_REQUEST_TIMEOUT")
        await eventually(lambda: not hub.open and not hub.server.server_state.tasks, within=20, what="the end")


async def test_the_408_has_the_id_of_its_request() -> None:
    async with served(QUICK) as hub:
        head = b"POST /body HTTP/1.1\r\nX-Request-ID: " + REQUEST_ID.encode() + b"\r\nContent-Length: 5\r\n\r\n"
        assert json.loads((await hub.exchange(head)).partition(b"\r\n\r\n")[2])["request_id"] == REQUEST_ID


@pytest.mark.parametrize("begin", [HEAD + b"X: ", b"POST /body HTTP/1.1\r\n" + HOST + b"Content-Length: 500\r\n\r\n"])
async def test_a_byte_now_and_then_wins_no_time(begin: bytes) -> None:
    async with served(QUICK) as hub, hub.connection() as (reader, writer):
        writer.write(begin)
        reading = asyncio.create_task(reader.read())
        began = time.monotonic()
        while not reading.done():
            writer.write(b"x")
            await asyncio.sleep(0.05)
            assert time.monotonic() - began < 20
        assert refusal(reading.result())[0] == 408


@pytest.mark.parametrize("begin", [b"", b"\r\n", GET, GET + b"\r\n", GET * 3])
async def test_who_says_nothing_more_is_left_without_a_word(begin: bytes) -> None:
    async with served(QUICK) as hub:
        began = time.monotonic()
        reply = await hub.exchange(begin)
        assert reply.count(b"HTTP/1.1 200 ") == reply.count(b"HTTP/1.1 ") == begin.count(GET)
        assert time.monotonic() - began < 20


async def test_an_answer_given_before_the_body_doesnt_keep_its_connection_for_ever() -> None:
    async with served(QUICK) as hub:
        reply = await hub.exchange(b"POST /nowhere HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\n12")
        assert reply.startswith(b"HTTP/1.1 404 ")
        assert reply.count(b"HTTP/1.1 ") == 1


async def test_a_photo_has_a_pace_of_its_own() -> None:
    async with served(replace(QUICK, own_pace=frozenset({"/photos"}))) as hub, hub.connection() as (reader, writer):
        writer.write(b"POST /photos HTTP/1.1\r\n" + HOST + b"Content-Length: 12\r\n\r\n")
        for _ in range(12):
            writer.write(b"x")
            await asyncio.sleep(0.1)
        assert (await asyncio.wait_for(reader.readuntil(b"}"), 20)).startswith(b"HTTP/1.1 200 ")


async def test_who_doesnt_read_its_reply_is_cut_off() -> None:
    async with served(QUICK) as hub, hub.connection() as (_, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"GET /much HTTP/1.1\r\n" + HOST + b"\r\n")
        await eventually(lambda: not hub.open, within=20, what="the end")


async def test_who_asks_again_and_again_and_reads_nothing_is_cut_off() -> None:
    async with served(QUICK) as hub, hub.connection() as (_, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"GET /much HTTP/1.1\r\n" + HOST + b"\r\n" + GET * 5000)
        await eventually(lambda: not hub.open and not hub.server.server_state.tasks, within=20, what="the end")


async def test_who_reads_steadily_isnt_cut_off_though_each_reply_is_longer_than_what_is_left_of_the_last() -> None:
    size = 8 * 1024**2
    async with served(QUICK) as hub:
        loop = asyncio.get_running_loop()
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", hub.port))
            await loop.sock_sendall(client, (b"GET /much HTTP/1.1\r\n" + HOST + b"\r\n") * 2)
            taken = 0
            while taken < 2 * size:
                pause = asyncio.create_task(asyncio.sleep(0.02))
                end = taken + 256 * 1024
                while taken < min(end, 2 * size):
                    piece = await loop.sock_recv(client, 64 * 1024)
                    assert piece, f"cut off after {taken} bytes"
                    taken += len(piece)
                await pause


async def test_many_requests_at_once_are_answered_one_after_the_other() -> None:
    async with served(PATIENT) as hub, hub.connection() as (reader, writer):
        writer.write(GET * 10)
        for _ in range(10):
            assert (await asyncio.wait_for(reader.readuntil(b'"error":null}'), 20)).startswith(b"HTTP/1.1 200 ")


async def test_who_would_upgrade_is_answered_in_http_1_and_left() -> None:
    async with served(PATIENT) as hub:
        reply = await hub.exchange(HEAD + UPGRADE + b"\r\n", GET)
        assert reply.startswith(b"HTTP/1.1 200 ")
        assert b"connection: close" in reply.lower()
        assert reply.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("size", [1, 7, 65_536])
async def test_a_body_in_small_chunks_is_taken(size: int) -> None:
    piece = f"{size:x}\r\n".encode() + b"x" * size + b"\r\n"
    count = 200_000 // size
    async with served(PATIENT) as hub:
        reply = await hub.exchange(
            POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + piece * count + b"0\r\n\r\n"
        )
        assert reply.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("path", [b"/ok", b"/slow"])
async def test_who_sends_no_more_is_answered_all_the_same(path: bytes) -> None:
    async with served(PATIENT) as hub, hub.connection() as (reader, writer):
        writer.write(b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n")
        writer.write_eof()
        reply = await asyncio.wait_for(reader.read(), 20)
        assert reply.startswith(b"HTTP/1.1 200 ")
        assert reply.endswith(b"}")


async def test_who_sends_no_more_in_the_middle_of_a_request_is_left() -> None:
    async with served(PATIENT) as hub, hub.connection() as (reader, writer):
        writer.write(HALF_A_BODY)
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_too_many_requests_at_once_end_with_the_first() -> None:
    async with served(PATIENT) as hub:
        reply = await hub.exchange(GET * 20_000)
        assert reply.startswith(b"HTTP/1.1 200 ")
        assert reply.count(b"HTTP/1.1 ") == 1


def test_who_leaves_with_many_requests_unanswered_leaves_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async def leave() -> None:
        async with served(PATIENT) as hub:
            async with hub.connection() as (_, writer):
                writer.write((b"GET /slow HTTP/1.1\r\n" + HOST + b"\r\n") * 5)
                await eventually(lambda: hub.server.server_state.tasks, every=0.01, what="the first")
            await eventually(lambda: not hub.open and not hub.server.server_state.tasks, within=20, what="the end")

    uvloop.run(leave())  # asyncio's own transports say less of what is written after the end
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


async def test_a_photo_that_was_refused_has_no_pace_of_its_own_any_more() -> None:
    async with served(replace(QUICK, own_pace=frozenset({"/photos"}))) as hub, hub.connection() as (reader, writer):
        writer.write(b"POST /photos?refused HTTP/1.1\r\n" + HOST + b"Content-Length: 500\r\n\r\n")
        reading, began = asyncio.create_task(reader.read()), time.monotonic()
        while not reading.done():
            writer.write(b"x")
            await asyncio.sleep(0.05)
            assert time.monotonic() - began < 10
        assert reading.result().startswith(b"HTTP/1.1 429 ")
        assert reading.result().count(b"HTTP/1.1 ") == 1


async def test_a_long_answer_isnt_taken_for_a_slow_client() -> None:
    async with served(QUICK) as hub, hub.connection() as (reader, writer):
        writer.write(b"GET /slow HTTP/1.1\r\n" + HOST + b"\r\n")
        assert (await asyncio.wait_for(reader.readuntil(b"}"), 20)).startswith(b"HTTP/1.1 200 ")


async def test_nonsense_after_a_request_doesnt_come_before_its_answer() -> None:
    async with served(PATIENT) as hub:
        reply = await hub.exchange(b"GET /slow HTTP/1.1\r\n" + HOST + b"\r\nnonsense\r\n\r\n")
        assert reply.startswith(b"HTTP/1.1 200 ")
        assert reply.count(b"HTTP/1.1 ") == 1


async def test_silent_connections_shut_out_nobody_who_speaks() -> None:
    limits = replace(PATIENT, connections=3, silent_seconds=0.1)
    async with served(limits) as hub, hub.connection() as (polite, asks):
        asks.write(GET)
        await polite.readuntil(b'"error":null}')
        async with hub.connection() as (silent, _), hub.connection() as (half, writer):
            writer.write(HEAD)
            await asyncio.sleep(0.2)
            async with hub.connection() as one, hub.connection() as other:
                for (reader, speaks), gone in ((one, silent), (other, half)):
                    speaks.write(GET)
                    assert (await asyncio.wait_for(reader.readuntil(b'"error":null}'), 20)).startswith(b"HTTP/1.1 200 ")
                    assert await asyncio.wait_for(gone.read(), 20) == b""
                asks.write(GET)
                assert await asyncio.wait_for(polite.readuntil(b'"error":null}'), 20)


async def test_one_connection_too_many_takes_the_place_of_an_idle_one_or_is_refused() -> None:
    async with (
        served(replace(PATIENT, connections=2)) as hub,
        hub.connection() as (idle, asks),
        hub.connection() as busy,
    ):
        asks.write(GET)
        await idle.readuntil(b'"error":null}')
        busy[1].write(HALF_A_BODY)
        await eventually(lambda: hub.open == 2, every=0.01, what="both")
        async with hub.connection() as (reader, writer):
            writer.write(GET)
            assert (await asyncio.wait_for(reader.readuntil(b'"error":null}'), 20)).startswith(b"HTTP/1.1 200 ")
            assert await asyncio.wait_for(idle.read(), 20) == b""
            writer.write(HALF_A_BODY)
            await eventually(lambda: not any(hub.idle()), within=20, every=0.01, what="both at work")
            async with hub.connection() as (third, _):
                reply = await asyncio.wait_for(third.read(), 20)
                assert refusal(reply) == (503, "ERR_UNAVAILABLE")
                assert b"retry-after: 5" in reply
                assert b"too many connections" in reply


@pytest.mark.parametrize(
    ("half", "answer"),
    [
        (b"", b""),
        (HEAD, b"HTTP/1.1 503 "),
        (GET, b"HTTP/1.1 200 "),
        (b"POST /body HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\n12", b"HTTP/1.1 503 "),
    ],
)
async def test_a_stopping_service_doesnt_wait_for_the_other_half(half: bytes, answer: bytes) -> None:
    async with served(replace(PATIENT, stop_seconds=0.2)) as hub, hub.connection() as (reader, writer):
        writer.write(half)
        await eventually(lambda: hub.open == 1, every=0.01, what="the connection")
        await asyncio.sleep(0.1)
        hub.server.should_exit = True
        began = time.monotonic()
        reply = await asyncio.wait_for(reader.read(), 20)
        await eventually(lambda: not hub.open and not hub.server.server_state.tasks, within=20, what="the end")
    assert time.monotonic() - began < 10
    assert reply[: len(answer)] == answer
    assert bool(reply) == bool(answer)


async def test_a_refusal_is_one_line_in_the_log_that_repeats_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG", logger="uvicorn"), structlog.testing.capture_logs() as lines:
        async with served(QUICK) as hub:
            await hub.exchange(b"secret-nonsense\r\n\r\n")
            await hub.exchange(HEAD + b"Authorization: secret")
    assert [(line["event"], line["code"]) for line in lines] == [
        ("request_refused", "ERR_INVALID_REQUEST"),
        ("request_refused", "ERR_REQUEST_TIMEOUT"),
    ]
    assert "secret" not in caplog.text + repr(lines)
    assert "Invalid HTTP" not in caplog.text
