"""The rate limits on a real Redis and in real time, with hours of a few seconds."""

import asyncio
import itertools
import random
import time
from collections import Counter
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field

import pytest
from redis.asyncio import Redis

from flickrhub_common.contracts import Reservation
from flickrhub_common.redis import PipelinedRedis, make_redis
from flickrhub_common.settings import RedisSettings
from flickrhub_common.topology import MAX_DELAY_SECONDS
from flickrhub_executor.adapters.redis_limits import SHORT_WAIT_SECONDS, RedisLimits
from flickrhub_executor.models import Go, WaitForTurn

pytestmark = pytest.mark.timed

KEY = "an-api-key"
PREFIX = "quota-of-a-test:"
EXACT = 1e-5
MEASURED = 0.1
"""How far a time seen here may be from Redis's on a busy machine."""


def limits(
    redis: Redis, *, per_second: float = 0, per_hour: int = 0, hour: float = 3600.0, late: float = 5.0
) -> RedisLimits:
    return RedisLimits(
        PipelinedRedis(redis),
        prefix=PREFIX,
        per_hour=per_hour,
        per_second=per_second,
        hour_seconds=hour,
        late_seconds=late,
    )


@dataclass
class Crowd:
    """Jobs that ask, wait as they are told (and `lateness` longer, as the ladder would have it), and go."""

    limits: RedisLimits
    least_late: float = 0.0
    most_late: float = 0.0
    went: list[tuple[float, str]] = field(default_factory=list)
    looks: Counter[str] = field(default_factory=Counter)
    chance: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311 - repeatable on purpose

    async def job(self, user: str, *, after: float = 0.0) -> float:
        """One job from its arrival to its call; when that was, in Unix seconds."""
        await asyncio.sleep(after)
        reservation: Reservation | None = None
        while True:
            self.looks[user] += 1
            verdict = await self.limits.admit(user_id=user, api_key=KEY, reservation=reservation)
            if isinstance(verdict, Go):
                assert 0 <= verdict.seconds <= SHORT_WAIT_SECONDS
                moment = time.time() + verdict.seconds
                self.went.append((moment, user))
                return moment
            reservation = verdict.reservation
            await asyncio.sleep(verdict.seconds + self.chance.uniform(self.least_late, self.most_late))

    async def jobs(self, user: str, count: int, *, within: float = 0.0) -> list[float]:
        """So many jobs of one user, arriving at random moments."""
        return await asyncio.gather(*(self.job(user, after=self.chance.uniform(0, within)) for _ in range(count)))

    def order(self) -> list[str]:
        """Whose jobs went, in the order of their calls."""
        return [user for _, user in sorted(self.went)]

    def times(self) -> list[float]:
        """When they went."""
        return sorted(moment for moment, _ in self.went)


async def exact_times(redis: Redis) -> list[float]:
    """When calls went, by the clock of Redis: what is spent of the budget."""
    (key,) = await redis.keys(f"{PREFIX}budget:*")
    return sorted(float(moment) for moment in await redis.lrange(key, 0, -1))


def closest(times: list[float]) -> float:
    return min(later - earlier for earlier, later in itertools.pairwise(times))


def most_in_any(times: list[float], window: float) -> int:
    """The largest number of calls in any window of that length."""
    return max(sum(start <= moment < start + window for moment in times) for start in times)


# -- one user's lane -------------------------------------------------------------------------------------------------


async def test_calls_of_a_user_are_never_closer_than_the_interval_however_they_arrive(redis: Redis) -> None:
    crowd = Crowd(limits(redis, per_second=20, per_hour=100_000), most_late=0.4)
    await crowd.jobs("user-1", 60, within=1.0)
    times = await exact_times(redis)
    assert len(times) == 60
    assert closest(times) >= 0.05 - EXACT


async def test_thirty_turns_at_twenty_a_second_take_about_a_second_and_a_half(redis: Redis) -> None:
    crowd = Crowd(limits(redis, per_second=20, per_hour=100_000))
    await crowd.jobs("user-1", 30)
    times = await exact_times(redis)
    assert closest(times) >= 0.05 - EXACT
    assert 1.45 - EXACT <= times[-1] - times[0] < 2.2


async def test_lateness_like_the_ladder_s_costs_its_longest_once_and_doesn_t_add_up(redis: Redis) -> None:
    crowd = Crowd(limits(redis, per_second=4, per_hour=100_000), least_late=0.05, most_late=0.4)
    await crowd.jobs("user-1", 20)
    times = await exact_times(redis)
    assert closest(times) >= 0.25 - EXACT
    assert times[-1] - times[0] < 19 * 0.25 + 1.5


