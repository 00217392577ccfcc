"""Fakes of the executor's ports, and an executor made of them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from flickrhub_common.contracts import JobCompleted, JobFailed, JobRequested, Message, Reservation, Target
from flickrhub_common.errors import TokenNotFound, Unavailable
from flickrhub_common.metrics import Metrics
from flickrhub_common.retry import Backoff
from flickrhub_common.testing import FakeClock, FakeMessaging
from flickrhub_executor.adapters.meter import EXECUTOR_METRICS, PrometheusMeter
from flickrhub_executor.errors import CallFailed
from flickrhub_executor.models import (
    CachedReply,
    CacheKey,
    Claim,
    Concluded,
    Credentials,
    FlickrCall,
    FlickrReply,
    Go,
    Held,
    Outcome,
    Superseded,
    Taken,
    WaitForTurn,
)
from flickrhub_executor.usecases.attempts import RetryRules
from flickrhub_executor.usecases.execute_job import ExecuteJob
from flickrhub_executor.usecases.hold_outcome import AT_ONCE, Hold
from flickrhub_executor.usecases.report_outcome import ReportOutcome

LEASE = 25.0
TELLING = 15.0
MOST_TELLINGS = 5
SECRETS = ("the-api-key", "the-api-secret", "the-oauth-token", "the-token-secret")
MIDDLE = 0.5
"""The chance that gives a wait without jitter."""

Answer = FlickrReply | CallFailed | Exception


def ok(body: bytes = b'{"photos":{"total":1},"stat":"ok"}', status: int = 200) -> FlickrReply:
    return FlickrReply(status, body, None, 12)


def says(code: int, message: str = "Something", *, retry_after: float | None = None) -> FlickrReply:
    return FlickrReply(200, f'{{"stat":"fail","code":{code},"message":"{message}"}}'.encode(), retry_after, 12)


class FakeTokens:
    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.forgotten: list[str] = []

    async def lend(self, user_id: str) -> Credentials:
        if self.failure is not None:
            raise self.failure
        return Credentials(user_id, *SECRETS, fingerprint="f00d")

    def forget(self, user_id: str) -> None:
        self.forgotten.append(user_id)


class FakeFlickr:
    """Answers as scripted, then with a plain success."""

    def __init__(self) -> None:
        self.calls: list[FlickrCall] = []
        self.script: list[Answer] = []
        self.meanwhile: Callable[[], Any] = lambda: None

    async def call(self, call: FlickrCall, credentials: Credentials) -> FlickrReply:
        self.calls.append(call)
        answer = self.script.pop(0) if self.script else ok()
        self.meanwhile()
        if isinstance(answer, Exception):
            raise answer
        return answer


class FakeCache:
    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], CachedReply] = {}
        self.generation: dict[str, int] = {}
        self.away = False

    async def find(self, user_id: str, digest: str) -> tuple[CacheKey, CachedReply | None]:
        self._check()
        key = CacheKey(user_id, f"{self.generation.get(user_id, 0)}:{digest}")
        return key, self.kept.get((user_id, key.digest))

    async def keep(self, key: CacheKey, reply: CachedReply) -> None:
        self._check()
        self.kept[key.user_id, key.digest] = reply

    async def make_stale(self, user_id: str) -> None:
        self._check()
        self.generation[user_id] = self.generation.get(user_id, 0) + 1

    def _check(self) -> None:
        if self.away:
            raise Unavailable("redis")


class FakeLimits:
    """Gives the scripted verdicts, then lets everything go at once."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Reservation | None]] = []
        self.script: list[Go | WaitForTurn | Exception] = []

    async def admit(self, *, user_id: str, api_key: str, reservation: Reservation | None) -> Go | WaitForTurn:
        self.asked.append((user_id, api_key, reservation))
        verdict = self.script.pop(0) if self.script else Go(0.0)
        if isinstance(verdict, Exception):
            raise verdict
        return verdict


@dataclass
class _Entry:
    state: str
    sequence: int = 0
    owner: str = ""
    until: float = 0.0
    outcome: Outcome | None = None
    retry: JobRequested | None = None
    due: float = 0.0
    buried: bool = False
    doubtful: bool = False
    replay: int = 0
    completed: bool = False
    deaths: int = 0
    tellings: int = 0


