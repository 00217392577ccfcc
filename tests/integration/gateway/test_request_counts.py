"""The request limits on a real Redis: one truth for all gateways, by its clock, in keys that go away."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from yarl import URL

from flickrhub_common.redis import PipelinedRedis, make_redis
from flickrhub_common.settings import RedisSettings
from flickrhub_gateway.adapters.request_counts import RedisCounts
from flickrhub_gateway.limits import Bucket, Whose
from flickrhub_gateway.settings import GatewaySettings
from flickrhub_gateway.usecases.admit_request import PATIENCE_SECONDS
from tests.integration.gateway.parts import USER, running_gateway, through
from tests.support.tcp_proxy import tcp_proxy

REST = "/api/v1/flickr/rest"
JOB = {"method": "flickr.test.echo", "user_id": USER}
USERS = Bucket(Whose.USER, "u", 6)
ADDRESS = Bucket(Whose.ADDRESS, "a", 12)


@pytest.fixture
async def redis(redis_settings: RedisSettings) -> AsyncIterator[Redis]:
    client = make_redis(redis_settings)
    yield client
    await client.aclose()


async def test_as_many_as_the_limit_are_let_in_whoever_asks(redis: Redis) -> None:
    gateways = [RedisCounts(PipelinedRedis(redis)) for _ in range(3)]
    standings = await asyncio.gather(*(gateways[number % 3].take([ADDRESS, USERS]) for number in range(20)))
    let_in = [standing for standing in standings if not standing.wait]
    assert sorted(standing.remaining for standing in let_in) == [0, 1, 2, 3, 4, 5]
    assert {standing.bucket for standing in standings} == {USERS}
    for standing in standings:
        assert bool(standing.wait) == (standing.retry_after is not None)
        assert 0 <= standing.wait <= 10
        assert 9 <= standing.full_in <= 60


async def test_who_is_refused_by_one_limit_takes_nothing_from_the_other(redis: Redis) -> None:
    counts = RedisCounts(PipelinedRedis(redis))
    for _ in range(10):
        await counts.take([ADDRESS, USERS])
    assert (await counts.take([ADDRESS])).remaining == 5


async def test_a_share_of_a_minute_later_one_more_is_let_in(redis: Redis) -> None:
    counts, fast = RedisCounts(PipelinedRedis(redis)), Bucket(Whose.USER, "u", 600)
    refused = await counts.take([fast])
    while not refused.wait:  # the bucket fills up while it is emptied
        refused = await counts.take([fast])
    assert 0 < refused.wait <= 0.1
    await asyncio.sleep(refused.wait)
    assert not (await counts.take([fast])).wait


async def test_a_clock_that_went_back_shuts_nobody_out(redis: Redis) -> None:
    seconds, _ = await redis.time()
    await redis.set("limit:user:u", (seconds + 3600) * 1_000_000)
    assert [(await RedisCounts(PipelinedRedis(redis)).take([USERS])).retry_after for _ in range(7)] == [None] * 6 + [10]


async def test_a_key_goes_when_it_says_nothing_any_more(redis: Redis) -> None:
    counts = RedisCounts(PipelinedRedis(redis))
    await counts.take([ADDRESS, USERS])
    assert 0 < await redis.pttl("limit:user:u") <= 10_000
    assert 0 < await redis.pttl("limit:address:a") <= 5_000
    for number in range(200):
        await counts.take([Bucket(Whose.USER, f"stranger-{number}", 6000)])
    await asyncio.sleep(0.05)
    assert not [key async for key in redis.scan_iter("limit:user:stranger-*") if await redis.exists(key)]


async def test_all_gateways_count_together_and_go_on_by_themselves_without_redis(settings: GatewaySettings) -> None:
    url = URL(settings.redis_url.get_secret_value())
    limited = settings.model_copy(update={"rate_limit_user_per_minute": 4, "max_pending_jobs": 0})
    async with tcp_proxy(url.host or "", url.port or 6379) as proxy:
        fragile = limited.model_copy(update={"redis_url": through(settings.redis_url, proxy)})
        async with running_gateway(limited) as one, running_gateway(fragile) as other:
            for gateway in (one, other):
                gateway.app.state.use.admit_request._patience = 5  # a busy machine's Redis isn't an absent one
            replies = [await gateway.http.post(REST, json=JOB) for gateway in (one, other) * 3]
            assert [reply.status_code for reply in replies] == [202] * 4 + [429] * 2
            assert [reply.headers["ratelimit-remaining"] for reply in replies] == ["3", "2", "1", "0", "0", "0"]
            assert int(replies[5].headers["retry-after"]) in range(1, 16)
            admit = other.app.state.use.admit_request
            admit._refused.clear()
            admit._patience = PATIENCE_SECONDS
            proxy.stall()
            began = asyncio.get_running_loop().time()
            replies = [await other.http.post(REST, json=JOB) for _ in range(5)]
            assert [reply.status_code for reply in replies] == [202] * 4 + [429]
            assert asyncio.get_running_loop().time() - began < 5
            await proxy.restore()