async def test_after_an_outage_those_who_are_late_go_one_by_one_and_all_of_them(redis: Redis) -> None:
    asked = limits(redis, per_second=20, per_hour=100_000)
    verdicts = [await asked.admit(user_id="user-1", api_key=KEY, reservation=None) for _ in range(60)]
    waiting = [verdict.reservation for verdict in verdicts if isinstance(verdict, WaitForTurn)]
    assert len(waiting) >= 40
    await asyncio.sleep(2.9)  # every turn is nearly over
    crowd = Crowd(asked)
    back = asyncio.gather(*(_come_back(crowd, reservation) for reservation in waiting))
    started = time.time()
    await back
    times = await exact_times(redis)
    assert len(times) == 60
    assert closest(times) >= 0.05 - EXACT
    assert times[-1] - started < len(waiting) * 0.05 + 1.5


async def _come_back(crowd: Crowd, reservation: Reservation | None) -> None:
    verdict = await crowd.limits.admit(user_id="user-1", api_key=KEY, reservation=reservation)
    while isinstance(verdict, WaitForTurn):
        await asyncio.sleep(verdict.seconds)
        verdict = await crowd.limits.admit(user_id="user-1", api_key=KEY, reservation=verdict.reservation)


async def test_a_job_that_comes_later_doesn_t_jump_the_queue(redis: Redis) -> None:
    asked = limits(redis, per_second=1)
    turns = []
    for _ in range(20):
        verdict = await asked.admit(user_id="user-1", api_key=KEY, reservation=None)
        if isinstance(verdict, WaitForTurn):
            assert verdict.reservation is not None
            turns.append(verdict.reservation.at)
    assert turns == sorted(turns)
    assert closest(turns) >= 1 - EXACT


async def test_a_thousand_waiting_jobs_of_one_user_don_t_delay_another_s(redis: Redis) -> None:
    asked = limits(redis, per_second=1, per_hour=3500)
    for _ in range(1000):
        await asked.admit(user_id="user-1", api_key=KEY, reservation=None)
    assert await asked.admit(user_id="user-2", api_key=KEY, reservation=None) == Go(0.0)


async def test_asked_by_several_clients_at_once_no_two_turns_are_the_same(redis_settings: RedisSettings) -> None:
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(aclosing(make_redis(redis_settings))) for _ in range(4)]
        shared = [limits(client, per_second=2, per_hour=100) for client in clients]
        verdicts = await asyncio.gather(
            *(each.admit(user_id="user-1", api_key=KEY, reservation=None) for each in shared * 25)
        )
    now = sum(isinstance(verdict, Go) for verdict in verdicts)
    turns = [verdict.reservation.at for verdict in verdicts if isinstance(verdict, WaitForTurn) and verdict.reservation]
    assert now <= 2
    assert len(turns) == 100 - now
    assert closest(sorted(turns)) >= 0.5 - EXACT


async def test_a_job_that_comes_back_too_early_keeps_its_turn(redis: Redis) -> None:
    asked = limits(redis, per_second=1)
    verdicts = [await asked.admit(user_id="user-1", api_key=KEY, reservation=None) for _ in range(5)]
    early = verdicts[3]
    assert isinstance(early, WaitForTurn)
    again = await asked.admit(user_id="user-1", api_key=KEY, reservation=early.reservation)
    assert isinstance(again, WaitForTurn)
    assert again.reservation == early.reservation
    assert again.seconds == pytest.approx(early.seconds, abs=MEASURED)


async def test_a_turn_beyond_the_ladder_s_reach_isn_t_reserved_so_that_the_lane_has_no_holes(redis: Redis) -> None:
    interval = 0.6 * MAX_DELAY_SECONDS
    asked = limits(redis, per_second=1 / interval)
    first, second, *others = [await asked.admit(user_id="user-1", api_key=KEY, reservation=None) for _ in range(5)]
    assert first == Go(0.0)
    assert isinstance(second, WaitForTurn)
    assert second.reservation is not None
    assert others == [WaitForTurn(MAX_DELAY_SECONDS, None)] * 3
    (lane,) = await redis.keys(f"{PREFIX}lane:*")
    tail = await redis.hget(lane, "tail")
    assert tail is not None
    assert float(tail) == pytest.approx(second.reservation.at, abs=EXACT)


