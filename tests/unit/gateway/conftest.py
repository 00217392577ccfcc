"""The gateway over HTTP, in this process, among fakes."""

from collections.abc import AsyncIterator, Iterator, MutableMapping
from typing import Any

import httpx2
import pytest
import structlog

from tests.unit.gateway.fakes import Surroundings

Logged = list[MutableMapping[str, Any]]


@pytest.fixture(autouse=True)
def logged() -> Iterator[Logged]:
    """Every log line of the test, bound fields included."""
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        yield lines


@pytest.fixture
def around() -> Surroundings:
    """What surrounds the gateway."""
    return Surroundings()


@pytest.fixture
async def http(around: Surroundings) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the gateway; a crash shows as its 500."""
    transport = httpx2.ASGITransport(around.app(), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://hub") as client:
        yield client
