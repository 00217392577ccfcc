"""Whether a user is connected: asked once, remembered for a while, forgotten on events."""

import asyncio
from datetime import timedelta

import pytest

from flickrhub_common.errors import TokenNotFound, Unavailable
from flickrhub_common.testing import FakeClock
from flickrhub_gateway.usecases.check_connection import CheckConnection
from tests.unit.gateway.fakes import STRANGER, USER, FakeAuth


class World:
    """Auth with one user, and what remembers it."""

    def __init__(self, most: int = 10) -> None:
        self.auth = FakeAuth()
        self.clock = FakeClock()
        self.check = CheckConnection(self.auth, self.clock, remember=timedelta(seconds=60), most=most)


@pytest.fixture
def world() -> World:
    return World()


async def test_a_known_user_is_asked_about_once_until_the_time_is_over(world: World) -> None:
    for _ in range(3):
        await world.check(USER)
    assert world.auth.asked == [USER]
    world.clock.advance(60)
    await world.check(USER)
    assert world.auth.asked == [USER, USER]


async def test_an_unknown_user_is_asked_about_every_time(world: World) -> None:
    for _ in range(2):
        with pytest.raises(TokenNotFound):
            await world.check(STRANGER)
    world.auth.users.add(STRANGER)
    await world.check(STRANGER)
    assert len(world.auth.asked) == 3


async def test_a_failed_question_isnt_remembered(world: World) -> None:
    world.auth.failure = Unavailable("auth")
    with pytest.raises(Unavailable):
        await world.check(USER)
    world.auth.failure = None
    await world.check(USER)


async def test_forgetting_makes_it_ask_again(world: World) -> None:
    await world.check(USER)
    world.auth.users.clear()
    world.check.forget(USER)
    with pytest.raises(TokenNotFound):
        await world.check(USER)


async def test_an_answer_from_before_the_forgetting_isnt_remembered(world: World) -> None:
    world.auth.hold = asyncio.Event()
    early = asyncio.create_task(world.check(USER))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    world.auth.users.clear()
    world.check.forget(USER)
    world.auth.hold.set()
    await early
    with pytest.raises(TokenNotFound):
        await world.check(USER)


async def test_a_client_that_goes_away_doesnt_take_the_answer_from_the_others(world: World) -> None:
    world.auth.hold = asyncio.Event()
    leaves, stays = (asyncio.create_task(world.check(USER)) for _ in range(2))
    await asyncio.sleep(0)
    leaves.cancel()
    world.auth.hold.set()
    await stays
    assert world.auth.asked == [USER]


async def test_the_memory_is_bounded_and_loses_the_oldest_first() -> None:
    world = World(most=2)
    for user in ("a", "b", "c"):
        world.auth.users.add(user)
        await world.check(user)
    await world.check("b")
    await world.check("c")
    assert world.auth.asked == ["a", "b", "c"]
    await world.check("a")
    assert world.auth.asked == ["a", "b", "c", "a"]
