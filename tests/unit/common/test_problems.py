"""The envelope: every reply has it, the framework's own failures included (contract, section 1)."""

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx2
import pytest
import structlog
from fastapi import Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field, field_validator
from starlette.responses import Response

from flickrhub_common import errors
from flickrhub_common.problems import envelope, internal_only
from flickrhub_common.server import make_app

TOKEN = "internal-token-of-16-or-more"
SECRET = "hunter2-do-not-repeat"
GIVEN = "0AF76519-16CD-43DD-8448-EB211C80319C"


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    count: int = Field(1, ge=1)
    inner: dict[str, int] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _not_bad(cls, value: str) -> str:
        if value == "bad":
            raise ValueError("must not be bad")
        return value


@asynccontextmanager
async def nothing(_: FastAPI) -> AsyncIterator[None]:
    yield


async def ok(request: Request) -> Response:
    return envelope(request, {"a": "ü"})


async def twice(request: Request) -> Response:
    return envelope(request, {"user_id": "u"}, status=201, twice=True)


async def with_body(request: Request, body: Body) -> Response:
    return envelope(request, body.model_dump())


async def with_query(request: Request, number: int) -> Response:
    return envelope(request, {"number": number})


async def raises(name: str) -> Response:
    raise errors.Unavailable("redis") if name == "Unavailable" else getattr(errors, name)()


async def limited() -> Response:
    raise errors.RateLimited(retry_after=7)


async def crash() -> Response:
    raise RuntimeError(f"{SECRET} at /srv/secret/path")


async def framework(status: int) -> Response:
    raise HTTPException(status, detail=SECRET)


async def depends(request: Request, _: Annotated[None, Depends(internal_only(TOKEN))]) -> Response:
    return envelope(request, {})


