"""Deaths, outages, lost answers and repeated messages at random: every upload ends, and its photo is there once."""

import heapq
import random
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from flickrhub_common.contracts import JobCompleted, JobFailed, JobRequested, Target
from flickrhub_common.errors import Unavailable
from flickrhub_executor.models import FlickrReply
from tests.unit.executor.upload_fakes import UploadExecutor, answers, broken_off, lost, refuses

CALLS = 5000


class Killed(BaseException):
    """The process dies here and now."""


class Weather:
    """Has the parts of an executor die or fail before or after what they were asked for, until it clears up."""

    def __init__(self, executor: UploadExecutor, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - a game of dice
        self.executor = executor
        self.bad = True
        for part, names in (
            (executor.claims, ("take", "renew", "conclude", "give_up_attempt", "mark_buried", "mark_reported")),
            (executor.messaging, ("send_event", "send_later", "send_dead")),
            (executor.limits, ("admit",)),
            (executor.cache, ("make_stale",)),
        ):
            for name in names:
                setattr(part, name, self._spoilt(getattr(part, name), outage=Unavailable(name)))
        executor.flickr.send = self._spoilt(executor.flickr.send, outage=None)  # type: ignore[method-assign]
        executor.flickr.call = self._spoilt(executor.flickr.call, outage=lost())  # type: ignore[method-assign]

    def _spoilt(self, act: Callable[..., Any], *, outage: Exception | None) -> Callable[..., Any]:
        async def acted(*args: Any, **kwargs: Any) -> Any:
            self._strike(outage)
            result = await act(*args, **kwargs)
            self._strike(outage)
            return result

        return acted

    def _strike(self, outage: Exception | None) -> None:
        chance = self.random.random()
        if self.bad and chance < 0.02:
            raise Killed
        if self.bad and chance < 0.05 and outage is not None:
            raise outage

    def forecast(self) -> None:
        """What the next sends meet; None is a plain success."""
        ticket = answers("<ticketid>1-2</ticketid>")
        late = FlickrReply(504, b"<html>", None, 1)
        kinds: list[FlickrReply | BaseException | None] = [None, lost(), late, refuses(105), refuses(14), ticket]
        self.executor.flickr.script = self.random.choices(kinds, k=10)
        self.executor.flickr.before = [broken_off()] if self.random.random() < 0.2 else []
        self.executor.photos.failures = [Unavailable("photo_store")] if self.random.random() < 0.2 else []
        self.executor.photos.closing = Unavailable("photo_store") if self.random.random() < 0.2 else None
        self.executor.flickr.tickets = [{"complete": 0}, {"invalid": 1}]


async def brought_to_its_end(executor: UploadExecutor, job: JobRequested, weather: Weather) -> None:
    """Be the broker: give each message when it is due, some twice, and again what wasn't acknowledged."""
    numbers, clock = count(), executor.clock
    waiting = [(clock.now().timestamp(), next(numbers), job)]
    for turn in range(CALLS):
        if not waiting:
            return
        weather.bad = turn < CALLS / 2
        due, _, message = heapq.heappop(waiting)
        clock.advance(max(0.0, due - clock.now().timestamp()))
        before = len(executor.messaging.all("later"))
        try:
            await executor.run(message)
        except Killed:
            heapq.heappush(waiting, (clock.now().timestamp(), next(numbers), message))
        except Unavailable:
            heapq.heappush(waiting, (clock.now().timestamp() + 2, next(numbers), message))
        for sent in executor.messaging.all("later")[before:]:
            assert isinstance(sent.message, JobRequested)
            for _ in range(2 if weather.random.random() < 0.05 else 1):
                at = clock.now().timestamp() + (sent.seconds or 0.25)
                heapq.heappush(waiting, (at, next(numbers), sent.message))
    pytest.fail("it goes on for ever")


@pytest.mark.parametrize("target", [Target.UPLOAD, Target.REPLACE])
@pytest.mark.parametrize("seed", range(40))
async def test_every_job_ends_once_and_no_photo_is_there_twice(target: Target, seed: int) -> None:
    executor = UploadExecutor(target=target, attempts=5)
    weather = Weather(executor, seed)
    weather.forecast()
    await brought_to_its_end(executor, executor.job(), weather)
    outcomes = {event.to_bytes() for event in executor.events(JobCompleted, JobFailed)}
    assert len(outcomes) == 1
    if target is Target.UPLOAD:
        assert len(executor.flickr.kept) <= 1
        if executor.events(JobCompleted):
            assert len(executor.flickr.kept) == 1
