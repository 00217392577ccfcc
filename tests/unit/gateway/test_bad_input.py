"""Bad input, and what it gets: a 4xx in the envelope, every wrong field named, nothing stored, nothing repeated."""

import gzip
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests.unit.gateway.fakes import USER, Surroundings

REST = "/api/v1/flickr/rest"
STATUS = "/api/v1/flickr/jobs/status"
JSON = {"content-type": "application/json"}
GOOD: dict[str, Any] = {"method": "flickr.test.echo", "params": {"name": "test"}, "user_id": USER}
SECRET = "a-secret-nobody-may-see"


def _refused(reply: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    body: dict[str, Any] = reply.json()
    assert (reply.status_code, body["error"]["code"]) == (status, code), reply.text
    assert set(body) == {"request_id", "data", "error"}
    assert body["data"] is None
    assert uuid.UUID(body["request_id"])
    assert reply.headers["x-request-id"] == body["request_id"]
    return body


async def _details(http: httpx2.AsyncClient, path: str, body: Any) -> list[str]:
    refused = _refused(await http.post(path, json=body), 400, "ERR_INVALID_REQUEST")
    details: list[str] = refused["error"]["details"]
    return details


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"method": None}, "method: is required"),
        ({"method": 7}, "method: must be a string"),
        ({"method": ""}, "method: must look like flickr.photos.search, with at most 128 characters"),
        ({"method": "flickr"}, "method: must look like flickr.photos.search, with at most 128 characters"),
        ({"method": "flickr.test.echo\n"}, "method: must look like flickr.photos.search, with at most 128 characters"),
        ({"method": "flickr..echo"}, "method: must look like flickr.photos.search, with at most 128 characters"),
        ({"method": "picasa.test.echo"}, "method: must look like flickr.photos.search, with at most 128 characters"),
        ({"method": "flickr." + "a" * 122}, "method: must look like flickr.photos.search, with at most 128 characters"),
        ({"params": None}, "params: must be an object"),
        ({"params": []}, "params: must be an object"),
        ({"params": "name=test"}, "params: must be an object"),
        ({"params": {"a": None}}, "params.a: must be a string, number, boolean or a list of these"),
        ({"params": {"a": {}}}, "params.a: must be a string, number, boolean or a list of these"),
        ({"params": {"a": [["b"]]}}, "params.a: must be a string, number, boolean or a list of these"),
        ({"params": {"a": [None]}}, "params.a: must be a string, number, boolean or a list of these"),
        ({"params": {"method": "x"}}, "params.method: is set by the hub and can't be given"),
        ({"params": {"format": "xml"}}, "params.format: is set by the hub and can't be given"),
        ({"params": {"nojsoncallback": 1}}, "params.nojsoncallback: is set by the hub and can't be given"),
        ({"params": {"api_key": "x"}}, "params.api_key: is set by the hub and can't be given"),
        ({"params": {"oauth_token": "x"}}, "params.oauth_token: is set by the hub and can't be given"),
        ({"params": {"OAuth_x": "x"}}, "params.OAuth_x: is set by the hub and can't be given"),
        ({"params": {"api_sig": "x"}}, "params.api_sig: is set by the hub and can't be given"),
        ({"params": {"auth_token": "x"}}, "params.auth_token: is set by the hub and can't be given"),
        ({"params": {"jsoncallback": "x"}}, "params.jsoncallback: is set by the hub and can't be given"),
        ({"params": {"": "x"}}, "params.: a parameter's name has 1 to 128 characters"),
        ({"params": {"n" * 129: "x"}}, f"params.{'n' * 64}…: a parameter's name has 1 to 128 characters"),
        ({"user_id": None}, "user_id: must be a string"),
        ({"user_id": 5}, "user_id: must be a string"),
        ({"target": "delete"}, "target: must be 'rest', 'upload' or 'replace'"),
        ({"target": None}, "target: must be 'rest', 'upload' or 'replace'"),
        ({"target": ["rest"]}, "target: must be 'rest', 'upload' or 'replace'"),
        ({"callback_url": 5}, "callback_url: must be a string"),
        ({"callback_url": ""}, "callback_url: must be http or https"),
        ({"callback_url": "ftp://client.example.com/"}, "callback_url: must be http or https"),
        ({"callback_url": "https://u:p@client.example.com/"}, "callback_url: must not carry a user name or password"),
        ({"callback_url": "http://127.0.0.1:9/hook"}, "callback_url: its address isn't public"),
        ({"callback_url": "http://[::1]/hook"}, "callback_url: its address isn't public"),
        ({"callback_url": "http://2130706433/"}, "callback_url: its address isn't public"),
        ({"callback_url": "https://c.example/" + "a" * 2048}, "callback_url: is longer than 2048 characters"),
        ({"callback_url": "{why}"}, "callback_url: must be http or https"),
        ({"callback_secret": 5}, "callback_secret: must be a string"),
        ({"callback_secret": ""}, "callback_secret: must have at least 1 character(s)"),
        ({"callback_secret": "s" * 513}, "callback_secret: must have at most 512 characters"),
        ({"callback_secret": "whsec_!!"}, "callback_secret: what follows whsec_ must be base64"),
        ({"callback_secret": "whsec_"}, "callback_secret: what follows whsec_ must not be empty"),
        ({"meta": []}, "meta: must be an object"),
        ({"meta": {"a": "b" * 16384}}, "meta: must be at most 16 KiB as compact JSON"),
        ({"meta": {"a": "ü" * 8190}}, "meta: must be at most 16 KiB as compact JSON"),
        ({"priority": 1}, "priority: isn't a field of this call"),
    ],
)
async def test_a_wrong_field_is_named(
    http: httpx2.AsyncClient, around: Surroundings, change: dict[str, Any], sentence: str
) -> None:
    assert await _details(http, REST, {**GOOD, **change}) == [sentence]
    assert not around.jobs.kept
    assert not around.publisher.handed


