"""Slots and breakers on a real Redis, by its clock."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from redis.asyncio import Redis

from flickrhub_common.errors import Unavailable
from flickrhub_common.redis import make_redis
from flickrhub_common.settings import RedisSettings
from flickrhub_notifier.adapters.redis_endpoints import RedisEndpoints
from flickrhub_notifier.models import NoRoom, Report, Sign, Slot
from tests.support.waiting import eventually

HERE, THERE = "an-endpoint", "another"
OPEN_SECONDS = 0.3
EXACT = 0.001


@pytest.fixture
async def redis(redis_settings: RedisSettings) -> AsyncIterator[Redis]:
    """A client of this test's own database."""
    async with aclosing(make_redis(redis_settings)) as client:
        yield client


def endpoints(redis: Redis, *, concurrency: int = 2, failures: int = 3, lease: float = 10.0) -> RedisEndpoints:
    return RedisEndpoints(
        redis,
        concurrency=concurrency,
        failures=failures,
        open_seconds=OPEN_SECONDS,
        longest_seconds=4 * OPEN_SECONDS,
        lease_seconds=lease,
        short_wait_seconds=0.0,
    )


async def entered(ends: RedisEndpoints, owner: str = "o", *, endpoint: str = HERE) -> Slot:
    found = await ends.enter(endpoint, owner=owner)
    assert isinstance(found, Slot), found
    return found


async def refused(ends: RedisEndpoints, owner: str = "refused") -> NoRoom:
    found = await ends.enter(HERE, owner=owner)
    assert isinstance(found, NoRoom), found
    return found


async def attempted(ends: RedisEndpoints, sign: Sign, *, delivery: str, asked: float = 0.0, took: float = 0.1) -> bool:
    """One attempt of a delivery that was let in; whether it shut the endpoint."""
    return await ends.leave(await entered(ends, f"owner of {delivery}"), Report(delivery, sign, took, asked))


async def opened(ends: RedisEndpoints) -> None:
    """Open the breaker."""
    assert [await attempted(ends, Sign.STRAINED, delivery=f"d{n}") for n in range(3)] == [False, False, True]


async def let_in(ends: RedisEndpoints, owner: str) -> Slot:
    """A slot, as soon as there is one."""

    async def look() -> Slot | None:
        found = await ends.enter(HERE, owner=owner)
        return found if isinstance(found, Slot) else None

    return await eventually(look, within=5, every=0.02, what="a slot")


async def test_no_more_are_let_in_than_there_are_slots_whoever_asks(redis: Redis) -> None:
    ends, elsewhere = endpoints(redis, concurrency=5), endpoints(redis, concurrency=5)
    found = await asyncio.gather(
        *(ends.enter(HERE, owner=f"a{n}") for n in range(20)),
        *(elsewhere.enter(HERE, owner=f"b{n}") for n in range(20)),
    )
    slots = [one for one in found if isinstance(one, Slot)]
    assert len(slots) == 5
    assert all(one.shut_for == 0 for one in found if isinstance(one, NoRoom))
    assert not any(slot.probe for slot in slots)
    assert isinstance(await ends.enter(THERE, owner="c"), Slot)


async def test_a_slot_that_is_given_back_is_the_next_ones(redis: Redis) -> None:
    ends = endpoints(redis, concurrency=1)
    slot = await entered(ends, "a")
    await refused(ends)
    assert await ends.enter(HERE, owner="a") == slot, "the driver asks again when an answer is lost"
    await ends.leave(slot, Report("d", Sign.NONE, 0))
    await entered(ends, "b")


async def test_a_slot_of_a_dead_notifier_ends_with_its_lease(redis: Redis) -> None:
    ends = endpoints(redis, concurrency=1, lease=0.4)
    began = time.monotonic()
    await entered(ends, "killed")
    await let_in(ends, "next")
    assert time.monotonic() - began > 0.35


async def test_zero_is_no_limit(redis: Redis) -> None:
    ends = endpoints(redis, concurrency=0)
    assert all([isinstance(await ends.enter(HERE, owner=str(n)), Slot) for n in range(100)])


async def test_those_who_find_no_slot_are_given_turns_one_by_one_at_the_pace_of_the_endpoint(redis: Redis) -> None:
    ends = endpoints(redis, concurrency=2)
    for n in range(30):
        await attempted(ends, Sign.WELL, delivery=str(n), took=0.2)
    await entered(ends, "a")
    await entered(ends, "b")
    began = time.monotonic()
    found = await asyncio.gather(*(ends.enter(HERE, owner=str(n)) for n in range(40)))
    turns = sorted(room.turn_in for room in found if isinstance(room, NoRoom))
    took = time.monotonic() - began
    assert len(turns) == 40
    assert 40 * 0.1 - took - EXACT < turns[-1] < 40 * 0.1 + took + EXACT, "0.2 s an attempt, two at once"


async def test_a_line_has_an_end_and_who_comes_later_is_told_but_not_counted_in(redis: Redis) -> None:
    ends = endpoints(redis, concurrency=1)
    for n in range(2):  # of two deliveries: the third would open the breaker
        await attempted(ends, Sign.STRAINED, delivery=f"d{n}", took=90)
    await entered(ends, "a")
    turns = [(await refused(ends)).turn_in for _ in range(10)]
    assert [round(turn / 90, 1) for turn in turns] == [1, 2, 3, *[4] * 7]


