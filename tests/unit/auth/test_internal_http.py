"""Auth's internal HTTP API, over the real app with fakes behind it."""

import hmac
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from fastapi import APIRouter, FastAPI

from flickrhub_auth.errors import TokenUnreadable
from flickrhub_auth.handlers.http import internal_router
from flickrhub_auth.settings import AuthSettings
from flickrhub_auth.wiring import build_app
from flickrhub_common import problems
from flickrhub_common.errors import Unavailable, UpstreamFailed
from flickrhub_common.server import make_app
from tests.unit.auth.fakes import VERIFIER, World

TOKEN = "0123456789abcdef-internal"
NEEDED = {
    "mongo_url": "mongodb://127.0.0.1",
    "internal_api_token": TOKEN,
    "encryption_keys": "k1:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
}
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


async def test_who_has_the_credential_is_told_that_auth_lives_and_nobody_else(client: httpx2.AsyncClient) -> None:
    assert data_of(await client.get("/health")) == {"status": "ok"}
    client.headers["authorization"] = "Bearer of-another-installation"
    error_of(await client.get("/health"), 401, "ERR_UNAUTHORIZED")


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


def _routes(routes: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """Method and path of every route, those of included routers too."""
    for route in routes:
        if hasattr(route, "original_router"):
            yield from _routes(route.original_router.routes)
        else:
            yield from ((method, route.path) for method in route.methods)


async def _open_to_strangers(app: FastAPI) -> set[str]:
    """The paths that answer anything but 401 without the credential."""
    app.state.checks = {}
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://auth") as client:
        return {
            path
            for method, path in _routes(app.routes)
            if (await client.request(method, path.replace("{user_id}", "user-1"), json={})).status_code != 401
        }


async def test_every_route_but_health_is_guarded() -> None:
    app = build_app(AuthSettings.model_validate(NEEDED))
    assert {"/internal/v1/oauth/start", "/internal/v1/connections/{user_id}/lend"} <= {
        p for _, p in _routes(app.routes)
    }
    assert await _open_to_strangers(app) == {"/health", "/health/ready"}


async def test_a_route_without_its_guard_would_be_noticed() -> None:
    app, forgotten = FastAPI(openapi_url=None, docs_url=None, redoc_url=None), APIRouter()
    forgotten.get("/internal/v1/forgotten")(lambda: None)
    app.include_router(forgotten)
    assert await _open_to_strangers(app) == {"/internal/v1/forgotten"}


async def test_a_missing_credential_and_a_wrong_one_get_the_same_answer(client: httpx2.AsyncClient) -> None:
    del client.headers["authorization"]
    same = {"X-Request-ID": str(uuid.uuid4())}
    wrong = [{}, *({"Authorization": value} for value in ("Bearer", "Bearer x", f"Bearer {TOKEN[:-1]}", "\u00fc" * 40))]
    replies = [
        await client.get(
            "/connections/user-1", headers=[(k.encode(), v.encode("latin-1")) for k, v in (one | same).items()]
        )
        for one in wrong
    ]
    assert {reply.status_code for reply in replies} == {401}
    assert len({(reply.content, tuple(sorted(reply.headers.items()))) for reply in replies}) == 1


async def test_the_credential_is_compared_in_constant_time(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[object, object]] = []

    def compare(given: bytes, expected: bytes) -> bool:
        compared.append((given, expected))
        return hmac.compare_digest(given, expected)

    monkeypatch.setattr(problems, "hmac", SimpleNamespace(compare_digest=compare))
    await client.get("/connections/user-1", headers={"Authorization": "Bearer x"})
    assert compared == [(b"Bearer x", f"Bearer {TOKEN}".encode())]


async def test_two_credentials_are_none(client: httpx2.AsyncClient) -> None:
    headers = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", "Bearer x")]
    del client.headers["authorization"]
    error_of(await client.get("/connections/user-1", headers=headers), 401, "ERR_UNAUTHORIZED")


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
