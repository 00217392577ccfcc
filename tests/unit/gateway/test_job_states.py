"""The table of moves, and what each event does."""

import itertools
from datetime import timedelta
from typing import Any

import pytest

from flickrhub_common.contracts import Failure, JobCompleted, JobFailed, JobReplayed, JobRetrying, Target
from flickrhub_gateway import models
from flickrhub_gateway.models import MOVES, Retention, Run, State, change_of, sources_of
from tests.unit.gateway.fakes import NOON, USER, FakeJobs, Surroundings, a_job

KEEP = Retention(completed_days=0, failed_days=0)
COMMON: dict[str, Any] = {
    "job_id": "j1",
    "user_id": USER,
    "target": Target.REST,
    "trace_id": "4bf92f35-77b3-4da6-a3ce-929d0e0e4736",
    "max_attempts": 3,
    "at": NOON,
}


def _retrying(attempts: int) -> JobRetrying:
    return JobRetrying(
        **COMMON, attempts_made=attempts, reason="Flickr answered 105.", next_attempt_at=NOON + timedelta(seconds=1)
    )


def _completed(attempts: int = 1, flickr: str = '{"stat":"ok"}') -> JobCompleted:
    return JobCompleted(
        **COMMON, attempts_made=attempts, from_cache=False, flickr=flickr, http_status=200, duration_ms=5
    )


def _failed(attempts: int = 3) -> JobFailed:
    return JobFailed(**COMMON, attempts_made=attempts, failure=Failure(message="No.", code="FLICKR_1", chain=["No."]))


@pytest.mark.parametrize(
    ("source", "target", "allowed"),
    [
        ("queued", "queued", False),
        ("queued", "retrying", True),
        ("queued", "completed", True),
        ("queued", "failed", True),
        ("retrying", "queued", False),
        ("retrying", "retrying", True),
        ("retrying", "completed", True),
        ("retrying", "failed", True),
        *((final, any_state, False) for final in ("completed", "failed") for any_state in State),
    ],
)
def test_the_moves_of_a_job(source: str, target: str, allowed: bool) -> None:
    assert (State(target) in MOVES[State(source)]) is allowed
    assert (State(source) in sources_of(State(target))) is allowed


@pytest.mark.parametrize("order", list(itertools.permutations([_retrying(1), _retrying(2), _completed(3)])))
async def test_in_whatever_order_events_come_the_job_ends_completed(order: tuple[Any, ...]) -> None:
    jobs = FakeJobs()
    jobs.hold(a_job())
    record = Surroundings(jobs=jobs).record_job_event(KEEP)
    for event in (*order, *order):
        await record(event)
    assert (jobs.kept["j1"].state, jobs.kept["j1"].attempts) == (State.COMPLETED, 3)


async def test_an_event_of_an_unknown_job_changes_nothing() -> None:
    jobs = FakeJobs()
    await Surroundings(jobs=jobs).record_job_event(KEEP)(_completed())
    assert not jobs.kept


def test_a_completed_event_brings_flickrs_words_untouched() -> None:
    text = '{"stat":"ok","n":1.10,"s":"ü"}'
    change = change_of(_completed(2, text), now=NOON, retention=KEEP)
    assert (change.state, change.attempts, change.failure, change.expires_at) == (State.COMPLETED, 2, None, None)
    assert change.result is not None
    assert change.result.flickr == text


def test_a_failed_event_brings_the_failure() -> None:
    change = change_of(_failed(), now=NOON, retention=KEEP)
    assert (change.state, change.result) == (State.FAILED, None)
    assert change.failure == Failure(message="No.", code="FLICKR_1", chain=["No."])


def test_a_retrying_event_never_expires_a_job() -> None:
    change = change_of(_retrying(1), now=NOON, retention=Retention(completed_days=1, failed_days=1))
    assert (change.state, change.expires_at) == (State.RETRYING, None)


@pytest.mark.parametrize(("event", "days"), [(_completed(), 1.5), (_failed(), 30.0)], ids=["completed", "failed"])
def test_an_ended_job_expires_by_how_it_ended(event: JobCompleted | JobFailed, days: float) -> None:
    retention = Retention(completed_days=1.5, failed_days=30)
    assert change_of(event, now=NOON, retention=retention).expires_at == NOON + timedelta(days=days)