async def test_failures_of_different_deliveries_in_a_row_open_the_breaker(redis: Redis) -> None:
    ends = endpoints(redis)
    await opened(ends)
    room = await refused(ends)
    assert 0.6 * OPEN_SECONDS < room.shut_for <= 1.2 * OPEN_SECONDS
    assert room.turn_in > room.shut_for
    await entered(ends, endpoint=THERE)


async def test_one_delivery_that_fails_again_and_again_opens_nothing(redis: Redis) -> None:
    ends = endpoints(redis)
    assert not any([await attempted(ends, Sign.STRAINED, delivery="the same") for _ in range(20)])


async def test_any_answer_of_the_endpoint_begins_the_count_anew_and_what_never_reached_it_doesnt(redis: Redis) -> None:
    ends = endpoints(redis)
    strained, well, none = Sign.STRAINED, Sign.WELL, Sign.NONE
    signs = [strained, strained, well, strained, none, strained, none]
    assert not any([await attempted(ends, sign, delivery=f"d{n}") for n, sign in enumerate(signs)])
    assert await attempted(ends, strained, delivery="the third in a row")


async def test_zero_failures_never_open(redis: Redis) -> None:
    ends = endpoints(redis, failures=0)
    assert not any([await attempted(ends, Sign.STRAINED, delivery=f"d{n}") for n in range(20)])


async def test_after_its_time_one_probe_is_let_in_and_nobody_beside_it(redis: Redis) -> None:
    ends = endpoints(redis, concurrency=8)
    await opened(ends)
    probe = await let_in(ends, "probe")
    assert probe.probe
    crowd = await asyncio.gather(*(ends.enter(HERE, owner=str(n)) for n in range(30)))
    assert all(isinstance(one, NoRoom) and one.shut_for > 5 for one in crowd), "until the probe's lease ends"
    await ends.leave(probe, Report("d", Sign.WELL, 0.1))
    crowd = await asyncio.gather(*(ends.enter(HERE, owner=str(n)) for n in range(30)))
    assert sum(isinstance(one, Slot) and not one.probe for one in crowd) == 8


async def test_each_probe_that_fails_doubles_the_time_up_to_the_longest_and_one_that_succeeds_ends_it(
    redis: Redis,
) -> None:
    ends = endpoints(redis)
    await opened(ends)
    for longer in (2, 4, 4):
        assert await ends.leave(await let_in(ends, "probe"), Report("d", Sign.STRAINED, 0.1))
        assert 0.6 * longer < (await refused(ends)).shut_for / OPEN_SECONDS <= 1.2 * longer
    assert not await ends.leave(await let_in(ends, "probe"), Report("d", Sign.WELL, 0.1))
    await opened(ends)
    assert (await refused(ends)).shut_for <= 1.2 * OPEN_SECONDS


async def test_a_probe_that_never_reached_the_endpoint_leaves_the_next_one_to_try(redis: Redis) -> None:
    ends = endpoints(redis)
    await opened(ends)
    assert not await ends.leave(await let_in(ends, "probe"), Report("d", Sign.NONE, 0.1))
    assert (await entered(ends, "next")).probe


async def test_what_was_under_way_when_it_opened_makes_it_no_longer_and_can_end_it(redis: Redis) -> None:
    ends = endpoints(redis, concurrency=8)
    late = [await entered(ends, f"late{n}") for n in range(3)]
    await opened(ends)
    assert not await ends.leave(late[0], Report("late0", Sign.STRAINED, 9))
    assert not await ends.leave(late[1], Report("late1", Sign.STRAINED, 9))
    assert (await refused(ends)).shut_for <= 1.2 * OPEN_SECONDS
    await ends.leave(late[2], Report("late2", Sign.WELL, 9))
    assert not (await entered(ends)).probe


async def test_an_endpoint_that_asks_for_time_has_it_from_everybody(redis: Redis) -> None:
    ends = endpoints(redis)
    slot = await entered(ends, "under way")
    assert not await attempted(ends, Sign.STRAINED, delivery="d", asked=0.5)
    assert 0.3 < (await refused(ends)).shut_for <= 0.5
    await ends.leave(slot, Report("e", Sign.WELL, 0.1))
    await refused(ends)
    await entered(ends, endpoint=THERE)
    assert not (await let_in(ends, "later")).probe


async def test_nothing_is_kept_of_an_endpoint_for_good(redis: Redis) -> None:
    ends = endpoints(redis)
    await opened(ends)
    await refused(ends)
    await let_in(ends, "probe")
    keys = [key async for key in redis.scan_iter()]
    assert len(keys) == 2
    assert all([0 < await redis.ttl(key) <= 3 * 3600 for key in keys])


async def test_without_redis_it_says_so() -> None:
    async with aclosing(make_redis(RedisSettings.model_validate({"redis_url": "redis://127.0.0.1:9/"}))) as nowhere:
        ends = endpoints(nowhere)
        with pytest.raises(Unavailable):
            await ends.enter(HERE, owner="o")
        with pytest.raises(Unavailable):
            await ends.leave(Slot(HERE, "o"), Report("d", Sign.WELL, 0.1))
