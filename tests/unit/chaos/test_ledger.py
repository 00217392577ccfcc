"""The ledger must not balance when something is lost, doubled, contradicted or stuck."""

from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.evidence import Call, Evidence
from tests.chaos.ledger import Ledger, judge
from tests.chaos.load import Accepted
from tests.chaos.plan import Blow, Fault, Kind, Task, Work
from tests.chaos.receiver import Copy
from tests.chaos.rounds import Dealt, Round
from tests.chaos.stack import CALLBACKS_IN_FLIGHT
from tests.unit.chaos.fabricated import failed

KILL = Fault(1, (Blow(Kind.KILL, "notifier"),), apart=0, part=0.5, gap=1)


def a_round(*blows: tuple[Kind, str], began: float = 100.0, lasts: float = 2.0) -> Round:
    fault = replace(KILL, blows=tuple(Blow(kind, target) for kind, target in blows))
    return Round(fault, tuple(Dealt(blow, began, began + lasts) for blow in fault.blows), recovered=began + 10)


ROUNDS = [a_round((Kind.KILL, "notifier"))]
JOB = "m00001x0"
TAGGED = {"state": "completed", "returnvalue": {"flickr": {"stat": "ok"}}}


def a_job(task: Task = Task.TAG, mark: str = JOB) -> Accepted:
    work = Work(1, task, user=0, photo=0, calls_back=True, signed=True)
    return Accepted(work, mark, job_id=f"id of {mark}", user_id="user-1", round=0, at=105.0)


def a_copy(mark: str = JOB, **more: Any) -> Copy:
    body = {"state": "completed", "result": {"stat": "ok"}}
    good = Copy(f"id of {mark}", sha256="ab", at=98.0, taken=True, flaw=None, body=body)
    return replace(good, **more)


def evidence(**changed: Any) -> Evidence:
    """One tag, added, told and called back; and what the test has of it otherwise."""
    fine: dict[str, Any] = {
        "accepted": [a_job()],
        "status": {f"id of {JOB}": TAGGED},
        "stored": {f"id of {JOB}": ("completed", None)},
        "copies": {f"/{JOB}": [a_copy()]},
        "calls": [Call(JOB, "flickr.photos.addTags", 200, at=98.0)],
        "effects": {JOB: 1},
        "queues": {"flickr_rest": 0, "flickr_dlq": 3},
        "dead": {"flickr_dlq": [], "callback_dlq": []},
        "second_copies": 0,
        "troubles": [],
        "stuck": {"deliveries pending": 0},
    }
    return Evidence(**(fine | changed))


def judged(rounds: list[Round] | None = None, **changed: Any) -> Ledger:
    return judge(evidence(**changed), ROUNDS if rounds is None else rounds)


def test_a_day_on_which_all_went_well_balances() -> None:
    ledger = judged()
    assert ledger.problems == []
    assert (ledger.rows[0].jobs, ledger.rows[0].lost, ledger.rows[0].duplicates) == (1, 0, 0)


FAILED = {"state": "failed", "failedReason": "Nobody knows why.", "returnvalue": None}


@pytest.mark.parametrize(
    "changed",
    [
        {"status": {f"id of {JOB}": {"state": "queued"}}},
        {"status": {f"id of {JOB}": {"state": "HTTP 404"}}},
        {"copies": {f"/{JOB}": []}},
        {"copies": {f"/{JOB}": [a_copy(taken=False)]}},
        {"copies": {f"/{JOB}": [a_copy(flaw="X-Signature is wrong")]}},
    ],
    ids=["open", "unknown", "no callback", "callback never taken", "callback badly signed"],
)
def test_a_lost_job_is_counted(changed: dict[str, Any]) -> None:
    ledger = judged(**changed)
    assert (ledger.balances, ledger.lost, ledger.rows[0].lost) == (False, {f"id of {JOB}"}, 1)


@pytest.mark.parametrize(
    "changed",
    [
        {"stored": {f"id of {JOB}": ("failed", None)}},
        {"status": {f"id of {JOB}": FAILED}, "stored": {f"id of {JOB}": ("failed", "ERR_INTERNAL")}},
        {"copies": {f"/{JOB}": [a_copy(body={"state": "failed", "result": None})]}},
        {"copies": {f"/{JOB}": [a_copy(body={"state": "completed", "result": {"stat": "other"}})]}},
        {"copies": {f"/{JOB}": [a_copy(), a_copy(sha256="cd")]}},
        {"copies": {f"/{JOB}": [a_copy(), a_copy(webhook_id="another")]}},
        {"effects": {}},
        {"effects": {JOB: 2}},
        {"effects": {JOB: 1, "m00002x0": 2}},
        {"queues": {"flickr.delay.03": 1}},
        {"queues": {"gateway_job_events_dlq": 1}},
        {"dead": {"flickr_dlq": [f"id of {JOB}"], "callback_dlq": []}},
        {"dead": {"flickr_dlq": [], "callback_dlq": [f"id of {JOB}"]}},
        {"stored": {f"id of {JOB}": ("completed", None), "nobody's": ("queued", None)}},
        {"stored": {f"id of {JOB}": ("completed", None), "nobody's": ("failed", None)}},
        {"stuck": {"deliveries pending": 1}},
        {"troubles": ["the gateway answered 500"]},
    ],
    ids=[
        *("states differ", "failed for no reason", "callback of another state", "callback of another result"),
        *("copies of other bytes", "copies of another id", "no effect", "doubled effect", "doubled effect of no 202"),
        *("ladder not empty", "event dead", "dead letter of a success", "callback given up", "open without 202"),
        *("failed without dead letter", "delivery pending", "odd reply"),
    ],
)
def test_a_contradiction_is_a_problem(changed: dict[str, Any]) -> None:
    assert not judged(**changed).balances


