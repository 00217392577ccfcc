"""The OAuth walk as clients see it; auth makes it."""

import asyncio

import httpx2
import pytest

from flickrhub_common.errors import HubError, InvalidState, RateLimited, Unavailable, UpstreamFailed
from flickrhub_gateway.adapters.auth import HttpAuth
from tests.unit.gateway.conftest import Logged
from tests.unit.gateway.fakes import STRANGER, USER, Surroundings

START = {"api_key": "key", "api_secret": "app-secret"}
COMPLETE = {"oauth_token": "t-1", "oauth_verifier": "123-456-789"}


async def test_starting_answers_its_fields_twice(http: httpx2.AsyncClient) -> None:
    body = (await http.post("/api/v1/auth/start", json=START)).json()
    fields = {"authorize_url": "https://flickr/authorize", "oauth_token": "t-1", "state": "s-1", "mode": "oob"}
    assert body == {**fields, "request_id": body["request_id"], "data": fields, "error": None}


async def test_completing_answers_its_fields_twice(http: httpx2.AsyncClient, around: Surroundings) -> None:
    body = (await http.post("/api/v1/auth/complete", json={**COMPLETE, "state": "s-1"})).json()
    assert body == {"user_id": USER, "request_id": body["request_id"], "data": {"user_id": USER}, "error": None}
    assert around.auth.walks == [{**COMPLETE, "state": "s-1"}]


async def test_the_callback_takes_the_query_and_answers_its_fields_twice(
    http: httpx2.AsyncClient, around: Surroundings
) -> None:
    query = {**COMPLETE, "somebody": "else's"}
    body = (await http.get("/api/v1/auth/callback", params=query)).json()
    fields = {"status": "ok", "user_id": USER}
    assert body == {**fields, "request_id": body["request_id"], "data": fields, "error": None}
    assert around.auth.walks == [{**COMPLETE, "state": None}]


async def test_a_callback_that_names_two_tokens_is_refused(http: httpx2.AsyncClient, around: Surroundings) -> None:
    query = {**COMPLETE, "somebody": ["1", "2"], "oauth_token": ["t-1", "t-2"]}
    reply = await http.get("/api/v1/auth/callback", params=query)
    assert (reply.status_code, reply.json()["error"]["details"]) == (400, ["oauth_token: is given twice"])
    assert around.auth.walks == []


@pytest.mark.parametrize(
    ("failure", "status", "retry_after"),
    [
        (InvalidState(), 400, None),
        (UpstreamFailed(), 502, None),
        (RateLimited(retry_after=9), 429, "9"),
        (Unavailable("auth"), 503, "2"),
    ],
)
async def test_what_auth_says_is_passed_on(
    http: httpx2.AsyncClient, around: Surroundings, failure: HubError, status: int, retry_after: str | None
) -> None:
    around.auth.failure = failure
    for reply in (
        await http.post("/api/v1/auth/start", json=START),
        await http.post("/api/v1/auth/complete", json=COMPLETE),
        await http.get("/api/v1/auth/callback", params=COMPLETE),
    ):
        assert (reply.status_code, reply.json()["error"]["code"]) == (status, failure.code)
        assert reply.json()["data"] is None
        assert reply.headers.get("retry-after") == retry_after


async def test_an_auth_that_waits_for_flickr_is_waited_for(http: httpx2.AsyncClient, around: Surroundings) -> None:
    around.auth.hold = asyncio.Event()
    post = asyncio.create_task(http.post("/api/v1/auth/start", json=START))
    await asyncio.sleep(0.2)
    assert not post.done()
    around.auth.hold.set()
    assert (await post).status_code == 200


async def test_an_auth_that_has_stopped_answering_is_away(http: httpx2.AsyncClient, around: Surroundings) -> None:
    around.auth.hold, around.auth.dead = asyncio.Event(), True
    reply = await asyncio.wait_for(http.post("/api/v1/auth/start", json=START), 3)
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "ERR_UNAVAILABLE")


async def test_no_secret_of_the_walk_is_logged(http: httpx2.AsyncClient, logged: Logged, around: Surroundings) -> None:
    around.auth.failure = UpstreamFailed()
    await http.post("/api/v1/auth/start", json=START)
    await http.post("/api/v1/auth/complete", json=COMPLETE)
    assert "app-secret" not in repr(logged)
    assert "123-456-789" not in repr(logged)


