"""The gateway's HTTP by the byte, and its life as a process."""

import asyncio
import base64
import signal
import time
from collections.abc import AsyncIterator

import httpx2
import pytest

from flickrhub_gateway.settings import GatewaySettings
from tests.integration.gateway.parts import INTERNAL_TOKEN, USER, Gateway, Store, serving
from tests.integration.gateway.processes import start, until_ready
from tests.support.plain_http import NOBODY

GOOD = b'{"method":"flickr.test.echo","user_id":"%s"}' % USER.encode()
HEAD = b"POST /api/v1/flickr/rest HTTP/1.1\r\nHost: hub\r\n"
JSON = b"Content-Type: application/json\r\n"


@pytest.fixture
async def port(gateway: Gateway) -> AsyncIterator[int]:
    async with serving(gateway.app) as port:
        yield port


async def _exchange(port: int, *parts: bytes, end: bool = False) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
        await writer.drain()
    if end:
        writer.write_eof()
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    body = await asyncio.wait_for(reader.readexactly(length), 5)
    writer.close()
    return head + body


def _length(count: int) -> bytes:
    return b"Content-Length: %d\r\n\r\n" % count


@pytest.mark.parametrize(
    ("parts", "status", "code"),
    [
        ([HEAD, JSON, _length(len(GOOD)), GOOD], 202, None),
        ([HEAD, JSON, _length(2 * 1024 * 1024), b"{"], 413, "ERR_PAYLOAD_TOO_LARGE"),
        ([HEAD, JSON, _length(10**17), b"{"], 413, "ERR_PAYLOAD_TOO_LARGE"),
        ([HEAD, JSON, _length(10**30), b"{"], 400, "ERR_INVALID_REQUEST"),
        ([HEAD, JSON, _length(10), GOOD], 400, "ERR_INVALID_REQUEST"),
        (
            [HEAD, JSON, b"Transfer-Encoding: chunked\r\n\r\n", *[b"80000\r\n" + b" " * 0x80000 + b"\r\n"] * 3],
            413,
            "ERR_PAYLOAD_TOO_LARGE",
        ),
        ([HEAD, JSON, b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"], 400, "ERR_INVALID_REQUEST"),
        ([HEAD, _length(len(GOOD)), GOOD], 415, "ERR_UNSUPPORTED_MEDIA_TYPE"),
        ([HEAD, JSON, b"Content-Length: 3\r\n", _length(4), b"{}{}"], 400, "ERR_INVALID_REQUEST"),
        ([HEAD, JSON, b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"], 400, "ERR_INVALID_REQUEST"),
        ([HEAD, JSON, b"Content-Encoding: gzip\r\n", _length(2), b"\x1f\x8b"], 415, "ERR_UNSUPPORTED_MEDIA_TYPE"),
        ([HEAD, JSON, b"Upgrade: websocket\r\nConnection: upgrade\r\n", _length(2), b"{}"], 400, "ERR_INVALID_REQUEST"),
        ([b"BREW / HTTP/1.1\r\nHost: hub\r\n\r\n"], 400, "ERR_INVALID_REQUEST"),
        ([b"GET /\xc3\xbc HTTP/1.1\r\nHost: hub\r\n\r\n"], 400, "ERR_INVALID_REQUEST"),
        ([b"GET /%zz%00 HTTP/1.1\r\nHost: hub\r\n\r\n"], 404, "ERR_NOT_FOUND"),
        ([b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: hub\r\n\r\n"], 431, "ERR_HEADERS_TOO_LARGE"),
        ([b"OPTIONS * HTTP/1.1\r\nHost: hub\r\n\r\n"], 404, "ERR_NOT_FOUND"),
        ([b"nonsense\r\n\r\n"], 400, "ERR_INVALID_REQUEST"),
    ],
)
async def test_whatever_bytes_come_the_reply_is_in_the_envelope(
    port: int, parts: list[bytes], status: int, code: str | None
) -> None:
    reply = await _exchange(port, *parts)
    head, _, body = reply.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), reply[:500]
    assert b"content-type: application/json" in head.lower()
    assert b'"request_id":"' in body
    assert (f'"code":"{code}"' if code else '"error":null').encode() in body


async def test_a_head_request_gets_headers_only(port: int) -> None:
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", verify=NOBODY, trust_env=False) as http:
        reply = await http.head("/health")
    assert (reply.status_code, reply.content) == (200, b"")
    assert reply.headers["x-request-id"]


async def test_a_client_that_goes_away_in_the_middle_of_its_body_disturbs_nobody(
    port: int, store: Store, gateway: Gateway
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HEAD + JSON + _length(100) + b'{"method":')
    await writer.drain()
    writer.transport.abort()
    assert (await _exchange(port, HEAD, JSON, _length(len(GOOD)), GOOD)).startswith(b"HTTP/1.1 202 ")
    assert await store.jobs.count_documents({}) == 1


async def test_sigterm_finishes_what_is_accepted_and_ends_with_0(
    settings: GatewaySettings, store: Store, unused_port: int
) -> None:
    process = await start(settings, unused_port)
    async with httpx2.AsyncClient(
        base_url=f"http://127.0.0.1:{unused_port}", verify=NOBODY, trust_env=False, timeout=10
    ) as http:
        await until_ready(http)
        body = {"method": "flickr.test.echo", "user_id": USER}
        replies = await asyncio.gather(*(http.post("/api/v1/flickr/rest", json=body) for _ in range(50)))
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        output, _ = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0, output.decode()
    assert time.monotonic() - began < 10
    assert await store.published(*(reply.json()["data"]["job_id"] for reply in replies))
    assert output.count(b'"event": "job_accepted"') == 50
    assert b"Traceback" not in output
    for secret in (INTERNAL_TOKEN, settings.encryption_keys.get_secret_value()):
        assert secret.encode() not in output


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("JOB_TTL_COMPLETE_DAYS", "-1"),
        ("CALLBACK_ALLOW_CIDRS", "0.0.0.0/0"),
        ("ENCRYPTION_KEYS", "k1:" + base64.b64encode(b"short").decode()),
        ("SWEEP_INTERVAL_SECONDS", "soon"),
        ("INTERNAL_API_TOKEN", "short"),
    ],
)
async def test_a_bad_setting_ends_it_with_one_line_that_names_the_variable(
    settings: GatewaySettings, unused_port: int, variable: str, value: str
) -> None:
    process = await start(settings, unused_port, **{variable: value})
    output, _ = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    [line] = output.decode().splitlines()
    assert line.startswith(f"{variable}: ")
