"""The OpenAPI document and the page made of it."""

import re
from typing import Any

import httpx2
import jsonschema
import pytest

CALLS = [
    ("post", "/api/v1/auth/start", {"200", "400", "408", "413", "415", "429", "431", "500", "502", "503"}),
    ("post", "/api/v1/auth/complete", {"200", "400", "408", "413", "415", "429", "431", "500", "502", "503"}),
    ("get", "/api/v1/auth/callback", {"200", "400", "408", "429", "431", "500", "502", "503"}),
    ("post", "/api/v1/flickr/rest", {"202", "400", "404", "408", "409", "413", "415", "429", "431", "500", "503"}),
    ("post", "/api/v1/uploads", {"201", "400", "404", "408", "413", "429", "431", "500", "503"}),
    ("post", "/api/v1/uploads/presign", {"201", "400", "404", "408", "409", "413", "415", "429", "431", "500", "503"}),
    ("post", "/api/v1/flickr/jobs/status", {"200", "400", "404", "408", "413", "415", "429", "431", "500", "503"}),
    ("get", "/health", {"200"}),
    ("get", "/health/ready", {"200", "503"}),
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
    for methods in document["paths"].values():
        for call in methods.values():
            contents = [reply["content"]["application/json"] for reply in call["responses"].values()]
            if "application/json" in call.get("requestBody", {}).get("content", {}):
                contents.append(call["requestBody"]["content"]["application/json"])
            for content in contents:
                examples = content.get("examples", {})
                assert examples or "example" in content
                for example in examples.values():
                    _check(document, content["schema"], example["value"])
                    assert "request_id" not in example["value"] or {"data", "error"} <= set(example["value"])
                    count += 1
    assert count > 30


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
