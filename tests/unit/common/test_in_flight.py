"""Handlers finish what they have begun, also without the message that led to it."""

import asyncio
import gc
from typing import Any

import pytest

from flickrhub_common.consuming import InFlight


class Work:
    """A handler under way, until it may end."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.ended = ""

    async def __call__(self) -> None:
        try:
            await self.may_end.wait()
            self.ended = "finished"
        except asyncio.CancelledError:
            self.ended = "cut"
            raise


async def as_the_driver_does(in_flight: InFlight, work: Work) -> None:
    """Take a message and have it handled."""
    in_flight.enter()
    try:
        await in_flight.finish(work())
    finally:
        in_flight.leave()


async def begun(in_flight: InFlight, work: Work) -> asyncio.Task[None]:
    task = asyncio.create_task(as_the_driver_does(in_flight, work))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return task


async def test_a_handler_whose_message_is_lost_goes_on_and_stopping_waits_for_it() -> None:
    in_flight, work = InFlight(), Work()
    task = await begun(in_flight, work)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    draining = asyncio.create_task(in_flight.drain(5))
    await asyncio.sleep(0.01)
    assert not draining.done()
    work.may_end.set()
    assert await asyncio.wait_for(draining, 1) == 0
    assert work.ended == "finished"


@pytest.mark.parametrize("lost", [False, True], ids=["in hand", "message lost"])
async def test_at_the_end_of_the_drain_time_it_is_cut(*, lost: bool) -> None:
    in_flight, work = InFlight(), Work()
    task = await begun(in_flight, work)
    if lost:
        task.cancel()
        await asyncio.wait({task})
    assert await in_flight.drain(0.01) == 1
    assert work.ended == "cut"


async def test_a_handler_that_fails_without_its_message_is_no_error_of_the_loop() -> None:
    errors: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    in_flight, may_fail = InFlight(), asyncio.Event()

    async def fail() -> None:
        await may_fail.wait()
        raise ValueError("of ours")

    waiting = asyncio.create_task(in_flight.finish(fail()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    may_fail.set()
    await in_flight.drain(1)
    del waiting
    gc.collect()
    await asyncio.sleep(0)
    assert errors == []


async def test_what_a_handler_raises_reaches_whoever_settles_its_message() -> None:
    in_flight = InFlight()

    async def crash() -> None:
        raise ValueError("of ours")

    with pytest.raises(ValueError, match="of ours"):
        await in_flight.finish(crash())
