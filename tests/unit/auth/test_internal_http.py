"""Auth's internal HTTP API, over the real app with fakes behind it."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from flickrhub_auth.errors import TokenUnreadable
from flickrhub_auth.handlers.http import internal_router
from flickrhub_common.errors import Unavailable, UpstreamFailed
from flickrhub_common.server import make_app
from tests.unit.auth.fakes import VERIFIER, World

TOKEN = "0123456789abcdef-internal"
PAIR = {"api_key": "key-1", "api_secret": "hunter2-secret"}


@asynccontextmanager
async def nothing(_: FastAPI) -> AsyncIterator[None]:
    yield


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    app = make_app(title="auth", description="", lifespan=nothing)
    app.include_router(internal_router(TOKEN))
    app.state.usecases = world.usecases()
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app, raise_app_exceptions=False),
        base_url="http://auth/internal/v1",
        headers={"Authorization": f"Bearer {TOKEN}"},
    ) as client:
        yield client


def data_of(reply: httpx2.Response) -> dict[str, Any]:
    body = reply.json()
    assert reply.status_code == 200, body
    assert body["error"] is None
    assert body["request_id"] == reply.headers["X-Request-ID"] == str(uuid.UUID(body["request_id"]))
    data: dict[str, Any] = body["data"]
    return data


def error_of(reply: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    body = reply.json()
    assert (reply.status_code, body["error"]["code"], body["data"]) == (status, code, None), body
    error: dict[str, Any] = body["error"]
    return error


async def test_the_whole_walk(client: httpx2.AsyncClient) -> None:
    started = data_of(await client.post("/oauth/start", json=PAIR))
    assert set(started) == {"authorize_url", "oauth_token", "state", "mode"}
    assert started["mode"] == "oob"
    proof = {"oauth_token": started["oauth_token"], "oauth_verifier": VERIFIER, "state": started["state"]}
    connected = data_of(await client.post("/oauth/complete", json=proof))
    assert set(connected) == {"user_id"}
    user_id = connected["user_id"]
    assert data_of(await client.get(f"/connections/{user_id}")) == {"user_id": user_id}
    lent = data_of(await client.post(f"/connections/{user_id}/lend"))
    assert set(lent) == {
        "user_id", "api_key", "api_secret", "oauth_token", "oauth_token_secret", "fingerprint", "perms", "nsid",
    }  # fmt: skip
    assert (lent["api_key"], lent["api_secret"]) == (PAIR["api_key"], PAIR["api_secret"])


@pytest.mark.parametrize("credential", ["", "Bearer ", "Bearer wrong", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/oauth/start"),
        ("POST", "/oauth/complete"),
        ("GET", "/connections/user-1"),
        ("POST", "/connections/user-1/lend"),
    ],
)
async def test_nobody_gets_in_without_the_credential(
    client: httpx2.AsyncClient, method: str, path: str, credential: str
) -> None:
    body = {"oauth_token": "t", "oauth_verifier": "v"} if path.endswith("complete") else PAIR
    reply = await client.request(
        method, path, json=body if method == "POST" else None, headers={"Authorization": credential}
    )
    error_of(reply, 401, "ERR_UNAUTHORIZED")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"api_key": None}, "api_key"),
        ({"api_key": 7}, "api_key"),
        ({"api_key": ["key-1"]}, "api_key"),
        ({"api_key": ""}, "api_key"),
        ({"api_key": "   "}, "api_key"),
        ({"api_key": "k" * 257}, "api_key"),
        ({"api_key": "key\n"}, "api_key"),
        ({"api_key": "key\x00"}, "api_key"),
        ({"api_key": "key\x85"}, "api_key"),
        ({"api_secret": "hunter2\x7f"}, "api_secret"),
        ({"api_secret": {"hunter2": 1}}, "api_secret"),
        ({"api_secret": "hunter2" * 100}, "api_secret"),
        ({"surprise": "hunter2"}, "surprise"),
    ],
)
async def test_a_wrong_field_is_named_and_not_repeated(
    client: httpx2.AsyncClient, world: World, change: dict[str, Any], field: str
) -> None:
    reply = await client.post("/oauth/start", json={**PAIR, **change})
    details = error_of(reply, 400, "ERR_INVALID_REQUEST")["details"]
    assert [sentence.split(":")[0] for sentence in details] == [field]
    assert "hunter2" not in reply.text
    assert world.pending.entries == {}


async def test_every_absent_field_is_named(client: httpx2.AsyncClient) -> None:
    details = error_of(await client.post("/oauth/start", json={}), 400, "ERR_INVALID_REQUEST")["details"]
    assert [sentence.split(":")[0] for sentence in details] == ["api_key", "api_secret"]
    details = error_of(await client.post("/oauth/complete", json={}), 400, "ERR_INVALID_REQUEST")["details"]
    assert [sentence.split(":")[0] for sentence in details] == ["oauth_token", "oauth_verifier"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"\xff\xfe",
        b'{"api_key":"\\ud800","api_secret":"hunter2"}',
        b'{"api_key":' + b"[" * 10_000 + b"]" * 10_000 + b',"api_secret":"hunter2"}',
        b'{"api_key":' + b"9" * 5000 + b',"api_secret":"hunter2"}',
        b'{"api_key":NaN,"api_secret":"hunter2"}',
    ],
)
async def test_a_body_that_cannot_be_read_is_refused(client: httpx2.AsyncClient, body: bytes) -> None:
    reply = await client.post("/oauth/start", content=body, headers={"Content-Type": "application/json"})
    error_of(reply, 400, "ERR_INVALID_REQUEST")
    assert "hunter2" not in reply.text


async def test_a_huge_body_is_refused(client: httpx2.AsyncClient) -> None:
    reply = await client.post("/oauth/start", json={**PAIR, "x": "x" * (1024 * 1024)})
    error_of(reply, 413, "ERR_PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize("user_id", ["unknown", "%00", "%FF%FE", "..%2F..", "x" * 5000, "%ED%A0%80", "$where"])
async def test_a_user_id_of_nobody_is_not_found(client: httpx2.AsyncClient, user_id: str) -> None:
    reply = await client.get(f"/connections/{user_id}")
    assert reply.status_code == 404
    reply = await client.post(f"/connections/{user_id}/lend")
    assert reply.status_code == 404


async def test_a_failure_of_flickrs_is_502(client: httpx2.AsyncClient, world: World) -> None:
    world.flickr.failures["request_token"] = UpstreamFailed()
    error_of(await client.post("/oauth/start", json=PAIR), 502, "ERR_UPSTREAM")


async def test_an_absent_store_is_503_and_says_when_to_come_back(client: httpx2.AsyncClient, world: World) -> None:
    world.tokens.away = Unavailable("mongo")
    reply = await client.get("/connections/user-1")
    error_of(reply, 503, "ERR_UNAVAILABLE")
    assert reply.headers["Retry-After"] == "2"


async def test_a_token_that_cannot_be_opened_is_503(client: httpx2.AsyncClient, world: World) -> None:
    world.tokens.away = TokenUnreadable()
    error_of(await client.post("/connections/user-1/lend"), 503, "ERR_UNAVAILABLE")