# -- an api key's budget ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most_late", [0.0, 0.15, 0.6], ids=["punctual", "a bit late", "too late for their places"])
async def test_no_window_holds_more_than_the_budget(redis: Redis, most_late: float) -> None:
    crowd = Crowd(limits(redis, per_hour=8, hour=1.2, late=0.3), most_late=most_late)
    await asyncio.gather(*(crowd.jobs(f"user-{n}", 7, within=1.5) for n in range(4)))
    assert len(crowd.times()) == 28
    assert most_in_any(crowd.times(), 1.2 - MEASURED) <= 8


async def test_both_limits_hold_together(redis: Redis) -> None:
    crowd = Crowd(limits(redis, per_second=10, per_hour=12, hour=1.5, late=0.3), most_late=0.1)
    await asyncio.gather(*(crowd.jobs(f"user-{n}", 10) for n in range(3)))
    assert most_in_any(crowd.times(), 1.5 - MEASURED) <= 12
    for user in ("user-0", "user-1", "user-2"):
        assert closest(sorted(t for t, who in crowd.went if who == user)) >= 0.1 - 0.05


async def test_after_its_first_use_all_at_once_the_budget_is_given_out_evenly_and_without_drift(redis: Redis) -> None:
    crowd = Crowd(limits(redis, per_hour=10, hour=1.9, late=0.1), most_late=0.05)
    started = time.time()
    await crowd.jobs("user-1", 30)
    times = crowd.times()
    assert times[9] - started < SHORT_WAIT_SECONDS
    evenly = 2.0 + 19 * 0.2
    assert evenly - MEASURED <= times[-1] - started < evenly + 0.6


async def test_a_full_budget_is_one_window_of_waiting_for_places_reserved_one_by_one(redis: Redis) -> None:
    asked = limits(redis, per_hour=3, hour=60.0, late=1.0)
    for user in "abc":
        assert await asked.admit(user_id=user, api_key=KEY, reservation=None) == Go(0.0)
    places = []
    for user in "defg":
        verdict = await asked.admit(user_id=user, api_key=KEY, reservation=None)
        assert isinstance(verdict, WaitForTurn)
        assert verdict.reservation is not None
        assert verdict.reservation.limit == "key"
        places.append(verdict.reservation.at - time.time())
    assert places[:3] == [pytest.approx(61, abs=1)] * 3
    assert places[3] == pytest.approx(122, abs=1)


async def test_users_take_turns_when_the_budget_is_used_up(redis: Redis) -> None:
    crowd = Crowd(limits(redis, per_hour=4, hour=3.0, late=0.3))
    await asyncio.gather(crowd.jobs("spent", 4))
    first = asyncio.create_task(crowd.jobs("many", 30))
    await asyncio.sleep(0.1)
    await asyncio.gather(*(crowd.job(user) for user in ("one", "another")))
    first.cancel()
    waited_for = crowd.order()[4:]
    assert waited_for.count("many") <= 3  # each of the two had but one before it, and the three share three places
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_turns_reserved_before_the_budget_was_used_up_give_no_claim_on_its_places(redis: Redis) -> None:
    crowd = Crowd(limits(redis, per_second=5, per_hour=6, hour=3.0, late=0.3))
    many = asyncio.create_task(crowd.jobs("many", 12))
    await asyncio.sleep(2.6)  # six of them went, the turns of all others have come, and one of them has a place
    assert crowd.order() == ["many"] * 6
    await crowd.job("one")
    many.cancel()
    assert crowd.order().count("many") <= 8
    with pytest.raises(asyncio.CancelledError):
        await many


async def test_two_users_with_many_jobs_share_the_budget_evenly_and_in_few_looks(redis: Redis) -> None:
    crowd = Crowd(limits(redis, per_second=20, per_hour=8, hour=2.4, late=0.2), most_late=0.1)
    await crowd.jobs("spent", 8)
    await asyncio.gather(crowd.jobs("a", 8), crowd.jobs("b", 8))
    order = crowd.order()[8:]
    for end in range(2, len(order) - 2):
        assert abs(order[:end].count("a") - order[:end].count("b")) <= 2, order
    assert crowd.looks["a"] + crowd.looks["b"] <= 16 * 6