async def test_every_wrong_field_is_named_at_once(http: httpx2.AsyncClient) -> None:
    details = await _details(
        http, REST, {"params": {"oauth_token": 1, "a": None}, "callback_url": "x", "meta": 1, "more": 1}
    )
    assert {sentence.partition(":")[0] for sentence in details} == {
        "method",
        "user_id",
        "params.oauth_token",
        "params.a",
        "callback_url",
        "meta",
        "more",
    }


async def test_a_flood_of_wrong_fields_gets_a_short_reply(http: httpx2.AsyncClient) -> None:
    details = await _details(http, REST, {**GOOD, **{f"field{n}": 1 for n in range(60)}})
    assert len(details) == 51
    assert details[-1] == "and 10 more"


async def test_more_fields_than_any_call_has_are_refused_without_a_look_at_them(http: httpx2.AsyncClient) -> None:
    reply = await http.post(REST, json={**GOOD, **{f"field{n}": 1 for n in range(62)}})
    error = _refused(reply, 400, "ERR_INVALID_REQUEST")["error"]
    assert error == {"code": "ERR_INVALID_REQUEST", "message": "The body has more than 64 fields."}


@pytest.mark.parametrize("target", ["rest", "upload", "replace"])
async def test_params_are_counted_before_each_is_looked_at(http: httpx2.AsyncClient, target: str) -> None:
    body = {**GOOD, "target": target, "params": {f"oauth_{n}": None for n in range(501)}}
    assert await _details(http, REST, body) == ["params: must have at most 500 names"]


async def test_as_many_params_as_may_be_are_taken(http: httpx2.AsyncClient) -> None:
    reply = await http.post(REST, json={**GOOD, "params": {f"p{n}": n for n in range(500)}})
    assert reply.status_code == 202


