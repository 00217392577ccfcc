"""The executor's parts on real servers."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from redis.asyncio import Redis

from flickrhub_common.redis import make_redis
from flickrhub_common.settings import RedisSettings


@pytest.fixture
async def redis(redis_settings: RedisSettings) -> AsyncIterator[Redis]:
    """A client of this test's own database."""
    async with aclosing(make_redis(redis_settings)) as client:
        yield client