def make() -> FastAPI:
    app = make_app(title="t", description="t", lifespan=nothing)
    app.get("/ok")(ok)
    app.get("/twice")(twice)
    app.post("/body")(with_body)
    app.get("/query")(with_query)
    app.get("/raise/{name}")(raises)
    app.get("/limited")(limited)
    app.get("/crash")(crash)
    app.get("/http/{status}")(framework)
    app.get("/internal", dependencies=[Depends(internal_only(TOKEN))])(ok)
    app.get("/depends")(depends)
    return app


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(make(), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://hub") as client:
        yield client


def failure(reply: httpx2.Response) -> dict[str, Any]:
    """The error of a reply, after its envelope was checked."""
    body = reply.json()
    assert body.keys() == {"request_id", "data", "error"}
    assert body["data"] is None
    assert reply.headers["x-request-id"] == body["request_id"]
    assert uuid.UUID(body["request_id"])
    assert reply.headers["content-type"] == "application/json"
    assert body["error"].keys() <= {"code", "message", "details"}
    assert SECRET not in reply.text
    error: dict[str, Any] = body["error"]
    return error


async def test_success_has_its_data_and_no_error(client: httpx2.AsyncClient) -> None:
    reply = await client.get("/ok")
    body = reply.json()
    assert (reply.status_code, body["data"], body["error"]) == (200, {"a": "ü"}, None)
    assert reply.headers["x-request-id"] == body["request_id"]
    assert "ü".encode() in reply.content


async def test_a_twofold_reply_has_its_fields_at_the_top_and_under_data(client: httpx2.AsyncClient) -> None:
    reply = await client.get("/twice")
    body = reply.json()
    assert reply.status_code == 201
    assert (body["user_id"], body["data"], body["error"]) == ("u", {"user_id": "u"}, None)


async def test_a_uuid_of_the_client_is_kept_as_the_request_id(client: httpx2.AsyncClient) -> None:
    reply = await client.get("/ok", headers={"X-Request-ID": GIVEN})
    assert uuid.UUID(reply.headers["x-request-id"]) == uuid.UUID(GIVEN)
    assert reply.json()["request_id"] == reply.headers["x-request-id"]


@pytest.mark.parametrize("given", ["", "1", "not-a-uuid", "x" * 5000, "{}", "\xff\xfe", "a b\tc"])
async def test_anything_else_is_replaced_by_a_uuid(client: httpx2.AsyncClient, given: str) -> None:
    reply = await client.get("/ok", headers=[(b"X-Request-ID", given.encode("latin-1"))])
    assert uuid.UUID(reply.headers["x-request-id"]).version == 4


async def test_every_request_has_an_id_of_its_own(client: httpx2.AsyncClient) -> None:
    assert len({(await client.get("/ok")).headers["x-request-id"] for _ in range(5)}) == 5


async def test_log_lines_of_a_request_have_its_id(client: httpx2.AsyncClient) -> None:
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logged:
        reply = await client.get("/raise/Unavailable")
    assert [line["request_id"] for line in logged] == [reply.headers["x-request-id"]]


async def test_an_unknown_address_is_404(client: httpx2.AsyncClient) -> None:
    reply = await client.get("/nowhere")
    assert (reply.status_code, failure(reply)["code"]) == (404, "ERR_NOT_FOUND")


@pytest.mark.parametrize("path", ["/ok/", "//ok", "/%2e%2e/etc/passwd", "/" + "x" * 5000])
async def test_odd_addresses_are_404_and_no_redirect(client: httpx2.AsyncClient, path: str) -> None:
    reply = await client.get(httpx2.URL("http://hub", raw_path=path.encode()))
    assert (reply.status_code, failure(reply)["code"]) == (404, "ERR_NOT_FOUND")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
async def test_a_wrong_method_is_405_and_says_which_are_allowed(client: httpx2.AsyncClient, method: str) -> None:
    reply = await client.request(method, "/ok")
    assert (reply.status_code, failure(reply)["code"]) == (405, "ERR_METHOD_NOT_ALLOWED")
    assert reply.headers["allow"] == "GET"


@pytest.mark.parametrize(
    ("body", "details"),
    [
        ({}, ["name: Field required"]),
        ({"name": 5}, ["name: Input should be a valid string"]),
        ({"name": "bad"}, ["name: must not be bad"]),
        ({"name": "n", "count": 0}, ["count: Input should be greater than or equal to 1"]),
        (
            {"count": "many", SECRET[:3]: 1},
            [
                "name: Field required",
                "count: Input should be a valid integer, unable to parse string as an integer",
                "hun: Extra inputs are not permitted",
            ],
        ),
        ({"name": "n", "inner": {"a": SECRET}}, ["inner.a: Input should be a valid integer, unable to parse string"]),
        ([], ["body: Input should be a valid dictionary or object to extract fields from"]),
        (None, ["body: "]),
    ],
)
async def test_every_wrong_field_is_named_and_none_repeated(
    client: httpx2.AsyncClient, body: object, details: list[str]
) -> None:
    reply = await client.post("/body", json=body)
    error = failure(reply)
    assert (reply.status_code, error["code"]) == (400, "ERR_INVALID_REQUEST")
    assert len(error["details"]) == len(details)
    for sentence, expected in zip(error["details"], details, strict=True):
        assert sentence.startswith(expected)


@pytest.mark.parametrize("content", [b"", b"{", b'{"name": NaN}', b"\xff\xfe", b"\0"])
async def test_a_broken_body_is_400(client: httpx2.AsyncClient, content: bytes) -> None:
    reply = await client.post("/body", content=content, headers={"content-type": "application/json"})
    assert (reply.status_code, failure(reply)["code"]) == (400, "ERR_INVALID_REQUEST")


async def test_a_wrong_query_is_400_and_names_the_field(client: httpx2.AsyncClient) -> None:
    reply = await client.get("/query", params={"number": SECRET})
    assert reply.status_code == 400
    assert failure(reply)["details"][0].startswith("number: ")


@pytest.mark.parametrize(
    "name",
    [
        "InvalidRequest",
        "InvalidState",
        "Unauthorized",
        "Forbidden",
        "TokenNotFound",
        "JobNotFound",
        "Conflict",
        "PayloadTooLarge",
        "UnsupportedMediaType",
        "UpstreamFailed",
        "Unavailable",
    ],
)
async def test_our_own_errors_have_their_status_and_code(client: httpx2.AsyncClient, name: str) -> None:
    reply = await client.get(f"/raise/{name}")
    kind = getattr(errors, name)
    error = failure(reply)
    assert (reply.status_code, error["code"], error["message"]) == (kind.status, kind.code, kind.default_message)


async def test_an_error_about_the_moment_says_when_to_come_back(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/limited")).headers["retry-after"] == "7"
    assert (await client.get("/raise/Unavailable")).headers["retry-after"] == "2"
    assert "retry-after" not in (await client.get("/raise/Conflict")).headers


async def test_a_crash_is_500_and_says_nothing_about_itself(client: httpx2.AsyncClient) -> None:
    reply = await client.get("/crash", headers={"X-Request-ID": GIVEN})
    error = failure(reply)
    assert (reply.status_code, error["code"]) == (500, "ERR_INTERNAL")
    assert uuid.UUID(reply.headers["x-request-id"]) == uuid.UUID(GIVEN)
    assert "/srv" not in reply.text


@pytest.mark.parametrize(
    ("status", "seen", "code"),
    [
        (400, 400, "ERR_INVALID_REQUEST"),
        (401, 401, "ERR_UNAUTHORIZED"),
        (403, 403, "ERR_FORBIDDEN"),
        (404, 404, "ERR_NOT_FOUND"),
        (409, 409, "ERR_CONFLICT"),
        (413, 413, "ERR_PAYLOAD_TOO_LARGE"),
        (415, 415, "ERR_UNSUPPORTED_MEDIA_TYPE"),
        (418, 400, "ERR_INVALID_REQUEST"),
        (422, 400, "ERR_INVALID_REQUEST"),
        (429, 429, "ERR_RATE_LIMITED"),
        (500, 500, "ERR_INTERNAL"),
        (507, 500, "ERR_INTERNAL"),
    ],
)
async def test_the_frameworks_failures_have_our_codes(
    client: httpx2.AsyncClient, status: int, seen: int, code: str
) -> None:
    reply = await client.get(f"/http/{status}")
    assert (reply.status_code, failure(reply)["code"]) == (seen, code)


@pytest.mark.parametrize("path", ["/internal", "/depends"])
@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        TOKEN,
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"bearer {TOKEN}",
        f"Bearer  {TOKEN}",
        f"Basic {TOKEN}",
        "Bearer \xfc\xff",
    ],
)
async def test_internal_addresses_refuse_whoever_has_no_credential(
    client: httpx2.AsyncClient, path: str, header: str | None
) -> None:
    headers = [] if header is None else [(b"authorization", header.encode("latin-1"))]
    reply = await client.get(path, headers=headers)
    assert (reply.status_code, failure(reply)["code"]) == (401, "ERR_UNAUTHORIZED")


@pytest.mark.parametrize("path", ["/internal", "/depends"])
async def test_internal_addresses_let_services_in(client: httpx2.AsyncClient, path: str) -> None:
    assert (await client.get(path, headers={"Authorization": f"Bearer {TOKEN}"})).status_code == 200


async def test_the_schema_of_the_app_can_be_read(client: httpx2.AsyncClient) -> None:
    assert json.loads((await client.get("/openapi.json")).text)["info"]["title"] == "t"


@pytest.mark.parametrize("path", ["/ok", "/none", "/crash", "/raise/conflict", "/http/400"])
async def test_every_reply_tells_browsers_to_keep_their_hands_off(client: httpx2.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert not {"server", "x-powered-by", "strict-transport-security"} & set(headers)
