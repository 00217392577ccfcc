"""Slots and breakers on a real Redis, by its clock."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from unittest.mock import ANY

import pytest
from redis.asyncio import Redis

from flickrhub_common.errors import Unavailable
from flickrhub_common.redis import PipelinedRedis, make_redis
from flickrhub_common.settings import RedisSettings
from flickrhub_notifier.adapters.redis_endpoints import RedisEndpoints
from flickrhub_notifier.models import Report, Room, Sign, Slot
from tests.support.waiting import eventually

HERE, THERE = "an-endpoint", "another"
OPEN_SECONDS = 0.3


@pytest.fixture
async def redis(redis_settings: RedisSettings) -> AsyncIterator[Redis]:
    """A client of this test's own database."""
    async with aclosing(make_redis(redis_settings)) as client:
        yield client


def endpoints(redis: Redis, *, concurrency: int = 2, failures: int = 3, lease: float = 10.0) -> RedisEndpoints:
    return RedisEndpoints(
        PipelinedRedis(redis),
        concurrency=concurrency,
        failures=failures,
        open_seconds=OPEN_SECONDS,
        longest_seconds=4 * OPEN_SECONDS,
        lease_seconds=lease,
    )


async def entered(ends: RedisEndpoints, owner: str = "o", *, endpoint: str = HERE) -> Slot:
    found = await ends.enter(endpoint, owner=owner)
    assert isinstance(found, Slot), found
    return found


async def refused(ends: RedisEndpoints, owner: str = "refused") -> Room:
    found = await ends.enter(HERE, owner=owner)
    assert isinstance(found, Room), found
    return found


async def attempted(ends: RedisEndpoints, sign: Sign, *, delivery: str, asked: float = 0.0) -> bool:
    """One attempt of a delivery that was let in; whether it shut the endpoint."""
    return (await ends.leave(await entered(ends, f"owner of {delivery}"), Report(delivery, sign, asked))).opened


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
    assert all(one.shut_for == 0 for one in found if isinstance(one, Room))
    assert not any(slot.probe for slot in slots)
    assert isinstance(await ends.enter(THERE, owner="c"), Slot)


async def test_a_slot_that_is_given_back_is_the_next_ones(redis: Redis) -> None:
    ends = endpoints(redis, concurrency=1)
    slot = await entered(ends, "a")
    await refused(ends)
    assert await ends.enter(HERE, owner="a") == slot, "the driver asks again when an answer is lost"
    await ends.leave(slot, Report("d", Sign.NONE))
    await entered(ends, "b")


async def test_a_slot_is_handed_over_if_there_is_room_and_the_breaker_is_shut(redis: Redis) -> None:
    ends = endpoints(redis, concurrency=1)
    slot = await entered(ends, "a")
    for _ in range(2):  # the driver asks again when an answer is lost
        assert await ends.leave(slot, Report("d", Sign.WELL), follower="b") == Room(free=0, handed=True)
    await refused(ends)
    assert await ends.leave(Slot(HERE, "b"), Report("d", Sign.STRAINED, 9.0), follower="c") == Room(shut_for=ANY)
    assert await redis.zcard(f"endpoint:{{{HERE}}}:slots") == 0


async def test_a_slot_is_handed_to_nobody_while_others_have_all_of_them(redis: Redis) -> None:
    ends = endpoints(redis, concurrency=2)
    slot = await entered(ends, "a")
    fewer = endpoints(redis, concurrency=1)
    await entered(ends, "b")
    assert await fewer.leave(slot, Report("d", Sign.WELL), follower="c") == Room(free=0)


async def test_a_slot_that_a_process_without_any_wants_is_handed_to_nobody_once(redis: Redis) -> None:
    ends = endpoints(redis, concurrency=2)
    slots = [await entered(ends, owner) for owner in "ab"]
    assert isinstance(await ends.enter(HERE, owner="has some", has_none=False), Room)
    assert (await ends.leave(slots[0], Report("d", Sign.WELL), follower="c")).handed
    assert isinstance(await ends.enter(HERE, owner="x", has_none=True), Room)
    left = await ends.leave(slots[1], Report("d", Sign.WELL), follower="d")
    assert (left.handed, left.wanted, left.free) == (False, True, 1)
    await entered(ends, "x")
    assert (await ends.leave(Slot(HERE, "c"), Report("d", Sign.WELL), follower="d")).handed


