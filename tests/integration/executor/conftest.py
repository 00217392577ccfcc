"""The executor's parts on real servers, and whole executors between a simulated Flickr and a stub of auth."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from flickr_sim.app import create_app
from flickrhub_common.broker import Messaging
from flickrhub_common.mongo import make_mongo
from flickrhub_common.photo_store import open_photo_store
from flickrhub_common.redis import make_redis
from flickrhub_common.settings import MongoSettings, PhotoStoreSettings, RabbitSettings, RedisSettings
from flickrhub_executor.settings import ExecutorSettings
from tests.integration.executor.parts import INTERNAL_TOKEN, FakeAuth, Hub, new_simulator, served
from tests.integration.executor.photos import Photos
from tests.support.photo_server import photo_server
from tests.support.rabbit_admin import RabbitAdmin


@pytest.fixture
async def redis(redis_settings: RedisSettings) -> AsyncIterator[Redis]:
    """A client of this test's own database."""
    async with aclosing(make_redis(redis_settings)) as client:
        yield client


@pytest.fixture
async def hub(  # the client of the running stack that this name has elsewhere isn't needed here
    rabbit_settings: RabbitSettings, redis_settings: RedisSettings, rabbit_admin: RabbitAdmin, tmp_path: Path
) -> AsyncIterator[Hub]:
    """What executors need around them; limits and backoff are off unless a test sets them."""
    simulator = new_simulator()
    auth = FakeAuth(simulator)
    sender = Messaging(rabbit_settings, service="test", drain_seconds=2)
    async with served(create_app(simulator=simulator)) as flickr_url, served(auth.app) as auth_url:
        settings = ExecutorSettings(
            rabbit_url=rabbit_settings.rabbit_url,
            redis_url=redis_settings.redis_url,
            internal_api_token=SecretStr(INTERNAL_TOKEN),
            auth_url=auth_url,
            mock_flickr=True,
            flickr_sim_url=flickr_url,
            flickr_rate_limit_per_hour=0,
            flickr_rate_limit_per_second=0,
            job_retry_delay_ms=10,
            flickr_timeout_seconds=2,
            shutdown_grace_seconds=10,
        )
        hub = Hub(settings, simulator, auth, rabbit_admin, sender, tmp_path)
        await sender.start()
        try:
            yield hub
        finally:
            await hub.close()
            await sender.stop()


@pytest.fixture
async def photos(hub: Hub, mongo_settings: MongoSettings) -> AsyncIterator[Photos]:
    """A photo store and a server of photos beside it."""
    async with (
        make_mongo(mongo_settings, service="test") as client,
        open_photo_store(PhotoStoreSettings(), database=client[mongo_settings.mongo_db]) as store,
        photo_server() as server,
    ):
        yield Photos(hub, store, server, mongo_settings)
