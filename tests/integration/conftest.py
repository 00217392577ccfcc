"""Real servers, each test with a place of its own in them. Where they are: `tests/support/run_env.py`."""

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest
from pydantic import SecretStr
from yarl import URL

from flickrhub_common.broker import Messaging
from flickrhub_common.mongo import make_mongo
from flickrhub_common.redis import make_redis
from flickrhub_common.settings import MongoSettings, RabbitSettings, RedisSettings
from tests.support.rabbit_admin import RabbitAdmin, fresh_vhost
from tests.support.run_env import needed

REDIS_DBS = {f"gw{worker}": number for worker, number in enumerate(("15", "14", "5", "4", "3", "2"))}
"""Redis has 16 databases: 0 is the stack's, 6 to 13 are those of hubs that tests start."""


@pytest.fixture(scope="session")
async def kept_vhost() -> AsyncIterator[RabbitAdmin]:
    """This worker's own vhost: some 35 quorum queues, which cost RabbitMQ more than most tests do."""
    async with _vhost() as admin:
        yield admin


@pytest.fixture
async def rabbit_admin(request: pytest.FixtureRequest, kept_vhost: RabbitAdmin) -> AsyncIterator[RabbitAdmin]:
    """An operator's view of this test's vhost, the one of `rabbit_settings`: emptied, or new if it is marked so."""
    if request.node.get_closest_marker("new_vhost"):
        async with _vhost() as admin:
            yield admin
    else:
        await kept_vhost.empty()
        yield kept_vhost


def _vhost() -> AbstractAsyncContextManager[RabbitAdmin]:
    name = f"test-{uuid.uuid4().hex[:12]}"
    return fresh_vhost(needed("RABBIT_URL"), needed("RABBIT_MANAGEMENT_URL"), name)


@pytest.fixture
async def rabbit_settings(rabbit_admin: RabbitAdmin) -> RabbitSettings:
    """RabbitMQ with the vhost of this test."""
    url = URL(needed("RABBIT_URL")).with_path(rabbit_admin.vhost)
    return RabbitSettings(rabbit_url=SecretStr(str(url)))


@pytest.fixture
async def others(rabbit_settings: RabbitSettings) -> AsyncIterator[Messaging]:
    """The other services: puts messages where they put them, and has everything declared."""
    messaging = Messaging(rabbit_settings, service="test", drain_seconds=2)
    await messaging.start()
    yield messaging
    await messaging.stop()


@pytest.fixture
async def mongo_settings() -> AsyncIterator[MongoSettings]:
    """MongoDB with a database name of this test's own, dropped afterwards."""
    settings = MongoSettings(mongo_url=SecretStr(needed("MONGO_URL")), mongo_db=f"test_{uuid.uuid4().hex[:12]}")
    yield settings
    async with make_mongo(settings, service="test") as client:
        await client.drop_database(settings.mongo_db)


@pytest.fixture
async def redis_settings() -> AsyncIterator[RedisSettings]:
    """Redis with a database of this worker's own, emptied before and after the test; TEST_REDIS_DB names another."""
    number = os.environ.get("TEST_REDIS_DB") or REDIS_DBS[os.environ.get("PYTEST_XDIST_WORKER", "gw0")]
    settings = RedisSettings(redis_url=SecretStr(str(URL(needed("REDIS_URL")).with_path(f"/{number}"))))
    client = make_redis(settings, max_connections=2)
    try:
        await client.flushdb()
        yield settings
        await client.flushdb()
    finally:
        await client.aclose()