async def test_places_of_an_outage_aren_t_used_all_at_once_after_it(redis: Redis) -> None:
    asked = limits(redis, per_hour=5, hour=1.0, late=0.2)
    users = [f"user-{n}" for n in range(12)]
    for user in ("s1", "s2", "s3", "s4", "s5"):
        await asked.admit(user_id=user, api_key=KEY, reservation=None)
    verdicts = [await asked.admit(user_id=user, api_key=KEY, reservation=None) for user in users]
    waiting = [(user, v.reservation) for user, v in zip(users, verdicts, strict=True) if isinstance(v, WaitForTurn)]
    assert len(waiting) == 12
    await asyncio.sleep(4)  # all twelve places are over
    crowd = Crowd(asked)

    async def come_back(user: str, reservation: Reservation | None) -> None:
        verdict = await asked.admit(user_id=user, api_key=KEY, reservation=reservation)
        if isinstance(verdict, Go):
            crowd.went.append((time.time() + verdict.seconds, user))
        else:
            await asyncio.sleep(verdict.seconds)
            await come_back(user, verdict.reservation)

    await asyncio.gather(*(come_back(*each) for each in waiting))
    assert len(crowd.went) == 12
    assert most_in_any(crowd.times(), 1.0 - MEASURED) <= 5


async def test_a_place_beyond_the_ladder_s_reach_isn_t_spent(redis: Redis) -> None:
    asked = limits(redis, per_hour=1, hour=0.7 * MAX_DELAY_SECONDS)
    verdicts = [await asked.admit(user_id=user, api_key=KEY, reservation=None) for user in "abcd"]
    assert verdicts[0] == Go(0.0)
    assert isinstance(verdicts[1], WaitForTurn)
    assert verdicts[1].reservation is not None
    assert verdicts[2:] == [WaitForTurn(MAX_DELAY_SECONDS, None)] * 2


async def test_each_key_has_a_budget_of_its_own(redis: Redis) -> None:
    asked = limits(redis, per_hour=1)
    assert await asked.admit(user_id="a", api_key="one", reservation=None) == Go(0.0)
    assert await asked.admit(user_id="b", api_key="two", reservation=None) == Go(0.0)
    assert isinstance(await asked.admit(user_id="c", api_key="one", reservation=None), WaitForTurn)


# -- switched off ----------------------------------------------------------------------------------------------------


async def test_with_both_limits_off_everything_goes_and_redis_isn_t_asked(redis: Redis) -> None:
    asked = limits(redis)
    assert [await asked.admit(user_id="a", api_key=KEY, reservation=None) for _ in range(50)] == [Go(0.0)] * 50
    assert await redis.keys("*") == []


async def test_without_the_user_s_limit_only_the_budget_counts(redis: Redis) -> None:
    asked = limits(redis, per_hour=50)
    verdicts = [await asked.admit(user_id="a", api_key=KEY, reservation=None) for _ in range(51)]
    assert verdicts[:50] == [Go(0.0)] * 50
    assert isinstance(verdicts[50], WaitForTurn)


async def test_without_the_budget_only_the_lane_counts(redis: Redis) -> None:
    asked = limits(redis, per_second=1)
    everybody = [await asked.admit(user_id=f"user-{n}", api_key=KEY, reservation=None) for n in range(100)]
    assert everybody == [Go(0.0)] * 100
    assert isinstance(await asked.admit(user_id="user-1", api_key=KEY, reservation=None), WaitForTurn)
    assert await redis.keys(f"{PREFIX}budget:*") == []


async def test_a_reservation_from_before_a_limit_was_switched_off_goes_at_once(redis: Redis) -> None:
    held = Reservation(limit="key", at=time.time() - 1)
    assert await limits(redis).admit(user_id="a", api_key=KEY, reservation=held) == Go(0.0)


# -- what is left in Redis -------------------------------------------------------------------------------------------


async def test_no_key_names_the_api_key_and_all_of_them_end_by_themselves(redis: Redis) -> None:
    asked = limits(redis, per_second=1, per_hour=2)
    for user in "aabbcc":
        await asked.admit(user_id=user, api_key=KEY, reservation=None)
    keys = await redis.keys("*")
    assert keys
    for key in keys:
        assert KEY not in str(key)
        assert 0 < await redis.ttl(key) < 4 * 3600


async def test_after_redis_lost_everything_those_who_wait_still_get_their_turns(redis: Redis) -> None:
    asked = limits(redis, per_second=5, per_hour=100)
    verdicts = [await asked.admit(user_id="a", api_key=KEY, reservation=None) for _ in range(8)]
    await redis.flushdb()
    crowd = Crowd(asked)
    for verdict in verdicts:
        if isinstance(verdict, WaitForTurn):
            await asyncio.sleep(max(0.0, verdict.reservation.at - time.time()) if verdict.reservation else 0.0)
            again = await asked.admit(user_id="a", api_key=KEY, reservation=verdict.reservation)
            assert isinstance(again, Go)
            crowd.went.append((time.time() + again.seconds, "a"))
    assert closest(crowd.times()) >= 0.2 - 0.05
