"""Work beside the main work."""

import asyncio

import pytest

from flickrhub_common.background import beside, every, until_done
from flickrhub_common.errors import Unavailable


async def test_work_ends_with_its_block_although_it_swallows_a_cancellation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flickrhub_common.background.CANCEL_AGAIN_SECONDS", 0.01)
    begun, ended, swallowed = asyncio.Event(), asyncio.Event(), 0

    async def stubborn() -> None:
        nonlocal swallowed
        begun.set()
        try:
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    swallowed += 1
                    if swallowed == 3:
                        raise
        finally:
            ended.set()

    async with beside(stubborn()):
        await begun.wait()
    assert ended.is_set()


async def test_work_that_ended_by_itself_or_crashed_disturbs_nobody() -> None:
    async def crash() -> None:
        raise ZeroDivisionError

    async with beside(crash()):
        await asyncio.sleep(0)


@pytest.mark.parametrize("failure", [Unavailable("mongo"), ZeroDivisionError()])
async def test_an_act_is_repeated_until_it_goes_right_once(failure: Exception) -> None:
    calls: list[int] = []

    async def act() -> None:
        calls.append(1)
        if len(calls) < 3:
            raise failure

    await until_done(0, act)
    assert len(calls) == 3


@pytest.mark.parametrize("failure", [Unavailable("mongo"), ZeroDivisionError()])
async def test_a_failure_is_not_the_end_of_what_happens_from_time_to_time(failure: Exception) -> None:
    calls, enough = 0, asyncio.Event()

    async def act() -> None:
        nonlocal calls
        calls += 1
        if calls >= 3:
            enough.set()
        raise failure

    async with beside(every(0, act)):
        await asyncio.wait_for(enough.wait(), 5)
