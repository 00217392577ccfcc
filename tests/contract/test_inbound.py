"""What strangers may not do to the gateway: reach the inside, flood it, occupy it. By the byte."""

import asyncio
import json

import pytest
from yarl import URL

from tests.support.flickrhub_client import FlickrHub
from tests.support.run_env import needed

LOST = "09b4e414-4f70-4226-9ee8-f9e815fc2539"
HOST = b"Host: hub\r\n"
LEND = b"/internal/v1/connections/" + LOST.encode() + b"/lend"


async def exchange(*parts: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the first reply to these bytes."""
    gateway = URL(needed("GATEWAY_URL"))
    reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)
        }
        body = await asyncio.wait_for(reader.readexactly(int(headers["content-length"])), 10)
    finally:
        writer.transport.abort()
    return int(lines[0].split()[1]), headers, body


@pytest.mark.parametrize("method", [b"GET", b"POST"])
@pytest.mark.parametrize(
    "target",
    [
        LEND,
        b"/api/v1/auth/.." + LEND,
        b"/api/v1/auth/../.." + LEND,
        b"/api/v1/auth/%2e%2e%2f" + LEND[1:],
        b"/api/v1/auth/..%2f..%2f..%2f.." + LEND.replace(b"/", b"%2f"),
        b"/api/v1/auth/%2e%2e/%2e%2e/%2e%2e" + LEND,
        b"/api/v1/auth/start/../../../.." + LEND,
        b"/api/v1/auth/start;/.." + LEND,
        b"/api/v1/auth/start%3f/.." + LEND,
        b"/api/v1/auth/..%5c..%5cinternal%5cv1",
        b"//" + LEND,
        b"/%2finternal/v1/oauth/start",
        b"http://127.0.0.1:3101" + LEND,
        b"http://auth:3101" + LEND,
        b"*",
    ],
)
async def test_no_path_leads_through_the_gateway_to_the_inside(method: bytes, target: bytes) -> None:
    inside = URL(needed("AUTH_URL"))
    for host in (b"hub", f"{inside.host}:{inside.port}".encode()):
        status, _, body = await exchange(
            method + b" " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n"
            b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        )
        assert status in {400, 404, 405}
        assert json.loads(body)["error"]["code"] in {"ERR_INVALID_REQUEST", "ERR_NOT_FOUND", "ERR_METHOD_NOT_ALLOWED"}


@pytest.mark.parametrize("user_id", ["../oauth/start", f"{LOST}/lend", f"{LOST}/../{LOST}", f"{LOST}?x=1", "..%2flend"])
async def test_no_user_id_leads_to_another_internal_address(hub: FlickrHub, user_id: str) -> None:
    reply = await hub.http.post("/api/v1/flickr/rest", json={"method": "flickr.test.echo", "user_id": user_id})
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "ERR_TOKEN_NOT_FOUND")


def _json(body: bytes) -> bytes:
    head = b"POST /api/v1/flickr/rest HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        (_json(b"[" * 1024**2), 400, "ERR_INVALID_REQUEST"),
        (_json(b'{"params":' * 100_000), 400, "ERR_INVALID_REQUEST"),
        (_json(b'{"meta":' + b"[" * 40 + b"]" * 40 + b"}"), 400, "ERR_INVALID_REQUEST"),
        (_json(b'{"params":{"a":' + b"9" * 1_000_000 + b"}}"), 400, "ERR_INVALID_REQUEST"),
        (_json(b'{"params":{"a":1e' + b"9" * 1_000_000 + b"}}"), 400, "ERR_INVALID_REQUEST"),
        (_json(b'{"user_id":"a","user_id":"b"}'), 400, "ERR_INVALID_REQUEST"),
        (_json('{"method":"flickr.test.echo"}'.encode("utf-16")), 400, "ERR_INVALID_REQUEST"),
        (_json(b'{"params":{"a":"\\ud800"}}'), 400, "ERR_INVALID_REQUEST"),
        (_json(b'{"params":{"a":"\\u0000"}}'), 400, "ERR_INVALID_REQUEST"),
        (_json(b" " * (1024**2 + 1)), 413, "ERR_PAYLOAD_TOO_LARGE"),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 100 * 1024 + b"\r\n\r\n", 431, "ERR_HEADERS_TOO_LARGE"),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 10_000 + b"\r\n", 431, "ERR_HEADERS_TOO_LARGE"),
        (b"GET /" + b"a" * 1024**2 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 431, "ERR_HEADERS_TOO_LARGE"),
    ],
    ids=[
        *(
            "nested arrays",
            "nested objects",
            "nested meta",
            "digits",
            "exponent",
            "twice",
            "utf-16",
            "surrogate",
            "nul",
        ),
        *("body", "header", "headers", "line"),
    ],
)
async def test_whatever_is_too_much_is_refused_quickly_in_the_envelope(
    request_bytes: bytes, status: int, code: str
) -> None:
    async with asyncio.timeout(10):
        found, headers, body = await exchange(request_bytes)
    assert (found, json.loads(body)["error"]["code"]) == (status, code)
    assert headers["x-request-id"] == json.loads(body)["request_id"]


async def test_every_reply_says_how_its_client_stands_but_those_of_probes(hub: FlickrHub) -> None:
    replies = [await hub.http.get(path) for path in ("/", "/nowhere", "/health", "/health/ready")]
    assert [("ratelimit-remaining" in reply.headers) for reply in replies] == [True, True, False, False]
    assert int(replies[0].headers["ratelimit-remaining"]) < int(replies[0].headers["ratelimit-limit"])
    assert int(replies[0].headers["ratelimit-reset"]) in range(1, 61)


async def test_every_reply_has_its_security_headers_and_no_server(hub: FlickrHub) -> None:
    for reply in (
        await hub.http.get("/docs"),
        await hub.http.get("/health"),
        await hub.http.post("/api/v1/flickr/rest"),
    ):
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
        assert "server" not in reply.headers
        assert not [name for name in reply.headers if name.startswith("access-control-")]