def _auth(answer: httpx2.Response | Exception, seen: list[httpx2.Request] | None = None) -> HttpAuth:
    def handle(request: httpx2.Request) -> httpx2.Response:
        if seen is not None:
            seen.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    client = httpx2.AsyncClient(transport=httpx2.MockTransport(handle), base_url="http://auth")
    return HttpAuth(client, token="internal-token")


def _failure(status: int, code: str, **more: object) -> httpx2.Response:
    error = {"code": code, "message": "Auth's words.", **more}
    return httpx2.Response(status, json={"request_id": STRANGER, "data": None, "error": error})


async def test_auth_is_shown_the_credential_in_a_header() -> None:
    seen: list[httpx2.Request] = []
    found = httpx2.Response(200, json={"request_id": STRANGER, "data": {"user_id": USER}, "error": None})
    assert await _auth(found, seen).knows(USER)
    assert seen[0].headers["authorization"] == "Bearer internal-token"
    assert seen[0].url.path == f"/internal/v1/connections/{USER}"


async def test_auth_doesnt_know_a_user() -> None:
    assert not await _auth(_failure(404, "ERR_TOKEN_NOT_FOUND")).knows(USER)


@pytest.mark.parametrize(
    ("answer", "status", "code", "message"),
    [
        (_failure(400, "ERR_INVALID_REQUEST", details=["a: b"]), 400, "ERR_INVALID_REQUEST", "Auth's words."),
        (_failure(400, "ERR_INVALID_STATE"), 400, "ERR_INVALID_STATE", "Auth's words."),
        (_failure(409, "ERR_CONFLICT"), 409, "ERR_CONFLICT", "Auth's words."),
        (_failure(502, "ERR_UPSTREAM"), 502, "ERR_UPSTREAM", "Auth's words."),
        (_failure(503, "ERR_UNAVAILABLE"), 503, "ERR_UNAVAILABLE", Unavailable("auth").message),
        (_failure(401, "ERR_UNAUTHORIZED"), 500, "ERR_INTERNAL", HubError().message),
        (_failure(404, "ERR_NOT_FOUND"), 500, "ERR_INTERNAL", HubError().message),
        (_failure(500, "ERR_INTERNAL"), 500, "ERR_INTERNAL", HubError().message),
        (httpx2.Response(502, text="<h1>Bad Gateway</h1>"), 503, "ERR_UNAVAILABLE", Unavailable("auth").message),
        (httpx2.Response(200, json=[]), 503, "ERR_UNAVAILABLE", Unavailable("auth").message),
        (httpx2.ConnectError("refused"), 503, "ERR_UNAVAILABLE", Unavailable("auth").message),
        (httpx2.ReadTimeout("slow"), 503, "ERR_UNAVAILABLE", Unavailable("auth").message),
    ],
)
async def test_auths_answers_become_our_errors(
    answer: httpx2.Response | Exception, status: int, code: str, message: str
) -> None:
    with pytest.raises(HubError) as raised:
        await _auth(answer).complete(oauth_token="t", oauth_verifier="v", state=None)
    assert (raised.value.status, raised.value.code, raised.value.message) == (status, code, message)


async def test_details_and_the_time_to_wait_come_through() -> None:
    with pytest.raises(HubError) as invalid:
        await _auth(_failure(400, "ERR_INVALID_REQUEST", details=["a: b"])).start(api_key="k", api_secret="s")
    assert invalid.value.details == ["a: b"]
    limited = _failure(429, "ERR_RATE_LIMITED")
    limited.headers["retry-after"] = "7"
    with pytest.raises(RateLimited) as waiting:
        await _auth(limited).start(api_key="k", api_secret="s")
    assert waiting.value.retry_after == 7


@pytest.mark.parametrize("answer", [httpx2.Response(503), httpx2.Response(401), httpx2.ConnectError("refused")])
async def test_an_auth_that_isnt_well_doesnt_answer_a_ping(answer: httpx2.Response | Exception) -> None:
    with pytest.raises(Unavailable):
        await _auth(answer).ping()
