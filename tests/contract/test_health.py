"""Contract, section 2: health. What readiness says when something is away is shown in tests/e2e."""

import uuid

import httpx2
import pytest

from tests.support.envelopes import success
from tests.support.flickrhub_client import FlickrHub
from tests.support.plain_http import NOBODY
from tests.support.run_env import needed

SERVICES = (
    "GATEWAY_URL",
    "AUTH_URL",
    "EXECUTOR_REST_URL",
    "EXECUTOR_UPLOAD_URL",
    "EXECUTOR_REPLACE_URL",
    "NOTIFIER_URL",
)


async def test_health_is_the_documented_line(hub: FlickrHub) -> None:
    reply = await hub.http.get("/health")
    assert reply.status_code == 200
    assert reply.json() == {"status": "ok"}
    assert reply.headers["content-type"] == "application/json"
    uuid.UUID(reply.headers["x-request-id"])


async def test_the_gateway_is_ready_when_its_four_parts_are(hub: FlickrHub) -> None:
    data = success(await hub.http.get("/health/ready"))
    assert set(data["checks"]) == {"rabbitmq", "mongo", "redis", "auth"}


@pytest.mark.parametrize("service", SERVICES)
async def test_every_service_tells_its_health(service: str) -> None:
    async with httpx2.AsyncClient(base_url=needed(service), timeout=10, verify=NOBODY, trust_env=False) as http:
        assert (await http.get("/health")).json() == {"status": "ok"}
        success(await http.get("/health/ready"))
