"""A job whose every call crashes its executor, or kills it, after the claim was taken: it ends all the same."""

import heapq
from itertools import count
from typing import Any

import pytest

from flickrhub_common.contracts import JobRequested, Target, UploadProgress
from flickrhub_common.errors import TokenNotFound, Unavailable
from flickrhub_common.settling import BroughtBackTooOften, Bury, Postpone, decide
from flickrhub_common.topology import DELIVERY_LIMIT
from flickrhub_executor.models import Taken
from flickrhub_executor.usecases.attempts import MOST_DEATHS
from flickrhub_executor.usecases.give_up_job import GiveUpJob
from tests.unit.executor.fakes import LEASE, Executor, a_job
from tests.unit.executor.upload_fakes import UploadExecutor

READ, WRITE, CREATE = "flickr.photos.search", "flickr.photos.addTags", "flickr.photosets.create"
MOST_MESSAGES = 200


class Killed(BaseException):
    """The process dies here and now."""


class Edge:
    """The broker and the edge of a consumer: what becomes of messages by their headers, on the executor's clock."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._give_up = GiveUpJob(report=executor.report, max_attempts=executor.attempts, clock=executor.clock)
        self._waiting: list[tuple[float, int, JobRequested, dict[str, Any]]] = []
        self._numbers = count()
        self.delivered = 0

    async def bring(self, job: JobRequested) -> None:
        """Deliver it, and whatever follows from it, until nothing is left."""
        self._put(job, 0.0, {})
        while self._waiting:
            assert self.delivered < MOST_MESSAGES, "it goes on for ever"
            due, _, message, headers = heapq.heappop(self._waiting)
            clock = self._executor.clock
            clock.advance(max(0.0, due - clock.now().timestamp()))
            self.delivered += 1
            await self._deliver(message, headers)

    async def _deliver(self, message: JobRequested, headers: dict[str, Any]) -> None:
        before = len(self._executor.messaging.all("later"))
        error: Exception | None = None
        try:
            await self._handle(message, headers)
        except Killed:
            self._put(message, 0.0, {**headers, "x-delivery-count": headers.get("x-delivery-count", 0) + 1})
        except (BroughtBackTooOften, ZeroDivisionError, Unavailable) as raised:
            error = raised
        match decide(error, headers):
            case Postpone(seconds, kept):
                self._put(message, seconds, kept)
            case Bury():
                await self._give_up(message)
        for sent in self._executor.messaging.all("later")[before:]:
            assert isinstance(sent.message, JobRequested)
            self._put(sent.message, sent.seconds or 0.25, {})

    async def _handle(self, message: JobRequested, headers: dict[str, Any]) -> None:
        if headers.get("x-delivery-count", 0) >= DELIVERY_LIMIT - 1:
            raise BroughtBackTooOften
        await self._executor.run(message)

    def _put(self, message: JobRequested, seconds: float, headers: dict[str, Any]) -> None:
        at = self._executor.clock.now().timestamp() + seconds
        heapq.heappush(self._waiting, (at, next(self._numbers), message, headers))


def always(error: BaseException) -> Any:
    """A part that can do nothing but raise this."""

    def act() -> None:
        raise error

    return act


@pytest.mark.parametrize("method", [READ, WRITE])
@pytest.mark.parametrize("error", [ZeroDivisionError(), Killed()], ids=["crash", "death"])
async def test_a_call_that_always_ends_its_executor_is_made_five_times_and_then_the_job_fails(
    method: str, error: BaseException
) -> None:
    executor = Executor()
    executor.flickr.meanwhile = always(error)
    await Edge(executor).bring(a_job(method))
    assert len(executor.flickr.calls) == MOST_DEATHS
    assert executor.failed().failure.code == "ERR_INTERNAL"
    (letter,) = executor.messaging.all("dead")
    assert isinstance(letter.message, JobRequested)
    assert letter.message.doubtful


@pytest.mark.parametrize("error", [ZeroDivisionError(), Killed()], ids=["crash", "death"])
async def test_a_photo_that_always_ends_its_executor_is_sent_five_times_though_it_is_looked_for_in_between(
    error: BaseException,
) -> None:
    executor = UploadExecutor()
    executor.flickr.before_last = always(error)
    await Edge(executor).bring(executor.job())
    assert (len(executor.flickr.sent), executor.flickr.kept) == (MOST_DEATHS, [])
    assert executor.failed().failure.code == "ERR_INTERNAL"
    (letter,) = executor.messaging.all("dead")
    assert isinstance(letter.message, JobRequested)
    assert letter.message.doubtful


async def test_a_replacement_that_always_ends_its_executor_fails_too() -> None:
    executor = UploadExecutor(target=Target.REPLACE)
    executor.flickr.before_last = always(Killed())
    await Edge(executor).bring(executor.job())
    assert executor.failed().failure.code == "ERR_INTERNAL"


async def test_fewer_deaths_cost_nothing_and_an_ordinary_retry_forgets_them() -> None:
    executor = Executor(attempts=3)
    job = a_job()
    for attempt in (1, 2):
        for _ in range(MOST_DEATHS - 1):
            await executor.claims.take(job)
            executor.clock.advance(LEASE + 1)
        await executor.claims.take(job)
        following = job.model_copy(update={"attempt": attempt + 1})
        assert await executor.claims.give_up_attempt(job, following, due=0.0)
        job = following
    await Edge(executor).bring(job)
    assert executor.names() == ["job.completed"]


async def test_the_deaths_of_one_attempt_are_counted_over_all_of_its_messages() -> None:
    executor = UploadExecutor()
    job = executor.job()
    deaths = []
    for sequence in range(1, 4):
        message = job.model_copy(update={"progress": UploadProgress(step="look", sequence=sequence)})
        await executor.claims.take(message)
        executor.clock.advance(LEASE + 1)
        taken = await executor.claims.take(message)
        assert isinstance(taken, Taken)
        deaths.append(taken.deaths)
        following = job.model_copy(update={"progress": UploadProgress(step="look", sequence=sequence + 1)})
        assert await executor.claims.give_up_attempt(message, following, due=0.0)
    assert deaths == [1, 2, 3]


async def test_a_replay_begins_without_the_deaths_of_the_run_before_it() -> None:
    executor = Executor()
    executor.flickr.meanwhile = always(Killed())
    await Edge(executor).bring(a_job())
    executor.flickr.meanwhile = lambda: None
    await Edge(executor).bring(a_job(replay=1, doubtful=True))
    assert executor.names() == ["job.failed", "job.completed"]


# -- a connection that is gone when the job comes again --------------------------------------------------------------


async def dies_in(executor: Executor, method: str) -> None:
    """An executor takes the job and is never heard of again; then the account is disconnected."""
    await executor.claims.take(a_job(method))
    executor.tokens.failure = TokenNotFound()


@pytest.mark.parametrize(
    ("method", "code", "doubtful"),
    [(READ, "ERR_TOKEN_NOT_FOUND", False), (WRITE, "ERR_TOKEN_NOT_FOUND", True), (CREATE, "ERR_OUTCOME_UNKNOWN", True)],
)
async def test_without_a_token_after_a_death_the_letter_says_what_is_in_doubt(
    method: str, code: str, doubtful: bool
) -> None:
    executor = Executor()
    await dies_in(executor, method)
    executor.clock.advance(LEASE + 1)
    await executor.run(a_job(method))
    assert (executor.flickr.calls, executor.failed().failure.code) == ([], code)
    (letter,) = executor.messaging.all("dead")
    assert isinstance(letter.message, JobRequested)
    assert letter.message.doubtful is doubtful


async def test_without_a_token_a_copy_doesn_t_fail_a_job_that_somebody_is_at() -> None:
    executor = Executor()
    await dies_in(executor, CREATE)
    await executor.run(a_job(CREATE))
    (sent,) = executor.messaging.sent
    assert (sent.how, sent.seconds) == ("later", LEASE)


# -- an executor that slept ------------------------------------------------------------------------------------------


async def test_who_slept_between_claim_and_call_asks_for_the_claim_again() -> None:
    executor = Executor()
    executor.sleeps_after_taking(LEASE + 5)
    await executor.run(a_job(CREATE))
    assert (len(executor.flickr.calls), executor.names()) == (1, ["job.completed"])


async def test_who_slept_until_another_one_had_the_job_makes_no_call() -> None:
    executor, other = Executor(), Executor()
    other.share(executor)

    async def another_comes() -> None:
        await other.run(a_job(CREATE))

    executor.sleeps_after_taking(LEASE + 5, then=another_comes)
    await executor.run(a_job(CREATE))
    assert executor.flickr.calls == []
    assert [sent.how for sent in executor.messaging.sent] == ["later"]
    assert other.failed().failure.code == "ERR_OUTCOME_UNKNOWN"


async def test_who_slept_and_finds_redis_away_makes_no_call() -> None:
    executor = Executor()

    async def redis_goes() -> None:
        executor.claims.away = True

    executor.sleeps_after_taking(LEASE + 5, then=redis_goes)
    with pytest.raises(Unavailable):
        await executor.run(a_job(CREATE))
    assert executor.flickr.calls == []


# -- an outcome that can't be told -----------------------------------------------------------------------------------


async def test_an_outcome_at_whose_telling_executors_crash_is_not_told_for_ever() -> None:
    executor = Executor()

    async def crash(_: object) -> None:
        raise ZeroDivisionError

    executor.messaging.send_event = crash  # type: ignore[assignment]
    with pytest.raises(ZeroDivisionError):  # out of the last resort: the edge buries the message then
        await Edge(executor).bring(a_job())
    assert len(executor.flickr.calls) == 1