@pytest.mark.parametrize(
    "change",
    [
        {"callback_secret": "whsec_" + SECRET},
        {"callback_secret": [SECRET]},
        {"callback_secret": SECRET * 100},
        {"callback_url": f"https://{SECRET}@client.example.com/"},
        {"params": {"oauth_token": SECRET}},
    ],
)
async def test_a_refusal_repeats_no_value(http: httpx2.AsyncClient, change: dict[str, Any]) -> None:
    reply = await http.post(REST, json={**GOOD, **change})
    assert reply.status_code == 400
    assert SECRET not in reply.text


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The body isn't valid JSON."),
        (b"{", "The body isn't valid JSON."),
        (b"\xff\xfe\xfd", "The body isn't valid JSON."),
        (b'{"method": "\xff"}', "The body isn't valid JSON."),
        (b"[]", "The body must be a JSON object."),
        (b'"flickr.test.echo"', "The body must be a JSON object."),
        (b"null", "The body must be a JSON object."),
        (b'{"method": NaN}', "The body can't be taken: NaN isn't JSON."),
        (b'{"method": -Infinity}', "The body can't be taken: -Infinity isn't JSON."),
        (b'{"params": {"a": 1e999}}', "The body can't be taken: a number is too large."),
        (b'{"method": "flickr\\u0000"}', "The body holds a NUL character."),
        (b'{"params": {"a\\u0000": 1}}', "The body holds a NUL character."),
        (b'{"method": "\\ud800"}', "The body holds half of a surrogate pair."),
        (b'{"\\udfff": 1}', "The body holds half of a surrogate pair."),
        (b'{"params": {"a": 9223372036854775808}}', "The body holds an integer beyond 64 bits."),
        (b'{"params": {"a": %s}}' % (b"9" * 5000), None),
        (b'{"meta":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001, "The body is nested too deeply."),
        (b'{"meta":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "The body is nested too deeply."),
        (b"[" * 500_000, None),
    ],
)
@pytest.mark.parametrize("path", [REST, STATUS, "/api/v1/auth/start", "/api/v1/auth/complete"])
async def test_a_body_that_cant_be_held_is_refused(
    http: httpx2.AsyncClient, around: Surroundings, path: str, body: bytes, message: str | None
) -> None:
    refused = _refused(await http.post(path, content=body, headers=JSON), 400, "ERR_INVALID_REQUEST")
    assert message is None or refused["error"]["message"] == message
    assert not around.jobs.kept
    assert not around.auth.walks


@pytest.mark.parametrize("path", [REST, STATUS, "/api/v1/auth/start", "/api/v1/auth/complete"])
@pytest.mark.parametrize("given", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""])
async def test_a_body_that_isnt_called_json_is_refused(
    http: httpx2.AsyncClient, around: Surroundings, path: str, given: str | None
) -> None:
    headers = {} if given is None else {"content-type": given}
    reply = await http.post(path, content=json.dumps(GOOD).encode(), headers=headers)
    _refused(reply, 415, "ERR_UNSUPPORTED_MEDIA_TYPE")
    assert not around.jobs.kept


async def test_an_encoded_body_is_refused_for_its_encoding(http: httpx2.AsyncClient, around: Surroundings) -> None:
    body = gzip.compress(json.dumps(GOOD).encode())
    reply = await http.post(REST, content=body, headers={**JSON, "content-encoding": "gzip"})
    refused = _refused(reply, 415, "ERR_UNSUPPORTED_MEDIA_TYPE")
    assert refused["error"]["message"] == "Send the body as it is, without a Content-Encoding."
    assert not around.jobs.kept
    reply = await http.post(REST, json=GOOD, headers={"content-encoding": "Identity"})
    assert reply.status_code == 202


@pytest.mark.parametrize("given", ["application/json; charset=utf-8", "Application/JSON", "application/json;v=1"])
async def test_parameters_of_the_content_type_do_no_harm(http: httpx2.AsyncClient, given: str) -> None:
    reply = await http.post(REST, content=json.dumps(GOOD).encode(), headers={"content-type": given})
    assert reply.status_code == 202


@pytest.mark.parametrize("path", [REST, STATUS, "/api/v1/auth/start", "/unknown"])
async def test_a_body_over_a_mebibyte_is_refused(http: httpx2.AsyncClient, path: str) -> None:
    reply = await http.post(path, content=b" " * (1024 * 1024 + 1), headers=JSON)
    _refused(reply, 413, "ERR_PAYLOAD_TOO_LARGE")