class FakeClaims:
    """The rules of `RedisClaims`, by a fake clock."""

    def __init__(self, clock: FakeClock, *, lease: float = LEASE, telling: float = TELLING) -> None:
        self.entries: dict[str, _Entry] = {}
        self.away = False
        self.asked_to_renew = asyncio.Event()
        self._clock = clock
        self._lease = lease
        self._telling = telling
        self._owners = count(1)

    async def take(self, job: JobRequested) -> Claim:
        entry = self._entry(job.job_id)
        if self._nothing_left(entry, job):
            return Concluded(None)
        running, newer = entry.state == "running", job.replay > entry.replay
        if entry.state == "ended" or (entry.state == "reported" and not newer):
            return self._ended(entry, newer=newer)
        if running and entry.until > self._now():
            return Held(entry.until - self._now())
        if running and entry.sequence > job.sequence and not newer:
            return Superseded(None, 0.0)
        if entry.state == "retry" and job.sequence <= entry.sequence and not newer:
            return Superseded(entry.retry, entry.due)
        owner = f"owner-{next(self._owners)}"
        until = self._now() + self._lease
        deaths = 0 if newer else entry.deaths + running
        self.entries[job.job_id] = _Entry("running", job.sequence, owner, until, replay=job.replay, deaths=deaths)
        unfinished = newer and entry.state == "retry" and entry.doubtful
        return Taken(doubtful=running or unfinished, owner=owner, deaths=deaths)

    async def renew(self, job: JobRequested, *, owner: str) -> bool:
        self.asked_to_renew.set()
        entry = self._entry(job.job_id)
        if (entry.state, entry.owner) != ("running", owner):
            return False
        entry.until = self._now() + self._lease
        return True

    async def conclude(
        self, job: JobRequested, outcome: Outcome, *, owner: str = "", interrupts: bool = False
    ) -> Concluded | Held:
        entry = self._entry(job.job_id)
        if self._nothing_left(entry, job):
            return Concluded(None)
        if owner and job.replay == entry.replay:
            own = entry.owner == owner
            if entry.state == "ended" and own and entry.outcome == outcome and not entry.tellings:
                entry.until = self._now() + self._telling
                return Concluded(outcome, doubtful=entry.doubtful)
            taken = (entry.state == "running" and not own) or entry.state == "retry"
            if taken and not isinstance(outcome, JobCompleted):
                return Held(max(0.0, entry.until - self._now()))
        newer = job.replay > entry.replay
        if entry.state == "ended" or (entry.state == "reported" and not newer):
            return self._ended(entry, newer=newer)
        unfinished = entry.state == "retry" and entry.doubtful
        doubtful = job.doubtful or unfinished or (interrupts and entry.state == "running")
        self.entries[job.job_id] = _Entry(
            "ended",
            owner=owner,
            until=self._now() + self._telling,
            outcome=outcome,
            doubtful=doubtful,
            replay=job.replay,
            completed=isinstance(outcome, JobCompleted),
        )
        return Concluded(outcome, doubtful=doubtful)

    async def give_up_attempt(self, job: JobRequested, retry: JobRequested, *, due: float, owner: str = "") -> bool:
        entry = self._entry(job.job_id)
        same = entry.replay == job.replay
        over = entry.state in {"ended", "reported"} or entry.sequence > job.sequence
        over = over or (entry.state == "running" and bool(owner) and entry.owner != owner)
        if self._nothing_left(entry, job) or (same and over):
            return False
        self.entries[job.job_id] = _Entry(
            "retry",
            job.sequence,
            retry=retry,
            due=due,
            replay=job.replay,
            doubtful=retry.doubtful,
            deaths=entry.deaths if same and retry.attempt == job.attempt else 0,
        )
        return True

    async def mark_buried(self, job_id: str, *, replay: int = 0) -> None:
        entry = self._entry(job_id)
        entry.buried = entry.buried or entry.replay == replay

    async def mark_reported(self, job_id: str, *, replay: int = 0) -> None:
        entry = self._entry(job_id)
        if entry.state == "none" or entry.replay == replay:
            self.entries[job_id] = _Entry("reported", replay=replay, completed=entry.completed)

    @staticmethod
    def _nothing_left(entry: _Entry, job: JobRequested) -> bool:
        return job.replay < entry.replay or (job.replay > entry.replay and entry.completed)

    def state(self, job: JobRequested) -> str:
        return self.entries[job.job_id].state if job.job_id in self.entries else "none"

    def _entry(self, job_id: str) -> _Entry:
        if self.away:
            raise Unavailable("redis")
        return self.entries.get(job_id, _Entry("none"))

    def _ended(self, entry: _Entry, *, newer: bool) -> Concluded | Held:
        if entry.state == "reported":
            return Concluded(None)
        if entry.until > self._now():
            return Held(entry.until - self._now())
        entry.tellings += 1
        if entry.tellings <= MOST_TELLINGS:
            entry.until = self._now() + self._telling
        return Concluded(entry.outcome, buried=entry.buried or newer, doubtful=entry.doubtful)

    def _now(self) -> float:
        return self._clock.now().timestamp()