def test_a_reply_too_large_to_keep_ends_the_job_as_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "MAX_RESULT_BYTES", 20)
    assert change_of(_completed(flickr='{"a":"%s"}' % ("ü" * 6)), now=NOON, retention=KEEP).state is State.COMPLETED
    change = change_of(_completed(flickr='{"a":"%s"}' % ("ü" * 7)), now=NOON, retention=KEEP)
    assert (change.state, change.result) == (State.FAILED, None)
    assert change.failure is not None
    assert change.failure.code == "ERR_PAYLOAD_TOO_LARGE"


# -- replays ---------------------------------------------------------------------------------------------------------

ANY = tuple(State)
UNENDED = (State.QUEUED, State.RETRYING)


@pytest.mark.parametrize(
    ("run", "target", "sources"),
    [
        (Run.NEWER, State.QUEUED, (*UNENDED, State.FAILED)),
        (Run.NEWER, State.RETRYING, (*UNENDED, State.FAILED)),
        (Run.NEWER, State.COMPLETED, (*UNENDED, State.FAILED)),
        (Run.NEWER, State.FAILED, (*UNENDED, State.FAILED)),
        (Run.SAME, State.QUEUED, ()),
        (Run.SAME, State.RETRYING, UNENDED),
        (Run.SAME, State.COMPLETED, UNENDED),
        (Run.SAME, State.FAILED, UNENDED),
        (Run.OLDER, State.QUEUED, ()),
        (Run.OLDER, State.RETRYING, ()),
        (Run.OLDER, State.COMPLETED, UNENDED),
        (Run.OLDER, State.FAILED, ()),
    ],
    ids=lambda value: value.value if isinstance(value, State | Run) else None,
)
def test_what_an_event_of_each_run_may_move(run: Run, target: State, sources: tuple[State, ...]) -> None:
    assert sources_of(target, run) == frozenset(sources)


@pytest.mark.parametrize(
    ("event", "job", "run"), [(0, 0, Run.SAME), (2, 2, Run.SAME), (1, 0, Run.NEWER), (1, 2, Run.OLDER)]
)
def test_which_run_an_event_tells_of(event: int, job: int, run: Run) -> None:
    assert Run.of(event=event, job=job) is run


def _replayed(replay: int = 1) -> JobReplayed:
    common = {name: value for name, value in COMMON.items() if name != "max_attempts"}
    return JobReplayed(**common, replay=replay)


def _in_run(event: JobCompleted | JobFailed | JobRetrying, replay: int = 1) -> Any:
    return event.model_copy(update={"replay": replay})


NEW_RUN = [_replayed(), _in_run(_retrying(1)), _in_run(_completed(2))]


@pytest.mark.parametrize("order", list(itertools.permutations([0, 1, 2])))
async def test_in_whatever_order_a_replay_s_events_come_the_failed_job_ends_completed(order: tuple[int, ...]) -> None:
    jobs = FakeJobs()
    jobs.hold(a_job())
    record = Surroundings(jobs=jobs).record_job_event(KEEP)
    await record(_failed())
    for number in (*order, *order):
        await record(NEW_RUN[number])
        await record(_failed())  # the old run's, late
    assert (jobs.kept["j1"].state, jobs.kept["j1"].attempts, jobs.kept["j1"].replays) == (State.COMPLETED, 2, 1)


async def test_a_replay_announced_opens_the_job_without_its_old_failure() -> None:
    jobs = FakeJobs()
    jobs.hold(a_job())
    record = Surroundings(jobs=jobs).record_job_event(KEEP)
    await record(_failed())
    await record(_replayed())
    report = await jobs.find("j1", user_id=USER)
    assert report is not None
    assert (report.state, report.failure, report.attempts) == (State.QUEUED, None, 0)


async def test_a_job_that_completed_is_never_opened_again() -> None:
    jobs = FakeJobs()
    jobs.hold(a_job())
    record = Surroundings(jobs=jobs).record_job_event(KEEP)
    for event in (_completed(), _replayed(), _in_run(_failed())):
        await record(event)
    assert jobs.kept["j1"].state is State.COMPLETED
