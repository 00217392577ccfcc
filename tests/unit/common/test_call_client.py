"""The quick client: what goes out, what comes in, and what is known when nothing did. Real sockets on loopback."""

import asyncio
import gzip
import socket
import ssl
import zlib
from pathlib import Path

import pytest

from flickrhub_common.call_client import (
    HEAD_BYTES,
    BrokenOff,
    CallClient,
    CallFailure,
    NotSent,
    ReplyTooLong,
    make_call_client,
)
from tests.support.certificates import self_signed
from tests.support.listening import listening
from tests.support.raw_server import OK, RawServer, Writes, hang_up, reset
from tests.unit.common.test_guarded_client import listener

BIG = 100_000


async def call(client: CallClient, port: int, method: str = "GET", *, most: int = BIG, unpack: bool = True) -> bytes:
    url = f"http://127.0.0.1:{port}/"
    async with client.call(method, url, headers={}, body=b"{}" if method == "POST" else None) as reply:
        return await reply.whole(most_bytes=most, unpack=unpack)


async def answered(answer: bytes | tuple[bytes, Writes], *, most: int = BIG, seconds: float = 5) -> bytes:
    """What a call makes of this answer."""
    async with (
        listening(RawServer(answer)) as port,
        make_call_client(timeout_seconds=5) as client,
        asyncio.timeout(seconds),
    ):
        return await call(client, port, most=most)


