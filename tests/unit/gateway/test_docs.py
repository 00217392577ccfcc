"""The OpenAPI document and the page made of it."""

import re
import uuid
from collections.abc import Iterator
from typing import Any

import httpx2
import jsonschema
import pytest

ANY = ("408", "413", "429", "431", "500", "503")
CALLS = [
    ("post", "/api/v1/auth/start", {"200", "400", "415", "502", *ANY}),
    ("post", "/api/v1/auth/complete", {"200", "400", "415", "502", *ANY}),
    ("get", "/api/v1/auth/callback", {"200", "400", "502", *ANY}),
    ("post", "/api/v1/flickr/rest", {"202", "400", "404", "409", "415", *ANY}),
    ("post", "/api/v1/uploads", {"201", "400", "404", *ANY}),
    ("post", "/api/v1/uploads/presign", {"201", "400", "404", "409", "415", *ANY}),
    ("post", "/api/v1/flickr/jobs/status", {"200", "400", "404", "415", *ANY}),
    ("get", "/", {"200", *ANY}),
    ("get", "/docs", {"200", *ANY}),
    ("get", "/health", {"200", *ANY}),
    ("get", "/health/ready", {"200", *ANY}),
]


@pytest.fixture
async def document(http: httpx2.AsyncClient) -> dict[str, Any]:
    reply = await http.get("/openapi.json")
    assert reply.status_code == 200
    found: dict[str, Any] = reply.json()
    return found


def _check(document: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    jsonschema.validate(value, {**schema, "components": document["components"]})


@pytest.mark.parametrize(("method", "path", "statuses"), CALLS)
async def test_every_call_is_described_with_every_status(
    document: dict[str, Any], method: str, path: str, statuses: set[str]
) -> None:
    assert set(document["paths"][path][method]["responses"]) == statuses


async def test_nothing_else_is_described(document: dict[str, Any]) -> None:
    described = {(method, path) for path, methods in document["paths"].items() for method in methods}
    assert described == {(method, path) for method, path, _ in CALLS}


async def test_every_example_fits_its_schema(document: dict[str, Any]) -> None:
    count = 0
    for content in _json_contents(document):
        examples = [example["value"] for example in content.get("examples", {}).values()]
        examples += [content["example"]] if "example" in content else []
        assert examples
        for example in examples:
            _check(document, content["schema"], example)
            assert "request_id" not in example or {"data", "error"} <= set(example)
            count += 1
    assert count > 30


def _json_contents(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in document["paths"].values():
        for call in methods.values():
            for described in (*call["responses"].values(), call.get("requestBody", {"content": {}})):
                if "application/json" in described["content"]:
                    yield described["content"]["application/json"]
    for reply in document["components"]["responses"].values():
        yield reply["content"]["application/json"]


async def test_every_reply_has_its_headers_described(document: dict[str, Any]) -> None:
    for methods in document["paths"].values():
        for call in methods.values():
            for status, reply in call["responses"].items():
                assert "X-Request-ID" in reply["headers"]
                assert ("Retry-After" in reply["headers"]) == (status in {"429", "503"})
    assert document["components"]["responses"]["NoSuchMethod"]["headers"]["Allow"]["required"]


async def test_a_failure_is_described_with_its_codes(document: dict[str, Any]) -> None:
    reply = document["paths"]["/api/v1/auth/complete"]["post"]["responses"]["400"]
    failed = {"request_id": str(uuid.uuid4()), "data": None, "error": {"code": "ERR_INVALID_STATE", "message": "…"}}
    schema = reply["content"]["application/json"]["schema"]
    _check(document, schema, failed)
    with pytest.raises(jsonschema.ValidationError):
        _check(document, schema, {**failed, "error": {"code": "ERR_NOT_FOUND", "message": "…"}})
    with pytest.raises(jsonschema.ValidationError):
        _check(document, schema, {"data": None, "error": failed["error"]})


async def test_every_link_leads_to_a_call(document: dict[str, Any]) -> None:
    calls = [call for methods in document["paths"].values() for call in methods.values()]
    ids = [call["operationId"] for call in calls]
    links = [link for call in calls for reply in call["responses"].values() for link in reply.get("links", {}).values()]
    assert len(ids) == len(set(ids))
    assert len(links) >= 7
    assert {link["operationId"] for link in links} <= set(ids)


async def test_a_real_reply_fits_the_described_one(document: dict[str, Any], http: httpx2.AsyncClient) -> None:
    responses = document["paths"]["/api/v1/flickr/rest"]["post"]["responses"]
    reply = await http.post("/api/v1/flickr/rest", json={"user_id": 5})
    _check(document, responses["400"]["content"]["application/json"]["schema"], reply.json())


async def test_the_page_shows_every_call_and_loads_nothing(http: httpx2.AsyncClient) -> None:
    page = await http.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    for method, path, _ in CALLS:
        assert f'<span class="method">{method.upper()}</span><code>{path}</code>' in page.text
    assert not re.search(r"<script|src=|<link|@import|url\(", page.text)
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


async def test_the_root_points_to_the_docs(http: httpx2.AsyncClient) -> None:
    body = (await http.get("/")).json()
    assert (body["data"]["docs"], body["data"]["openapi"], body["error"]) == ("/docs", "/openapi.json", None)


async def test_liveness_is_exactly_this(http: httpx2.AsyncClient) -> None:
    assert (await http.get("/health")).content == b'{"status":"ok"}'
