"""Waiting for what happens in other processes, where no event can be awaited."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")


@overload
async def eventually(
    predicate: Callable[[], Awaitable[T | None]], *, within: float = 10.0, every: float = 0.05, what: str = "it"
) -> T: ...
@overload
async def eventually(
    predicate: Callable[[], T | None], *, within: float = 10.0, every: float = 0.05, what: str = "it"
) -> T: ...
async def eventually(
    predicate: Callable[[], Any], *, within: float = 10.0, every: float = 0.05, what: str = "it"
) -> Any:
    """Ask until the answer is true, and return that answer.

    `predicate` may be a coroutine function and may assert; after `within` seconds its last assertion, or one that
    shows its last answer, fails the test. Any other exception passes at once.
    """
    deadline = time.monotonic() + within
    while True:
        try:
            answer = predicate()
            value = await answer if inspect.isawaitable(answer) else answer
            if value:
                return value
            failure = AssertionError(f"{what} didn't come true within {within:g} s; the last answer was {value!r}")
        except AssertionError as error:
            failure = error
        if time.monotonic() >= deadline:
            raise failure
        await asyncio.sleep(every)


async def never(predicate: Callable[[], object], *, during: float, every: float = 0.05, what: str = "it") -> None:
    """Fail as soon as the answer is true; return after `during` seconds in which it never was."""
    deadline = time.monotonic() + during
    while time.monotonic() < deadline:
        answer = predicate()
        assert not answer, f"{what} came true: {answer!r}"
        await asyncio.sleep(every)