async def test_nobody_becomes_a_probe_by_being_handed_a_slot(redis: Redis) -> None:
    ends = endpoints(redis, concurrency=8)
    late = await entered(ends, "late")
    await opened(ends)
    probe = await let_in(ends, "probe")
    assert not (await ends.leave(late, Report("x", Sign.NONE), follower="c")).handed
    assert not (await ends.leave(probe, Report("y", Sign.NONE), follower="c")).handed
    assert (await entered(ends, "next")).probe


async def test_a_slot_of_a_dead_notifier_ends_with_its_lease(redis: Redis) -> None:
    ends = endpoints(redis, concurrency=1, lease=0.4)
    began = time.monotonic()
    await entered(ends, "killed")
    await let_in(ends, "next")
    assert time.monotonic() - began > 0.35


async def test_zero_is_no_limit(redis: Redis) -> None:
    ends = endpoints(redis, concurrency=0)
    assert all([isinstance(await ends.enter(HERE, owner=str(n)), Slot) for n in range(100)])


async def test_failures_of_different_deliveries_in_a_row_open_the_breaker(redis: Redis) -> None:
    ends = endpoints(redis)
    await opened(ends)
    room = await refused(ends)
    assert 0.6 * OPEN_SECONDS < room.shut_for <= 1.2 * OPEN_SECONDS
    assert room.free == 0
    await entered(ends, endpoint=THERE)


async def test_one_delivery_that_fails_again_and_again_opens_nothing(redis: Redis) -> None:
    ends = endpoints(redis)
    assert not any([await attempted(ends, Sign.STRAINED, delivery="the same") for _ in range(20)])


async def test_a_few_that_fail_in_turn_open_it_as_many_do(redis: Redis) -> None:
    ends = endpoints(redis)
    opened_by = [await attempted(ends, Sign.STRAINED, delivery=f"d{n % 2}") for n in range(3)]
    assert opened_by == [False, False, True]


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
    assert all(isinstance(one, Room) and one.shut_for > 5 for one in crowd), "until the probe's lease ends"
    await ends.leave(probe, Report("d", Sign.WELL))
    crowd = await asyncio.gather(*(ends.enter(HERE, owner=str(n)) for n in range(30)))
    assert sum(isinstance(one, Slot) and not one.probe for one in crowd) == 8


async def test_each_probe_that_fails_doubles_the_time_up_to_the_longest_and_one_that_succeeds_ends_it(
    redis: Redis,
) -> None:
    ends = endpoints(redis)
    await opened(ends)
    for longer in (2, 4, 4):
        assert (await ends.leave(await let_in(ends, "probe"), Report("d", Sign.STRAINED))).opened
        assert 0.6 * longer < (await refused(ends)).shut_for / OPEN_SECONDS <= 1.2 * longer
    assert not (await ends.leave(await let_in(ends, "probe"), Report("d", Sign.WELL))).opened
    await opened(ends)
    assert (await refused(ends)).shut_for <= 1.2 * OPEN_SECONDS


async def test_a_probe_that_never_reached_the_endpoint_leaves_the_next_one_to_try(redis: Redis) -> None:
    ends = endpoints(redis)
    await opened(ends)
    assert not (await ends.leave(await let_in(ends, "probe"), Report("d", Sign.NONE))).opened
    assert (await entered(ends, "next")).probe


async def test_what_was_under_way_when_it_opened_makes_it_no_longer_and_can_end_it(redis: Redis) -> None:
    ends = endpoints(redis, concurrency=8)
    late = [await entered(ends, f"late{n}") for n in range(3)]
    await opened(ends)
    assert not (await ends.leave(late[0], Report("late0", Sign.STRAINED))).opened
    assert not (await ends.leave(late[1], Report("late1", Sign.STRAINED))).opened
    assert (await refused(ends)).shut_for <= 1.2 * OPEN_SECONDS
    await ends.leave(late[2], Report("late2", Sign.WELL))
    assert not (await entered(ends)).probe


async def test_an_endpoint_that_asks_for_time_has_it_from_everybody(redis: Redis) -> None:
    ends = endpoints(redis)
    slot = await entered(ends, "under way")
    assert not await attempted(ends, Sign.STRAINED, delivery="d", asked=0.5)
    assert 0.3 < (await refused(ends)).shut_for <= 0.5
    await ends.leave(slot, Report("e", Sign.WELL))
    await refused(ends)
    await entered(ends, endpoint=THERE)
    assert not (await let_in(ends, "later")).probe


