"""Contract, section 3: the cache of reads."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from flickrhub_common.redis import make_redis
from flickrhub_common.settings import RedisSettings
from tests.support.hub_account import ECHO, LOGIN, SEARCH, Account, Connect
from tests.support.run_env import needed
from tests.support.simulator import Simulator

TAG = "flickr.photos.addTags"


@pytest.fixture
async def redis() -> AsyncIterator[Redis]:
    client = make_redis(RedisSettings(redis_url=SecretStr(needed("REDIS_URL"))), max_connections=2)
    yield client
    await client.aclose()


async def own_photo(account: Account) -> str:
    found = await account.run(SEARCH, params={"user_id": "me", "per_page": 1})
    return str(found["returnvalue"]["flickr"]["photos"]["photo"][0]["id"])


async def test_the_second_read_comes_from_the_cache(account: Account, sim: Simulator) -> None:
    first = (await account.run(LOGIN))["returnvalue"]
    second = (await account.run(LOGIN))["returnvalue"]
    assert (first["from_cache"], second["from_cache"]) == (False, True)
    assert second["flickr"] == first["flickr"]
    assert second["observability"]["ok"] is True
    assert second["observability"]["status"] == 200
    assert len(await sim.calls(account.app, LOGIN)) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"text": "a"}, {"text": "b"}),
        ({"text": "a"}, {"text": "a", "page": 1}),
        ({"text": "a"}, {"tags": "a"}),
        ({}, {"text": "a"}),
    ],
)
async def test_other_params_are_another_read(
    account: Account, sim: Simulator, first: dict[str, Any], second: dict[str, Any]
) -> None:
    for params in (first, second):
        assert (await account.run(ECHO, params=params))["returnvalue"]["from_cache"] is False
    assert len(await sim.calls(account.app, ECHO)) == 2


async def test_the_order_of_params_makes_no_difference(account: Account, sim: Simulator) -> None:
    await account.run(ECHO, params={"a": "1", "b": "2"})
    second = await account.run(ECHO, params={"b": "2", "a": "1"})
    assert second["returnvalue"]["from_cache"] is True


async def test_another_method_is_another_read(account: Account) -> None:
    await account.run(LOGIN)
    assert (await account.run("flickr.test.null"))["returnvalue"]["from_cache"] is False


async def test_another_users_reads_are_not_shared(connect: Connect) -> None:
    first = await connect()
    second = await connect(first.app, person=4)
    await first.run(LOGIN)
    seen = (await second.run(LOGIN))["returnvalue"]
    assert seen["from_cache"] is False
    assert seen["flickr"]["user"]["username"]["_content"] == second.name


async def test_a_write_makes_the_users_reads_stale_at_once(account: Account, sim: Simulator) -> None:
    photo_id = await own_photo(account)
    info = {"photo_id": photo_id}
    await account.run("flickr.photos.getInfo", params=info)
    assert (await account.run("flickr.photos.getInfo", params=info))["returnvalue"]["from_cache"] is True
    tag = f"stale{account.user_id[:8]}"
    await account.run(TAG, params={**info, "tags": tag})
    fresh = (await account.run("flickr.photos.getInfo", params=info))["returnvalue"]
    assert fresh["from_cache"] is False
    assert tag in [each["raw"] for each in fresh["flickr"]["photo"]["tags"]["tag"]]


async def test_a_write_leaves_other_users_reads_alone(connect: Connect) -> None:
    first = await connect()
    second = await connect(first.app, person=2)
    await second.run(LOGIN)
    await first.run(TAG, params={"photo_id": await own_photo(first), "tags": "mine"})
    assert (await second.run(LOGIN))["returnvalue"]["from_cache"] is True


async def test_writes_are_never_cached(account: Account, sim: Simulator) -> None:
    params = {"photo_id": await own_photo(account), "tags": "twice"}
    for _ in range(2):
        assert (await account.run(TAG, params=params))["returnvalue"]["from_cache"] is False
    assert len(await sim.calls(account.app, TAG)) == 2


async def test_a_failure_is_never_cached(account: Account, sim: Simulator) -> None:
    params = {"photo_id": "1"}
    for _ in range(2):
        assert (await account.run("flickr.photos.getInfo", params=params))["state"] == "failed"
    assert len(await sim.calls(account.app, "flickr.photos.getInfo")) == 2


async def test_a_cached_answer_waits_for_no_rate_limit(account: Account) -> None:
    await account.run(ECHO)
    jobs = [await account.enqueue(ECHO) for _ in range(20)]
    for job_id in jobs:  # at one call a second these would take twenty
        assert (await account.ended(job_id, within=5))["returnvalue"]["from_cache"] is True


async def test_what_is_kept_lives_five_minutes_under_the_prefix(account: Account, redis: Redis) -> None:
    await account.run(LOGIN)
    pattern = f"flickrhub:cache:*{account.user_id}*"
    (key,) = [key async for key in redis.scan_iter(match=pattern, count=1000)]
    assert 290 <= await redis.ttl(key) <= 300
