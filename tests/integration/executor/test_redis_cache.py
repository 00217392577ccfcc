"""The cache on a real Redis: generations, races, time."""

import asyncio

import pytest
from redis.asyncio import Redis

from flickrhub_common.redis import PipelinedRedis
from flickrhub_executor.adapters.redis_cache import RedisCache
from flickrhub_executor.models import CachedReply
from tests.support.waiting import eventually

ANSWER = CachedReply('{"t":"line\\nbreak é 日本 😀","stat":"ok"}', 200)


@pytest.fixture
def cache(redis: Redis) -> RedisCache:
    return RedisCache(PipelinedRedis(redis), prefix="cache-of-a-test:", ttl_seconds=60)


async def test_what_is_kept_is_found_by_the_same_user_and_digest_only(cache: RedisCache) -> None:
    key, found = await cache.find("user-1", "abc")
    assert found is None
    await cache.keep(key, ANSWER)
    assert (await cache.find("user-1", "abc"))[1] == ANSWER
    assert (await cache.find("user-2", "abc"))[1] is None
    assert (await cache.find("user-1", "abd"))[1] is None


async def test_a_write_makes_all_of_the_user_s_answers_stale_and_nobody_else_s(cache: RedisCache) -> None:
    for user in ("user-1", "user-2"):
        for digest in ("a", "b"):
            await cache.keep((await cache.find(user, digest))[0], ANSWER)
    await cache.make_stale("user-1")
    assert [(await cache.find("user-1", digest))[1] for digest in "ab"] == [None, None]
    assert [(await cache.find("user-2", digest))[1] for digest in "ab"] == [ANSWER, ANSWER]


async def test_a_read_that_started_before_a_write_isn_t_found_by_those_who_ask_after_it(cache: RedisCache) -> None:
    before, _ = await cache.find("user-1", "a")
    await cache.make_stale("user-1")
    await cache.keep(before, CachedReply("old", 200))
    after, found = await cache.find("user-1", "a")
    assert found is None
    await cache.keep(after, CachedReply("new", 200))
    await cache.keep(before, CachedReply("old", 200))
    assert (await cache.find("user-1", "a"))[1] == CachedReply("new", 200)


async def test_many_reads_and_writes_at_once_never_show_an_answer_from_before_a_write(cache: RedisCache) -> None:
    """Each read remembers how many writes had ended when it began; nobody may find one older than what he knows."""
    done_by_flickr = ended = 0

    async def write() -> None:
        nonlocal done_by_flickr, ended
        done_by_flickr += 1
        await cache.make_stale("user-1")
        ended += 1

    async def read() -> None:
        known = ended
        key, found = await cache.find("user-1", "a")
        if found is not None:
            assert int(found.flickr) >= known
        else:
            seen = done_by_flickr  # what Flickr answers now
            await asyncio.sleep(0)
            await cache.keep(key, CachedReply(str(seen), 200))

    for _ in range(30):
        await asyncio.gather(*(write() if n % 5 == 4 else read() for n in range(50)))


async def test_answers_live_as_long_as_they_are_told_to(redis: Redis) -> None:
    cache = RedisCache(PipelinedRedis(redis), prefix="c:", ttl_seconds=1)
    await cache.keep((await cache.find("user-1", "a"))[0], ANSWER)
    assert (await cache.find("user-1", "a"))[1] == ANSWER

    async def gone() -> bool:
        return (await cache.find("user-1", "a"))[1] is None

    await eventually(gone, within=3, what="the answer's end")


async def test_a_generation_outlives_every_answer_of_the_one_before(redis: Redis) -> None:
    cache = RedisCache(PipelinedRedis(redis), prefix="c:", ttl_seconds=30 * 24 * 3600)
    await cache.make_stale("user-1")
    assert await redis.ttl("c:generation:user-1") > 30 * 24 * 3600