async def test_the_room_there_is_counts_slots_and_breaker(redis: Redis) -> None:
    ends = endpoints(redis, concurrency=2)
    assert await ends.look(HERE) == Room(free=2)
    slots = [await entered(ends, owner) for owner in "ab"]
    assert await ends.look(HERE) == Room(free=0)
    assert await ends.leave(slots[0], Report("d", Sign.NONE)) == Room(free=1)
    await ends.leave(slots[1], Report("d", Sign.NONE))
    await opened(ends)
    shut = await ends.look(HERE)
    assert (shut.free, 0 < shut.shut_for <= 1.2 * OPEN_SECONDS) == (0, True)
    await asyncio.sleep(shut.shut_for + 0.01)
    assert await ends.look(HERE) == Room(free=1), "for a probe"
    probe = await let_in(ends, "probe")
    probing = await ends.look(HERE)
    assert (probing.free, probing.shut_for > 5) == (0, True)
    assert await ends.leave(probe, Report("d", Sign.WELL)) == Room(free=2)


async def test_a_line_is_looked_at_when_there_may_be_room_and_by_one_only(redis: Redis) -> None:
    ends = endpoints(redis)
    assert await ends.announce(THERE) == Room(free=2, line=1)
    await opened(ends)
    assert (await ends.announce(HERE)).line == 1
    assert await ends.to_look_at(count=9) == [], "one is shut, the other has room: whoever announced has called"

    async def its_time() -> list[str]:
        return await ends.to_look_at(count=9)

    assert await eventually(its_time, within=5, every=0.02, what="the end of its breaker's time") == [HERE]
    assert await ends.to_look_at(count=9) == []
    await ends.look_again(HERE, seconds=0)
    await ends.look_again(THERE, seconds=0)
    found = await asyncio.gather(*(ends.to_look_at(count=1) for _ in range(4)))
    assert sorted(found) == [[], [], *sorted([[HERE], [THERE]])]


async def test_a_line_ends_unless_someone_has_lined_up_since_it_was_looked_at(redis: Redis) -> None:
    ends = endpoints(redis)
    first = await ends.announce(HERE)
    second = await ends.announce(HERE)
    await ends.end_line(HERE, line=first.line)
    assert (await ends.look(HERE)).line == second.line
    assert await ends.to_look_at(count=9) == [HERE], "at once"
    await ends.end_line(HERE, line=second.line)
    assert (await ends.look(HERE)).line == 0
    assert await redis.zcard("endpoints:lines") == 0


async def test_nothing_is_kept_of_an_endpoint_for_good(redis: Redis) -> None:
    ends = endpoints(redis)
    await opened(ends)
    await refused(ends)
    await ends.announce(HERE)
    await let_in(ends, "probe")
    keys = [key async for key in redis.scan_iter()]
    assert len(keys) == 3
    assert all([0 < await redis.ttl(key) <= 3 * 3600 for key in keys])


async def test_without_redis_it_says_so() -> None:
    async with aclosing(make_redis(RedisSettings.model_validate({"redis_url": "redis://127.0.0.1:9/"}))) as nowhere:
        ends = endpoints(nowhere)
        with pytest.raises(Unavailable):
            await ends.enter(HERE, owner="o")
        with pytest.raises(Unavailable):
            await ends.leave(Slot(HERE, "o"), Report("d", Sign.WELL))


async def test_the_states_of_endpoints_with_a_line_are_told(redis: Redis) -> None:
    ends = endpoints(redis)
    assert (await ends.count_lines(), await ends.states(most=10)) == (0, [])
    await opened(ends)
    slot = await entered(ends, endpoint=THERE)
    await ends.leave(slot, Report("d", Sign.STRAINED, 60.0))
    for endpoint in (HERE, THERE, "a third"):
        await ends.announce(endpoint)
    assert await ends.count_lines() == 3
    assert sorted(await ends.states(most=10)) == ["asked_to_wait", "closed", "open"]
    assert len(await ends.states(most=2)) == 2

    async def half_open() -> bool:
        return "probing" in await ends.states(most=10)

    await eventually(half_open, within=5, every=0.05)
