"""Calls made together."""

import asyncio
import contextvars
from collections.abc import Sequence

import pytest

from flickrhub_common.batching import Batcher


class Doubling:
    """Answers each number with its double, when it is let; a negative one with an error, zero with one for all."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.let = asyncio.Event()
        self.let.set()
        self.begun = asyncio.Event()

    async def __call__(self, numbers: Sequence[int]) -> Sequence[int | Exception]:
        self.batches.append(list(numbers))
        self.begun.set()
        await self.let.wait()
        if 0 in numbers:
            raise ZeroDivisionError
        return [ValueError(str(number)) if number < 0 else 2 * number for number in numbers]


async def test_calls_of_one_moment_are_made_together_and_each_has_its_own_answer() -> None:
    act = Doubling()
    batcher = Batcher(act)

    assert await asyncio.gather(*(batcher(number) for number in (1, 2, 3))) == [2, 4, 6]
    assert act.batches == [[1, 2, 3]]


async def test_calls_that_come_while_one_is_under_way_go_together_next() -> None:
    act = Doubling()
    act.let.clear()
    batcher = Batcher(act)
    first = asyncio.create_task(batcher(1))
    await act.begun.wait()
    later = [asyncio.create_task(batcher(number)) for number in (2, 3)]
    await asyncio.sleep(0)
    act.let.set()

    assert await asyncio.gather(first, *later) == [2, 4, 6]
    assert act.batches == [[1], [2, 3]]


async def test_a_batch_has_at_most_so_many_and_the_rest_follows() -> None:
    act = Doubling()
    batcher = Batcher(act, most=2)

    assert await asyncio.gather(*(batcher(number) for number in range(1, 6))) == [2, 4, 6, 8, 10]
    assert act.batches == [[1, 2], [3, 4], [5]]


async def test_with_two_at_once_the_second_batch_does_not_wait_for_the_first() -> None:
    act = Doubling()
    act.let.clear()
    batcher = Batcher(act, at_once=2)
    first = asyncio.create_task(batcher(1))
    await act.begun.wait()
    second = asyncio.create_task(batcher(2))
    for _ in range(3):
        await asyncio.sleep(0)

    assert act.batches == [[1], [2]]
    act.let.set()
    assert list(await asyncio.gather(first, second)) == [2, 4]


async def test_an_error_of_one_is_raised_to_its_caller_alone() -> None:
    batcher = Batcher(Doubling())

    answers = await asyncio.gather(batcher(1), batcher(-1), batcher(2), return_exceptions=True)

    assert list(answers[0::2]) == [2, 4]
    assert isinstance(answers[1], ValueError)


async def test_an_error_of_all_is_raised_to_all_and_the_next_batch_goes_on() -> None:
    batcher = Batcher(Doubling())

    answers = await asyncio.gather(batcher(1), batcher(0), return_exceptions=True)

    assert [type(answer) for answer in answers] == [ZeroDivisionError] * 2
    assert await batcher(4) == 8


async def test_too_few_answers_are_an_error_and_leave_nobody_waiting() -> None:
    async def forgetful(numbers: Sequence[int]) -> Sequence[int]:
        return numbers[1:]

    with pytest.raises(RuntimeError, match="another number"):
        await Batcher(forgetful)(1)


async def test_who_is_cancelled_before_the_batch_begins_is_left_out() -> None:
    act = Doubling()
    batcher = Batcher(act)
    staying, leaving = asyncio.create_task(batcher(1)), asyncio.create_task(batcher(2))
    await asyncio.sleep(0)
    leaving.cancel()

    assert await staying == 2
    assert act.batches == [[1]]


async def test_who_is_cancelled_afterwards_leaves_the_others_their_answers() -> None:
    act = Doubling()
    act.let.clear()
    batcher = Batcher(act)
    staying, leaving = asyncio.create_task(batcher(1)), asyncio.create_task(batcher(2))
    await act.begun.wait()
    leaving.cancel()
    act.let.set()

    assert await staying == 2
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_whoever_has_an_answer_may_call_again_at_once() -> None:
    act = Doubling()
    batcher = Batcher(act)

    async def twice(number: int) -> int:
        return await batcher(await batcher(number))

    async with asyncio.timeout(1):
        assert list(await asyncio.gather(twice(1), twice(2))) == [4, 8]


async def test_a_batch_may_wait_for_company_but_not_once_it_is_full() -> None:
    act = Doubling()
    batcher = Batcher(act, most=2, gather_seconds=0.05)
    first = asyncio.create_task(batcher(1))
    await asyncio.sleep(0.01)

    assert list(await asyncio.gather(first, batcher(2))) == [2, 4]
    assert act.batches == [[1, 2]]
    hasty = Batcher(act, most=2, gather_seconds=60)
    async with asyncio.timeout(1):
        assert list(await asyncio.gather(hasty(3), hasty(4))) == [6, 8]


async def test_a_batch_takes_no_more_once_it_is_large() -> None:
    act = Doubling()
    batcher = Batcher(act, size=lambda number: number, most_size=5)

    assert await asyncio.gather(*(batcher(number) for number in (3, 1, 9, 2, 2))) == [6, 2, 18, 4, 4]
    assert act.batches == [[3, 1, 9], [2, 2]]


async def test_a_batch_has_no_context_of_a_caller() -> None:
    whose = contextvars.ContextVar("whose", default="nobody's")

    async def tell(items: Sequence[str]) -> list[str]:
        return [whose.get()] * len(items)

    whose.set("a caller's")
    assert await Batcher(tell)("") == "nobody's"


async def test_items_whose_callers_have_all_gone_are_no_batch() -> None:
    act = Doubling()
    batcher = Batcher(act, gather_seconds=0.01)
    gone = asyncio.create_task(batcher(1))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait({gone})

    assert await batcher(2) == 4
    assert act.batches == [[2]]


async def test_a_batch_that_was_given_up_from_within_fails_and_the_next_goes_on() -> None:
    act = Doubling()
    act.let.clear()
    gives_up = asyncio.Event()

    async def given_up_once(numbers: Sequence[int]) -> Sequence[int | Exception]:
        answers = await act(numbers)
        if not gives_up.is_set():
            gives_up.set()
            raise asyncio.CancelledError  # as a driver may, on a connection that ends
        return answers

    batcher = Batcher(given_up_once)
    first = asyncio.create_task(batcher(1))
    await act.begun.wait()
    waiting = asyncio.create_task(batcher(2))
    await asyncio.sleep(0)
    act.let.set()

    with pytest.raises(RuntimeError, match="given up"):
        await first
    async with asyncio.timeout(1):
        assert await waiting == 4
