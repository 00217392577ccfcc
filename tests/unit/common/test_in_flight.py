"""Handlers finish what they have begun, also without the message that led to it."""

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest

from flickrhub_common.consuming import Delivery, InFlight, handled


class Work:
    """A handler under way, until it may end."""

    def __init__(self, error: Exception | None = None) -> None:
        self.may_end = asyncio.Event()
        self.ended = ""
        self._error = error

    async def __call__(self, _: object = None) -> None:
        try:
            await self.may_end.wait()
            self.ended = "finished"
        except asyncio.CancelledError:
            self.ended = "cut"
            raise
        if self._error is not None:
            raise self._error


class Settled:
    """Remembers with what a message was settled."""

    def __init__(self) -> None:
        self.errors: list[Exception | None] = []

    async def __call__(self, _: object, error: Exception | None) -> None:
        self.errors.append(error)


def a_message() -> SimpleNamespace:
    return SimpleNamespace(correlation_id="j-1", is_ours=True)


async def begun(in_flight: InFlight, work: Work) -> None:
    in_flight.begin(work())
    await asyncio.sleep(0)


async def test_stopping_waits_for_the_handlers_under_way_and_for_those_they_leave_room_for() -> None:
    in_flight, work, next_one = InFlight(), Work(), Work()
    await begun(in_flight, work)
    draining = asyncio.create_task(in_flight.drain(5))
    await asyncio.sleep(0.01)
    await begun(in_flight, next_one)
    work.may_end.set()
    await asyncio.sleep(0.01)
    assert not draining.done()
    next_one.may_end.set()
    assert await asyncio.wait_for(draining, 1) == 0
    assert (work.ended, next_one.ended) == ("finished", "finished")


async def test_at_the_end_of_the_drain_time_it_is_cut() -> None:
    in_flight, work = InFlight(), Work()
    await begun(in_flight, work)
    assert await in_flight.drain(0.01) == 1
    assert work.ended == "cut"


async def test_a_handler_is_not_of_whoever_took_its_message() -> None:
    in_flight, work = InFlight(), Work()

    async def the_driver() -> None:
        in_flight.begin(work())
        await asyncio.sleep(60)

    driver = asyncio.create_task(the_driver())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    driver.cancel()
    work.may_end.set()
    assert await in_flight.drain(1) == 0
    assert work.ended == "finished"


@pytest.mark.parametrize("error", [None, ValueError("of ours")], ids=["nothing", "an error"])
async def test_what_a_handler_raises_reaches_whoever_settles_its_message(error: Exception | None) -> None:
    work, settled = Work(error), Settled()
    work.may_end.set()
    await handled(cast("Delivery", a_message()), work, settled)
    assert settled.errors == [error]


@pytest.mark.parametrize("error", [None, ValueError("of ours")], ids=["nothing", "an error"])
async def test_a_message_that_was_lost_in_hand_is_not_settled_as_its_copy_is(error: Exception | None) -> None:
    work, settled, message = Work(error), Settled(), a_message()
    handling = asyncio.create_task(handled(cast("Delivery", message), work, settled))
    await asyncio.sleep(0)
    message.is_ours = False
    work.may_end.set()
    await handling
    assert settled.errors == []


async def test_a_handler_that_is_cut_settles_nothing() -> None:
    in_flight, work, settled = InFlight(), Work(), Settled()
    in_flight.begin(handled(cast("Delivery", a_message()), work, settled))
    await asyncio.sleep(0)
    await in_flight.drain(0)
    assert (work.ended, settled.errors) == ("cut", [])
