"""What the simulator received must bear out what the jobs say of themselves."""

from typing import Any

import pytest

from tests.chaos.ledger import judge
from tests.chaos.plan import Blow, Fault, Kind, Task
from tests.chaos.rounds import Dealt, Round
from tests.unit.chaos.fabricated import Job, evidence, failed, run

UNKNOWN = ("ERR_OUTCOME_UNKNOWN", "Flickr's answer was lost …")
GAVE_UP = ("ERR_FLICKR_UNAVAILABLE", "Gave up after 3 attempts: Flickr failed (HTTP 503).")


def a_round(*blows: tuple[Kind, str], each: int = 1) -> Round:
    fault = Fault(1, tuple(Blow(kind, target) for kind, target in blows), apart=0, part=0.5, gap=1)
    return Round(fault, tuple(Dealt(blow, 100.0, 102.0) for blow in fault.blows), recovered=110.0, each=each)


REST_KILLED = a_round((Kind.KILL, "executor-rest"))


def balances(fabricated: dict[str, Any], *rounds: Round) -> bool:
    return judge(evidence(fabricated), rounds).balances


@pytest.mark.parametrize(
    "fabricated",
    [
        failed([(Task.SET, [200])] * 200, *UNKNOWN),
        failed([(Task.UPLOAD, [200])] * 200, *UNKNOWN),
        failed([(Task.ECHO, [200])] * 200, *GAVE_UP),
        failed([(Task.SEARCH, [])] * 200, *GAVE_UP),
        run([(Task.TAG, [200] * 5)] * 50),
        run([(Task.META, [200] * 2)]),
        run([(Task.SET, [200] * 2)]),
        run([(Task.UPLOAD, [200] * 2)]),
    ],
    ids=[
        *("every set unknown", "every upload unknown", "every read given up", "every cached read given up"),
        *("every tag written five times", "a title twice", "a set asked for twice", "a photo sent twice"),
    ],
)
def test_what_nobody_can_have_caused_is_a_problem(fabricated: dict[str, Any]) -> None:
    assert not balances(fabricated)
    assert not balances(fabricated, a_round((Kind.KILL, "gateway")))


@pytest.mark.parametrize(
    ("jobs", "flickr", "end"),
    [
        ([(Task.SET, [None])], {"drop": "before"}, UNKNOWN),
        ([(Task.SET, [504])], {"status": 504}, UNKNOWN),
        ([(Task.ECHO, [503, 503, None])], {}, GAVE_UP),
        ([(Task.WRONG, [200])], {}, ("FLICKR_1", "Flickr answered with error 1: Photo not found")),
    ],
    ids=["set dropped", "set timed out", "failed thrice", "planned"],
)
def test_a_failure_the_simulator_brought_about_is_honest(
    jobs: list[Job], flickr: dict[str, Any], end: tuple[str, str]
) -> None:
    assert balances(failed(jobs, *end, flickr=flickr))


@pytest.mark.parametrize(
    ("jobs", "end"),
    [
        ([(Task.ECHO, [None])], UNKNOWN),
        ([(Task.TAG, [None])], UNKNOWN),
        ([(Task.SET, [503])], UNKNOWN),
        ([(Task.ECHO, [503, 503, 200])], GAVE_UP),
        ([(Task.TAG, [200])], ("FLICKR_1", "Flickr answered with error 1: Photo not found")),
    ],
    ids=["unknown read", "unknown tag", "set surely not done", "failed twice", "not planned"],
)
def test_a_failure_nobody_brought_about_is_a_problem(jobs: list[Job], end: tuple[str, str]) -> None:
    assert not balances(failed(jobs, *end))


@pytest.mark.parametrize("task", [Task.ECHO, Task.TAG, Task.META])
def test_what_can_be_repeated_is_never_of_unknown_outcome_not_even_in_a_fault(task: Task) -> None:
    assert not balances(failed([(task, [None])], *UNKNOWN), REST_KILLED)


def test_orders_that_no_call_met_are_no_excuse() -> None:
    assert not balances(failed([(Task.SET, [200])], *UNKNOWN, flickr={"drop": "after"}))


@pytest.mark.parametrize("task", [Task.TAG, Task.META, Task.SET])
def test_a_job_that_failed_and_is_at_flickr_is_a_problem_unless_it_says_that_nobody_knows(task: Task) -> None:
    there: dict[str, Any] = {"effects": {"m00000x0": 1}} if task is not Task.META else {}
    assert not balances(failed([(task, [200, 503, 503, 503])], *GAVE_UP) | there)


def test_a_photo_that_is_there_though_its_upload_was_of_unknown_outcome_is_borne() -> None:
    there = {"effects": {"m00000x0": 1}}
    assert balances(failed([(Task.UPLOAD, [200])], *UNKNOWN) | there, a_round((Kind.KILL, "executor-upload")))


@pytest.mark.parametrize(
    ("blow", "each", "most"),
    [
        ((Kind.KILL, "executor-rest"), 2, 16),
        ((Kind.LONG_STOP, "executor-rest"), 2, 16),
        ((Kind.RESTART, "redis"), 2, 32),
        ((Kind.CLOSE, "rabbitmq"), 1, 16),
        ((Kind.RESTART, "executor-rest"), 2, 0),
        ((Kind.KILL, "executor-upload"), 2, 0),
        ((Kind.KILL, "mongo"), 2, 0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
@pytest.mark.parametrize("what", ["done again", "unknown"])
def test_as_many_as_were_under_way_at_a_blow_are_borne_and_not_one_more(
    blow: tuple[Kind, str], each: int, most: int, what: str
) -> None:
    def so_many(count: int) -> dict[str, Any]:
        if what == "unknown":
            return failed([(Task.SET, [200])] * count, *UNKNOWN)
        return run([(Task.TAG, [200, 200])] * count, every=20)

    struck = a_round(blow, each=each)
    assert balances(so_many(most), struck)
    assert not balances(so_many(most + 1), struck)


def test_what_a_woken_executor_did_again_is_a_problem() -> None:
    woken = a_round((Kind.LONG_STOP, "executor-rest"), each=2)
    assert balances(run([(Task.TAG, [200, 200])], every=15), woken)
    assert not balances(run([(Task.TAG, [200, 200, 200])], every=15), woken)


def test_a_set_whose_executor_died_before_the_call_counts_as_one_under_way() -> None:
    assert balances(failed([(Task.SET, [])] * 16, *UNKNOWN), REST_KILLED)
    assert not balances(failed([(Task.SET, [])] * 17, *UNKNOWN), REST_KILLED)


def test_a_planned_error_in_a_good_answer_is_no_call_that_flickr_did() -> None:
    assert balances(run([(Task.SET, [200, 200])], flickr={"code": 105}))
    assert not balances(run([(Task.SET, [200, 200])], flickr={"latency_ms": 5}))


def test_a_job_given_up_with_an_attempt_cut_off_by_a_fault_is_borne_and_counted() -> None:
    ledger = judge(evidence(failed([(Task.ECHO, [503, 200, 503])], *GAVE_UP)), [REST_KILLED])
    assert (ledger.balances, ledger.figures["given up because of faults"]) == (True, 1)