def coded(body: bytes, coding: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def test_the_url_the_headers_and_the_body_go_out_just_as_given() -> None:
    server = RawServer(OK)
    path = "/%7e~%2F%2f'()*!/a%20b+c?q=%e6%97&x=a+b%20~&empty=&y"
    async with listening(server) as port, make_call_client(timeout_seconds=5) as client:
        headers = {"X-Odd-Name": 'OAuth a="b%20", c="d"', "Content-Type": "text/x"}
        async with client.call("POST", f"http://127.0.0.1:{port}{path}", headers=headers, body=b"a=%7e&b=~") as reply:
            assert (reply.status, await reply.whole(most_bytes=10)) == (200, b"ok")
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == f"POST {path} HTTP/1.1"
    assert body == b"a=%7e&b=~"
    expected = {
        f"Host: 127.0.0.1:{port}",
        "User-Agent: FlickrHub/0.1",
        "Accept: */*",
        "Accept-Encoding: identity",
        'X-Odd-Name: OAuth a="b%20", c="d"',
        "Content-Type: text/x",
        "Content-Length: 9",
    }
    assert set(lines[1:]) == expected


async def test_a_body_without_a_type_is_sent_without_one() -> None:
    server = RawServer(OK)
    async with listening(server) as port, make_call_client(timeout_seconds=5) as client:
        await call(client, port, "POST")
    assert b"content-type" not in server.requests[0].lower()


async def test_a_connection_is_kept_for_the_next_call_and_cookies_are_not() -> None:
    server = RawServer(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n")
    async with listening(server) as port, make_call_client(timeout_seconds=5) as client:
        for _ in range(3):
            await call(client, port)
    assert server.connections == 1
    assert not any(b"cookie" in request.lower() for request in server.requests)


async def test_a_redirect_is_an_answer_like_any_other() -> None:
    server = RawServer(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 4\r\n\r\ngone")
    async with listening(server) as port, make_call_client(timeout_seconds=5) as client:
        assert await call(client, port) == b"gone"
    assert len(server.requests) == 1


@pytest.mark.parametrize("after", [hang_up, reset])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
async def test_a_request_whose_kept_connection_ends_unanswered_is_never_sent_again(method: str, after: Writes) -> None:
    server = RawServer(OK, (b"", after), OK)
    async with listening(server) as port, make_call_client(timeout_seconds=5) as client:
        await call(client, port)
        with pytest.raises(BrokenOff):
            await call(client, port, method)
        assert len(server.requests) == 2
        assert await call(client, port) == b"ok"


async def test_a_kept_connection_that_has_ended_unseen_by_a_busy_loop_is_not_used() -> None:
    server = RawServer(OK)
    async with listening(server) as port, make_call_client(timeout_seconds=5) as client:
        await call(client, port)
        server.writers[0].transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)  # no turn of the loop follows
        assert await call(client, port, "POST") == b"ok"
    assert (server.connections, len(server.requests)) == (2, 2)


async def test_what_came_unasked_over_a_kept_connection_is_never_the_answer_to_a_later_call() -> None:
    more = asyncio.Event()

    async def second_answer(writer: asyncio.StreamWriter) -> None:
        await more.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
        await writer.drain()

    server = RawServer((OK, second_answer), OK)
    async with listening(server) as port, make_call_client(timeout_seconds=5) as client:
        assert await call(client, port) == b"ok"
        more.set()
        await asyncio.sleep(0.05)
        assert await call(client, port) == b"ok"
    assert server.connections == 2


async def test_nothing_was_sent_where_nobody_listens() -> None:
    async with listening(RawServer(OK)) as port:
        pass
    async with make_call_client(timeout_seconds=5) as client:
        with pytest.raises(NotSent) as raised:
            await call(client, port)
    assert raised.value.reason == "connection_refused"


async def test_nothing_was_sent_to_a_name_without_address() -> None:
    async with make_call_client(timeout_seconds=5) as client:
        with pytest.raises(NotSent) as raised:
            await client.call("GET", "http://no-such-name.invalid/", headers={}).__aenter__()
    assert raised.value.reason == "dns_error"


async def test_nothing_was_sent_while_every_connection_was_in_use() -> None:
    blocked = asyncio.Event()

    async def wait(_: asyncio.StreamWriter) -> None:
        await blocked.wait()

    async with (
        listening(RawServer((b"HTTP/1.1 200 OK\r\n", wait))) as port,
        make_call_client(timeout_seconds=5, connect_seconds=0.05, max_connections=1) as client,
    ):
        first = asyncio.create_task(call(client, port))
        await asyncio.sleep(0.02)
        with pytest.raises(NotSent) as raised:
            await call(client, port)
        first.cancel()
    assert raised.value.reason == "timeout"


async def test_nothing_was_sent_to_whom_the_certificate_does_not_name(tmp_path: Path) -> None:
    certificate, context = self_signed(tmp_path, "somebody.example")
    trusting = ssl.create_default_context(cafile=str(certificate))
    async with (
        listener(RawServer(OK), tls=context) as port,
        make_call_client(timeout_seconds=5, tls=trusting) as client,
    ):
        with pytest.raises(NotSent) as raised:
            await client.call("GET", f"https://localhost:{port}/", headers={}).__aenter__()
    assert raised.value.reason == "tls_error"


async def test_tls_is_spoken_with_whom_the_certificate_names(tmp_path: Path) -> None:
    certificate, context = self_signed(tmp_path, "localhost")
    trusting = ssl.create_default_context(cafile=str(certificate))
    async with (
        listener(RawServer(OK), tls=context) as port,
        make_call_client(timeout_seconds=5, tls=trusting) as client,
    ):
        for _ in range(2):
            async with client.call("GET", f"https://localhost:{port}/", headers={}) as reply:
                assert await reply.whole(most_bytes=10) == b"ok"


WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDS = {
    "without a word": (b"", hang_up, "protocol_error"),
    "reset without a word": (b"", reset, "connection_reset"),
    "half the headers": (b"HTTP/1.1 200 OK\r\nA:", hang_up, "protocol_error"),
    "half the headers, reset": (b"HTTP/1.1 200 OK\r\nA:", reset, "connection_reset"),
    "half the body": (WHOLE, hang_up, "protocol_error"),
    "half the body, reset": (WHOLE, reset, "connection_reset"),
    "half a chunk": (CHUNKED + b"9\r\nhal", hang_up, "protocol_error"),
    "half a chunk, reset": (CHUNKED + b"9\r\nhal", reset, "connection_reset"),
}


@pytest.mark.parametrize(("answer", "after", "reason"), ENDS.values(), ids=ENDS)
async def test_an_answer_that_ends_too_early_is_broken_off(answer: bytes, after: Writes, reason: str) -> None:
    async def ends(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.02)  # for the half to be read: a reset would throw it away
        await after(writer)

    with pytest.raises(BrokenOff) as raised:
        await answered((answer or b"HTTP", ends) if answer else (b"", ends))
    assert raised.value.reason == reason


NOT_HTTP = {
    "no HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
    "no status": b"HTTP/1.1 abc OK\r\n\r\n",
    "odd length": b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "odd chunk": CHUNKED + b"zz\r\nabc\r\n",
    "odd coding": coded(b"this is no gzip", "gzip"),
    "half of what was packed": coded(gzip.compress(b"x" * 1000)[:-9], "gzip"),
    "long line": b"HTTP/1.1 200 " + b"x" * BIG + b"\r\n\r\n",
    "long header": b"HTTP/1.1 200 OK\r\nA: " + b"x" * BIG + b"\r\n\r\n",
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 10_000 + b"\r\n",
    "trailers": CHUNKED + b"0\r\n" + b"A: b\r\n" * 10_000 + b"\r\n",
}


@pytest.mark.parametrize("answer", NOT_HTTP.values(), ids=NOT_HTTP)
async def test_what_is_no_http_or_too_much_of_it_is_broken_off(answer: bytes) -> None:
    with pytest.raises(BrokenOff) as raised:
        await answered(answer)
    assert raised.value.reason == "protocol_error"


ENDLESS = {"interim": b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n" * 100, "headers": b"A: b\r\n" * 100}
ENDLESS_BODIES = {"framing": b"1;" + b"x" * 8000 + b"\r\nx\r\n", "body": b"2000\r\n" + b"x" * 0x2000 + b"\r\n"}


@pytest.mark.parametrize(
    ("begins", "goes_on"),
    [
        *((b"" if name == "interim" else b"HTTP/1.1 200 OK\r\n", part) for name, part in ENDLESS.items()),
        *((CHUNKED, part) for part in ENDLESS_BODIES.values()),
    ],
    ids=[*ENDLESS, *ENDLESS_BODIES],
)
async def test_a_reply_without_end_is_broken_off_at_the_limit_of_bytes(begins: bytes, goes_on: bytes) -> None:
    sent = 0

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        while True:
            writer.write(goes_on)
            await writer.drain()
            sent += len(goes_on)

    with pytest.raises(BrokenOff):
        await answered((begins or goes_on, flood), most=100 * HEAD_BYTES)
    assert sent < 40 * HEAD_BYTES  # what the sockets hold comes on top


@pytest.mark.parametrize("length", [0, 1, 10, 1_000_000])
async def test_a_body_is_read_up_to_its_limit_and_not_a_byte_further(length: int) -> None:
    answer = f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode() + b"x" * length
    async with (
        listening(RawServer(answer)) as port,
        make_call_client(timeout_seconds=5, most_reply_bytes=2_000_000) as client,
    ):
        assert await call(client, port, most=length) == b"x" * length
        if length:
            with pytest.raises(ReplyTooLong):
                await call(client, port, most=length - 1)
        async with client.call("GET", f"http://127.0.0.1:{port}/", headers={}) as reply:
            assert await reply.beginning(most_bytes=5) == b"x" * min(length, 5)


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip.compress(b"hello")),
        ("X-GZIP", gzip.compress(b"hello")),
        ("deflate", zlib.compress(b"hello")),
        ("deflate", zlib.compress(b"hello")[2:-4]),
        ("identity", b"hello"),
    ],
    ids=["gzip", "x-gzip", "zlib", "bare", "identity"],
)
async def test_what_is_packed_is_unpacked_when_asked_for(coding: str, packed: bytes) -> None:
    assert await answered(coded(packed, coding)) == b"hello"
    async with listening(RawServer(coded(packed, coding))) as port, make_call_client(timeout_seconds=5) as client:
        assert await call(client, port, unpack=False) == packed


async def test_a_bomb_is_left_at_the_limit() -> None:
    with pytest.raises(ReplyTooLong):
        await answered(coded(gzip.compress(b"\0" * 50_000_000, 1), "gzip"), most=10_000_000)


async def test_the_deadline_of_the_caller_ends_a_reply_that_drips_and_its_connection() -> None:
    hung_up = asyncio.Event()

    async def drip(writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.transport.is_closing():
                writer.write(b"1\r\nx\r\n")
                await asyncio.sleep(0.01)
        finally:
            hung_up.set()

    async with listening(RawServer((CHUNKED, drip))) as port, make_call_client(timeout_seconds=5) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await call(client, port)
        async with asyncio.timeout(5):
            await hung_up.wait()


async def test_an_error_says_nothing_of_where_it_was_going() -> None:
    async with make_call_client(timeout_seconds=5) as client:
        with pytest.raises(CallFailure) as raised:
            await client.call("GET", "http://secret.invalid/?token=hidden", headers={}).__aenter__()
    assert str(raised.value) == raised.value.reason
