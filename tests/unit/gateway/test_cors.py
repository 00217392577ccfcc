"""Other origins' web pages: let in by CORS_ORIGINS, and by nothing else."""

import httpx2
import pytest
from pydantic import ValidationError

from flickrhub_gateway.settings import GatewaySettings
from tests.unit.gateway.fakes import Surroundings

OURS, THEIRS = "https://app.example.com", "https://evil.example.com"
ASKS = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
REST = "/api/v1/flickr/rest"


def _client(around: Surroundings, *origins: str) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(around.app(origins=origins), raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://hub")


def _allowances(reply: httpx2.Response) -> set[str]:
    return {name for name in reply.headers if name.startswith("access-control-")}


@pytest.mark.parametrize("origins", [(), (OURS,)])
async def test_a_foreign_origin_gets_no_allowance(around: Surroundings, origins: tuple[str, ...]) -> None:
    async with _client(around, *origins) as http:
        preflight = await http.options(REST, headers={"Origin": THEIRS, **ASKS})
        reply = await http.post(REST, headers={"Origin": THEIRS}, json={})
    assert (preflight.status_code, preflight.json()["error"]["code"]) == (405, "ERR_METHOD_NOT_ALLOWED")
    assert not _allowances(preflight) | _allowances(reply)


@pytest.mark.parametrize(("origins", "named"), [((OURS,), OURS), (("*",), "*")])
async def test_an_allowed_origin_may_ask_and_read(around: Surroundings, origins: tuple[str, ...], named: str) -> None:
    async with _client(around, *origins) as http:
        preflight = await http.options(REST, headers={"Origin": OURS, **ASKS})
        reply = await http.post(REST, headers={"Origin": OURS}, json={})
    assert (preflight.status_code, preflight.content) == (204, b"")
    assert preflight.headers["access-control-allow-origin"] == reply.headers["access-control-allow-origin"] == named
    assert preflight.headers["access-control-allow-headers"] == "content-type"
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "X-Request-ID" in reply.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in preflight.headers
    assert preflight.headers["x-request-id"]
    assert reply.status_code == 400


async def test_what_a_preflight_asks_beyond_the_api_isnt_allowed(around: Surroundings) -> None:
    async with _client(around, OURS) as http:
        preflight = await http.options(REST, headers={"Origin": OURS, "Access-Control-Request-Method": "DELETE"})
    assert (preflight.status_code, preflight.content) == (204, b"")
    assert "DELETE" not in preflight.headers["access-control-allow-methods"]


@pytest.mark.parametrize(
    "value",
    [
        "app.example.com",
        "https://app.example.com/",
        "https://*.example.com",
        "*, https://a.example",
        "null",
        "https://a b",
    ],
)
def test_what_isnt_an_origin_is_refused_at_start(value: str) -> None:
    with pytest.raises(ValidationError, match="must be origins"):
        GatewaySettings.model_validate({**_NEEDED, "cors_origins": value})


def test_several_origins_are_separated_by_commas() -> None:
    settings = GatewaySettings.model_validate({**_NEEDED, "cors_origins": " https://a.example , http://[::1]:8080"})
    assert settings.origins() == ["https://a.example", "http://[::1]:8080"]


_NEEDED = {
    "mongo_url": "mongodb://127.0.0.1",
    "internal_api_token": "0123456789abcdef",
    "encryption_keys": "k1:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
}
