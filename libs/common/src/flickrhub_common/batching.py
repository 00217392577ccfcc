"""Calls that come while others are under way, made together: one round trip and one flush to disk for all of them."""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOST_TOGETHER = 100
MOST_SIZE = 4 * 1024 * 1024


class Batcher(Generic[T, R]):
    """Gathers what is asked for at the same time (group commit): whoever calls waits for their own answer, as ever.

    Nobody waits for company, unless ``gather_seconds`` says how long every batch does. What is asked for in one turn of
    the event loop goes out together, and what comes while ``at_once`` batches are under way goes with the next. A batch
    has at most ``most`` items, and takes no more once it has ``most_size`` by what ``size`` says of each.

    ``act`` gets the items in the order in which they came and returns an answer for each, in that order; an answer that
    is an exception is raised to its caller alone, what ``act`` raises is raised to all callers of the batch.

    An item whose caller was cancelled before its batch began is left out; after that it is done all the same.
    A batch belongs to none of its callers: their context variables (trace, fields of log lines) aren't seen by ``act``.
    """

    def __init__(
        self,
        act: Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]],
        *,
        most: int = MOST_TOGETHER,
        at_once: int = 1,
        gather_seconds: float = 0.0,
        size: Callable[[T], int] | None = None,
        most_size: int = MOST_SIZE,
    ) -> None:
        self._act = act
        self._most = most
        self._at_once = at_once
        self._gather_seconds = gather_seconds
        self._size = size
        self._most_size = most_size
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._under_way = 0
        self._workers: set[asyncio.Task[None]] = set()

    async def __call__(self, item: T) -> R:
        """Have this done, with others or alone. Raises what ``act`` raises or answers."""
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._under_way < self._at_once:
            self._under_way += 1
            worker = asyncio.create_task(self._work(), name="batch", context=contextvars.Context())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        return await answer

    async def _work(self) -> None:
        try:
            await self._work_off()
        finally:
            # Here and not when the task is done: whoever has an answer may call again before that is noticed.
            self._under_way -= 1

    async def _work_off(self) -> None:
        while self._waiting:
            if self._gather_seconds and len(self._waiting) < self._most:
                await asyncio.sleep(self._gather_seconds)
            batch = self._next()
            if not batch:
                continue
            try:
                answers = await self._answers([item for item, _ in batch])
            except BaseException:
                for _, answer in batch:
                    answer.cancel()
                raise
            for (_, answer), found in zip(batch, answers, strict=False):
                _give(answer, found)

    async def _answers(self, items: list[T]) -> Sequence[R | Exception]:
        try:
            answers = await self._act(items)
        except asyncio.CancelledError as error:
            if (worker := asyncio.current_task()) is None or worker.cancelling():
                raise
            # A driver's own, of a call that it gave up: nobody asked the callers to end, nor those of the next batch.
            return [RuntimeError(f"a batch was given up: {error!r}")] * len(items)
        except Exception as error:  # noqa: BLE001 - raised to every caller
            return [error] * len(items)
        if len(answers) != len(items):
            return [RuntimeError("a batch was answered with another number of answers")] * len(items)
        return answers

    def _next(self) -> list[tuple[T, asyncio.Future[R]]]:
        batch: list[tuple[T, asyncio.Future[R]]] = []
        size = 0
        while self._waiting and len(batch) < self._most and size < self._most_size:
            item, answer = self._waiting.popleft()
            if not answer.done():
                batch.append((item, answer))
                size += self._size(item) if self._size else 0
        return batch


def _give(answer: asyncio.Future[R], found: R | Exception) -> None:
    if answer.done():  # its caller was cancelled meanwhile
        return
    if isinstance(found, Exception):
        answer.set_exception(found)
    else:
        answer.set_result(found)