@dataclass
class Executor:
    """An executor of fakes. `run` hands it one message, as the broker does."""

    cached: bool = True
    attempts: int = 3
    clock: FakeClock = field(default_factory=FakeClock)
    messaging: FakeMessaging = field(default_factory=FakeMessaging)
    tokens: FakeTokens = field(default_factory=FakeTokens)
    flickr: FakeFlickr = field(default_factory=FakeFlickr)
    cache: FakeCache = field(default_factory=FakeCache)
    limits: FakeLimits = field(default_factory=FakeLimits)
    paused: list[float] = field(default_factory=list)
    metrics: Metrics = field(default_factory=lambda: Metrics(EXECUTOR_METRICS))
    hold: Hold = AT_ONCE

    def __post_init__(self) -> None:
        self.claims = FakeClaims(self.clock)
        self._assemble()

    def _assemble(self) -> None:
        meter = PrometheusMeter(self.metrics)
        self.report = ReportOutcome(
            messages=self.messaging,
            claims=self.claims,
            tokens=self.tokens,
            clock=self.clock,
            meter=meter,
            hold=self.hold,
        )
        self.run = ExecuteJob(
            messages=self.messaging,
            tokens=self.tokens,
            flickr=self.flickr,
            cache=self.cache if self.cached else None,
            limits=self.limits,
            claims=self.claims,
            report=self.report,
            rules=RetryRules(self.attempts, Backoff(first=1.0)),
            clock=self.clock,
            meter=meter,
            pause=self._pause,
            monotonic=lambda: self.clock.now().timestamp(),
            chance=lambda: MIDDLE,
        )

    def share(self, other: "Executor") -> None:
        """Have the claims and the clock of another one, whose job it may then meet."""
        self.clock, self.claims = other.clock, other.claims
        self._assemble()

    def sleeps_after_taking(self, seconds: float, *, then: Callable[[], Awaitable[None]] | None = None) -> None:
        """Have it stop for so long just when it has a claim, and something happen before it goes on."""
        take = self.claims.take

        async def sleepy_take(job: JobRequested) -> Claim:
            self.claims.take = take  # type: ignore[method-assign]
            claim = await take(job)
            self.clock.advance(seconds)
            if then is not None:
                await then()
            return claim

        self.claims.take = sleepy_take  # type: ignore[method-assign]

    async def run_to_the_end(self, job: JobRequested) -> None:
        """Hand it the job, and whatever it sends to itself for later, when it is due."""
        waiting: list[tuple[float, JobRequested]] = [(0.0, job)]
        while waiting:
            seconds, message = waiting.pop(0)
            self.clock.advance(seconds)
            before = len(self.messaging.all("later"))
            await self.run(message)
            for sent in self.messaging.all("later")[before:]:
                assert isinstance(sent.message, JobRequested)
                waiting.append((sent.seconds or 0.0, sent.message))

    def events(self, *kinds: type[Message]) -> list[Message]:
        """The events sent so far, of these kinds if some are named."""
        sent = [each.message for each in self.messaging.all("event")]
        return [event for event in sent if isinstance(event, kinds)] if kinds else sent

    def names(self) -> list[str]:
        """The names of the events sent so far."""
        return [event.name for event in self.events()]

    def completed(self) -> JobCompleted:
        """The one completion sent."""
        (event,) = self.events(JobCompleted, JobFailed)
        assert isinstance(event, JobCompleted), event
        return event

    def failed(self) -> JobFailed:
        """The one failure sent."""
        (event,) = self.events(JobCompleted, JobFailed)
        assert isinstance(event, JobFailed), event
        return event

    async def _pause(self, seconds: float) -> None:
        self.paused.append(seconds)


def a_job(method: str | None = "flickr.photos.search", **more: Any) -> JobRequested:
    """A job of `user-1`."""
    fields: dict[str, Any] = {
        "job_id": "5d0f1cf7-7f70-4d39-a2f6-3f3b3c0b7f10",
        "user_id": "user-1",
        "target": Target.REST,
        "method": method,
        "params": {"text": "cats", "per_page": 5, "private-param": "private-value"},
        "trace_id": "0af76519-16cd-43dd-8448-eb211c80319c",
        "meta": {"mine": 1},
    }
    return JobRequested(**{**fields, **more})


__all__ = [
    "LEASE",
    "SECRETS",
    "TELLING",
    "Executor",
    "TokenNotFound",
    "Unavailable",
    "a_job",
    "ok",
    "says",
]