def test_a_title_nobody_at_flickr_heard_of_is_a_problem() -> None:
    meta: dict[str, Any] = {"accepted": [a_job(Task.META)], "effects": {}}
    assert judged(**meta).balances
    assert not judged(**meta, calls=[Call(JOB, "flickr.photos.setMeta", None, at=98.0)]).balances


def failures(count: int) -> dict[str, Any]:
    """So many jobs that failed as they were meant to."""
    return failed([(Task.WRONG, [200])] * count, "FLICKR_1", "Flickr answered with error 1: Photo not found")


def doubles(count: int) -> dict[str, Any]:
    """So many callbacks that came twice at the time of the fault."""
    return {"copies": {f"/{JOB}": [a_copy()], **{f"/{n}": [a_copy(str(n)), a_copy(str(n))] for n in range(count)}}}


def test_as_many_doubled_callbacks_as_were_in_flight_are_borne() -> None:
    ledger = judged(**doubles(CALLBACKS_IN_FLIGHT))
    assert (ledger.balances, ledger.rows[0].duplicates) == (True, CALLBACKS_IN_FLIGHT)


def test_one_more_is_a_problem() -> None:
    assert not judged(**doubles(CALLBACKS_IN_FLIGHT + 1)).balances


def test_a_doubled_callback_far_from_a_fault_is_a_problem() -> None:
    assert not judged(**doubles(1), rounds=[a_round((Kind.KILL, "notifier"), began=200)]).balances


@pytest.mark.parametrize(
    ("blows", "borne"),
    [
        ([(Kind.KILL, "notifier")], True),
        ([(Kind.STOP, "notifier"), (Kind.KILL, "auth")], True),
        ([(Kind.RESTART, "notifier")], False),
        ([(Kind.RESTART, "notifier"), (Kind.STOP, "mongo")], True),
        ([(Kind.KILL, "rabbitmq"), (Kind.KILL, "mongo")], True),
        ([(Kind.KILL, "rabbitmq"), (Kind.KILL, "redis")], False),
        ([(Kind.KILL, "mongo")], False),
        ([(Kind.CLOSE, "rabbitmq")], False),
        ([(Kind.KILL, "gateway")], False),
    ],
    ids=lambda blows: " + ".join(f"{kind.value} {target}" for kind, target in blows) if isinstance(blows, list) else "",
)
def test_a_doubled_callback_is_borne_where_it_was_cut_off_in_flight(
    blows: list[tuple[Kind, str]], *, borne: bool
) -> None:
    assert judged(**doubles(1), rounds=[a_round(*blows)]).balances is borne


@pytest.mark.parametrize(
    ("kind", "at", "borne"),
    [(Kind.KILL, 94.9, False), (Kind.KILL, 95.1, True), (Kind.KILL, 102.5, False), (Kind.LONG_STOP, 102.5, False)],
    ids=["before", "just before", "after the kill", "after the silence began"],
)
def test_a_doubled_callback_must_have_been_in_flight_at_the_blow(kind: Kind, at: float, *, borne: bool) -> None:
    twice = {"copies": {f"/{JOB}": [a_copy()], "/2": [a_copy("2", at=at), a_copy("2", at=at + 9)]}}
    assert judged(**twice, rounds=[a_round((kind, "notifier"), lasts=20)]).balances is borne


def test_a_job_that_is_two_dead_letters_is_a_problem() -> None:
    assert judged(**failures(1)).balances
    twice = failures(1)["dead"]["flickr_dlq"] * 2
    assert not judged(**failures(1) | {"dead": {"flickr_dlq": twice, "callback_dlq": []}}).balances


@pytest.mark.parametrize(("copies", "balances"), [(16, True), (17, False)])
def test_second_copies_of_letters_are_borne_as_far_as_an_executor_can_have_left_them(
    copies: int, *, balances: bool
) -> None:
    assert judged(second_copies=copies, rounds=[a_round((Kind.KILL, "executor-rest"))]).balances is balances
    assert not judged(second_copies=1, rounds=[]).balances
