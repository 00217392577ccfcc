"""What is left of api keys' budgets, on a real Redis."""

import hashlib
import time

from redis.asyncio import Redis

from flickrhub_common.metrics import Metrics
from flickrhub_common.metrics_page import MetricsPage
from flickrhub_common.redis import PipelinedRedis
from flickrhub_executor.adapters.meter import EXECUTOR_METRICS, MOST_KEYS, watch_budgets
from flickrhub_executor.adapters.redis_limits import KEYS_REMEMBERED, RedisLimits
from tests.support.metrics_pages import figure, series_of

PREFIX = "quota-of-a-test:"
LEFT = "flickrhub_budget_left_calls"


def limits(redis: Redis, *, per_hour: int = 10, hour: float = 3600.0) -> RedisLimits:
    return RedisLimits(
        PipelinedRedis(redis), prefix=PREFIX, per_hour=per_hour, per_second=0, hour_seconds=hour, late_seconds=0
    )


def hashed(api_key: str) -> str:
    return hashlib.sha256(api_key.encode()).hexdigest()[:16]


async def spend(one: RedisLimits, api_key: str, *, calls: int) -> None:
    for number in range(calls):
        await one.admit(user_id=f"user-{number}", api_key=api_key, reservation=None)


async def test_what_is_left_is_the_budget_without_the_calls_of_the_last_hour(redis: Redis) -> None:
    one = limits(redis)
    assert await one.left() == {}
    await spend(one, "spender", calls=3)
    await spend(one, "spent", calls=12)
    assert await one.left() == {hashed("spender"): 7, hashed("spent"): 0}


async def test_calls_of_before_the_hour_are_forgotten(redis: Redis) -> None:
    one = limits(redis, hour=100.0)
    await spend(one, "key", calls=2)
    budget, now = f"{PREFIX}budget:{hashed('key')}", time.time()
    await redis.rpush(budget, *(str(now - age) for age in (20, 99, 101, 150, 300)))
    assert await one.left() == {hashed("key"): 6}


async def test_a_limit_that_is_off_has_nothing_left_to_show(redis: Redis) -> None:
    one = limits(redis, per_hour=0)
    await spend(one, "key", calls=1)
    assert await one.left() == {}


async def test_of_a_crowd_of_keys_the_first_are_remembered_look_after_look(redis: Redis) -> None:
    one = limits(redis)
    for number in range(KEYS_REMEMBERED + 20):
        await spend(one, f"key-{number}", calls=1)
    first = await one.left()
    assert list(first) == [hashed(f"key-{number}") for number in range(KEYS_REMEMBERED)]
    await spend(one, "one more", calls=1)
    assert await one.left() == first


async def test_of_many_keys_the_first_are_shown_and_of_the_others_the_least(redis: Redis) -> None:
    one, metrics = limits(redis), Metrics(EXECUTOR_METRICS)
    watch_budgets(metrics, one, per_hour=10)
    keys = [f"key-{number}" for number in range(MOST_KEYS + 5)]
    for key in keys:
        await spend(one, key, calls=1)
    await spend(one, keys[-1], calls=3)
    found = series_of((await MetricsPage(metrics).page()).decode())
    left = {dict(labels)["key"]: value for (name, labels), value in found.items() if name == LEFT}
    assert left == {hashed(key)[:8]: 9.0 for key in keys[:MOST_KEYS]} | {"other": 6.0}
    assert figure(found, "flickrhub_budget_calls") == 10
