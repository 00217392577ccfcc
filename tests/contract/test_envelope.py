"""Contract, section 1: the envelope, request ids and codes, whatever goes wrong."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests.support.envelopes import failure, success
from tests.support.flickrhub_client import FlickrHub
from tests.support.hub_account import Account
from tests.support.plain_http import NOBODY
from tests.support.run_env import needed
from tests.support.simulator import FlickrApp, Simulator

REST = "/api/v1/flickr/rest"
STATUS = "/api/v1/flickr/jobs/status"
CALLS = ("/api/v1/auth/start", "/api/v1/auth/complete", REST, STATUS)


async def test_a_uuid_in_x_request_id_is_kept(hub: FlickrHub) -> None:
    mine = str(uuid.uuid4())
    reply = await hub.http.get("/health/ready", headers={"X-Request-ID": mine})
    success(reply)
    assert reply.json()["request_id"] == mine


@pytest.mark.parametrize("given", ["req-17", "1234", "not a uuid at all", "x" * 5000])
async def test_anything_else_in_x_request_id_is_replaced(hub: FlickrHub, given: str) -> None:
    reply = await hub.http.get("/no/such/page", headers={"X-Request-ID": given})
    failure(reply, 404, "ERR_NOT_FOUND")
    assert reply.json()["request_id"] != given


async def test_every_request_gets_an_id_of_its_own(hub: FlickrHub) -> None:
    replies = [await hub.http.get("/health/ready") for _ in range(5)]
    assert len({reply.json()["request_id"] for reply in replies}) == 5


async def test_an_unknown_address_is_a_404(hub: FlickrHub) -> None:
    failure(await hub.http.get("/api/v1/flickr/nothing"), 404, "ERR_NOT_FOUND")
    failure(await hub.http.post("/api/v2/flickr/rest", json={}), 404, "ERR_NOT_FOUND")


@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_another_http_method_is_a_405_that_names_the_allowed_one(hub: FlickrHub, path: str, method: str) -> None:
    reply = await hub.http.request(method, path)
    failure(reply, 405, "ERR_METHOD_NOT_ALLOWED")
    assert reply.headers["allow"] == "POST"


@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
async def test_a_body_that_is_not_called_json_is_a_415(hub: FlickrHub, path: str, content_type: str) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    failure(await hub.http.post(path, content=b"{}", headers=headers), 415, "ERR_UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("path", CALLS)
async def test_a_charset_behind_the_content_type_is_fine(hub: FlickrHub, path: str) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    failure(await hub.http.post(path, content=b"{}", headers=headers), 400, "ERR_INVALID_REQUEST")


@pytest.mark.parametrize("path", CALLS)
async def test_a_body_over_one_mebibyte_is_a_413(hub: FlickrHub, path: str) -> None:
    body = json.dumps({"filler": "x" * 1024 * 1024})
    reply = await hub.post(path, body, {"Content-Type": "application/json"})
    failure(reply, 413, "ERR_PAYLOAD_TOO_LARGE")


async def test_a_body_over_one_mebibyte_without_a_declared_length_is_a_413(account: Account) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield f'{{"user_id":"{account.user_id}","method":"flickr.test.echo","params":{{"filler":"'.encode()
        for _ in range(17):
            yield b"x" * 65536
        yield b'"}}'

    headers = {"Content-Type": "application/json"}
    reply = await account.hub.http.post(REST, content=chunks(), headers=headers)
    failure(reply, 413, "ERR_PAYLOAD_TOO_LARGE")


async def test_a_body_just_under_one_mebibyte_is_taken(account: Account) -> None:
    body = {"user_id": account.user_id, "method": "flickr.test.echo", "params": {"filler": ""}}
    room = 1024 * 1024 - len(json.dumps(body))
    body["params"] = {"filler": "x" * room}
    text = json.dumps(body)
    assert len(text) == 1024 * 1024
    success(await account.hub.post(REST, text, {"Content-Type": "application/json"}), 202)


async def test_what_is_not_even_http_gets_the_envelope_too() -> None:
    url = httpx2.URL(needed("GATEWAY_URL"))
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(b"\x16\x03\x01\x02\x00\x01nonsense\r\n\r\n")
    raw = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    head, _, body = raw.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert json.loads(body)["error"]["code"] == "ERR_INVALID_REQUEST"


async def test_an_unknown_connection_is_a_404_of_its_own(hub: FlickrHub) -> None:
    reply = await hub.enqueue(method="flickr.test.echo", user_id=str(uuid.uuid4()))
    failure(reply, 404, "ERR_TOKEN_NOT_FOUND")


async def test_a_used_or_wrong_oauth_token_is_an_invalid_state(hub: FlickrHub) -> None:
    failure(await hub.complete("72157600000000000-0123456789abcdef", "123-456-789"), 400, "ERR_INVALID_STATE")


async def test_the_inner_http_lets_only_services_in() -> None:
    async with httpx2.AsyncClient(base_url=needed("AUTH_URL"), timeout=10, verify=NOBODY, trust_env=False) as auth:
        path = f"/internal/v1/connections/{uuid.uuid4()}"
        failure(await auth.get(path), 401, "ERR_UNAUTHORIZED")
        wrong = {"Authorization": "Bearer not-the-token"}
        failure(await auth.post(f"{path}/lend", headers=wrong), 401, "ERR_UNAUTHORIZED")
        right = {"Authorization": f"Bearer {needed('INTERNAL_API_TOKEN')}"}
        failure(await auth.get(path, headers=right), 404, "ERR_TOKEN_NOT_FOUND")


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 503}, {"body": "<html>no</html>"}, {"drop": "before"}])
async def test_a_failing_oauth_endpoint_of_flickr_is_a_502(
    hub: FlickrHub, sim: Simulator, app: FlickrApp, fault: dict[str, Any]
) -> None:
    await sim.order({"kind": "oauth", "api_key": app.api_key}, **fault)
    failure(await hub.start(app.api_key, app.api_secret), 502, "ERR_UPSTREAM")
    success(await hub.start(app.api_key, app.api_secret))


async def test_no_reply_reveals_the_server_software(hub: FlickrHub) -> None:
    for path in ("/health", "/nothing", "/api/v1/auth/callback"):
        reply = await hub.http.get(path)
        assert "server" not in reply.headers
        assert "x-powered-by" not in reply.headers


async def test_openapi_describes_every_call_with_its_errors(hub: FlickrHub) -> None:
    described = (await hub.http.get("/openapi.json")).raise_for_status().json()
    expected = {*CALLS, "/api/v1/auth/callback", "/health", "/health/ready"}
    assert expected <= set(described["paths"])
    for path in CALLS:
        assert "400" in described["paths"][path]["post"]["responses"], path
    assert "202" in described["paths"][REST]["post"]["responses"]