async def test_a_body_over_a_mebibyte_in_chunks_is_refused(http: httpx2.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 65536

    _refused(await http.post(REST, content=chunks(), headers=JSON), 413, "ERR_PAYLOAD_TOO_LARGE")


async def test_a_body_of_a_mebibyte_is_taken(http: httpx2.AsyncClient) -> None:
    body = json.dumps(GOOD).encode()
    reply = await http.post(REST, content=body + b" " * (1024 * 1024 - len(body)), headers=JSON)
    assert reply.status_code == 202


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", REST, 405, "ERR_METHOD_NOT_ALLOWED"),
        ("PUT", REST, 405, "ERR_METHOD_NOT_ALLOWED"),
        ("OPTIONS", REST, 405, "ERR_METHOD_NOT_ALLOWED"),
        ("BREW", REST, 405, "ERR_METHOD_NOT_ALLOWED"),
        ("POST", "/api/v1/auth/callback", 405, "ERR_METHOD_NOT_ALLOWED"),
        ("POST", "/health", 405, "ERR_METHOD_NOT_ALLOWED"),
        ("GET", "/nothing", 404, "ERR_NOT_FOUND"),
        ("POST", REST + "/", 404, "ERR_NOT_FOUND"),
        ("GET", "/redoc", 404, "ERR_NOT_FOUND"),
        ("GET", "/%00", 404, "ERR_NOT_FOUND"),
        ("GET", "/%ff%fe", 404, "ERR_NOT_FOUND"),
    ],
)
async def test_the_frameworks_own_errors_are_in_the_envelope(
    http: httpx2.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    _refused(await http.request(method, path), status, code)


async def test_a_405_says_what_is_allowed(http: httpx2.AsyncClient) -> None:
    assert (await http.get(REST)).headers["allow"] == "POST"


async def test_a_crash_is_a_500_in_the_envelope_and_says_nothing(
    http: httpx2.AsyncClient, around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_: object) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(around.jobs, "add", crash)
    reply = await http.post(REST, json=GOOD)
    _refused(reply, 500, "ERR_INTERNAL")
    assert SECRET not in reply.text


@pytest.mark.parametrize(
    ("body", "sentences"),
    [
        ({}, ["job_id: is required", "user_id: is required"]),
        ({"job_id": "x"}, ["user_id: is required"]),
        ({"job_id": 5, "user_id": None}, ["job_id: must be a string", "user_id: must be a string"]),
        ({"job_id": "x", "user_id": "y", "z": 1}, ["z: isn't a field of this call"]),
    ],
)
async def test_a_wrong_question_for_a_status_is_refused(
    http: httpx2.AsyncClient, body: dict[str, Any], sentences: list[str]
) -> None:
    assert await _details(http, STATUS, body) == sentences


@pytest.mark.parametrize(
    ("path", "body", "sentences"),
    [
        ("start", {}, ["api_key: is required", "api_secret: is required"]),
        (
            "start",
            {"api_key": 1, "api_secret": [SECRET]},
            ["api_key: must be a string", "api_secret: must be a string"],
        ),
        ("start", {"api_key": "", "api_secret": "s"}, ["api_key: must have at least 1 character(s)"]),
        ("start", {"api_key": "k" * 257, "api_secret": "s"}, ["api_key: must have at most 256 characters"]),
        ("start", {"api_key": "k", "api_secret": "s\n"}, ["api_secret: must not hold control characters"]),
        ("start", {"api_key": "\u3000", "api_secret": "s"}, ["api_key: must not be blank"]),
        ("start", {"api_key": "k", "api_secret": "s", "x": 1}, ["x: isn't a field of this call"]),
        ("complete", {}, ["oauth_token: is required", "oauth_verifier: is required"]),
        ("complete", {"oauth_token": "t", "oauth_verifier": "v", "state": 1}, ["state: must be a string"]),
        (
            "complete",
            {"oauth_token": "t" * 257, "oauth_verifier": "v" * 257, "state": "s" * 257},
            [f"{name}: must have at most 256 characters" for name in ("oauth_token", "oauth_verifier", "state")],
        ),
    ],
)
async def test_a_wrong_step_of_the_walk_is_refused_before_auth_is_asked(
    http: httpx2.AsyncClient, around: Surroundings, path: str, body: dict[str, Any], sentences: list[str]
) -> None:
    assert await _details(http, f"/api/v1/auth/{path}", body) == sentences
    assert not around.auth.walks


async def test_a_callback_without_its_parameters_is_refused(http: httpx2.AsyncClient) -> None:
    refused = _refused(await http.get("/api/v1/auth/callback?oauth_token=t"), 400, "ERR_INVALID_REQUEST")
    assert refused["error"]["details"] == ["oauth_verifier: is required"]
