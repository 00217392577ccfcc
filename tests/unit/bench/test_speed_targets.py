"""Every target is met just at its bound, and missed just beyond."""

from dataclasses import replace

import pytest

from tests.bench.speed.figures import BacklogFigures, Drain, LoadFigures, Pair, Spread, Step
from tests.bench.speed.processes import GENERATOR
from tests.bench.speed.targets import judge_backlog, judge_load, judge_scaling

QUICK = Spread(10.0, 20.0, 25.0, 30.0)
LOAD = LoadFigures(
    name="200/s",
    jobs=100,
    offered=200.0,
    connections=64,
    enqueue_per_second=200.0,
    enqueue_ms=QUICK,
    callbacks_per_second=200.0,
    accept_to_callback_ms=replace(QUICK, p95=120.0),
    enqueue_to_callback_ms=replace(QUICK, most=150.0),
    most_pending=10,
    drain_seconds=0.1,
    drain_per_second=100.0,
    callbacks_again=0,
)
SATURATION = replace(LOAD, name="saturation", offered=None, callbacks_per_second=500.0)


def met(loads: list[LoadFigures], *, chain: float | None = None) -> list[bool]:
    return [judged.met for judged in judge_load({load.name: load for load in loads}, chain_per_second=chain)]


@pytest.mark.parametrize(("chain", "expected"), [(1000.0, [True]), (1001.0, [False]), (None, [])])
def test_saturation_is_half_of_the_chain(chain: float | None, expected: list[bool]) -> None:
    assert met([SATURATION], chain=chain) == expected


@pytest.mark.parametrize(
    ("callback_p95", "enqueue_p99", "expected"),
    [(120.0, 25.0, [True, True]), (120.1, 25.0, [False, True]), (120.0, 25.1, [True, False])],
)
def test_200_a_second_are_taken_and_told_soon(callback_p95: float, enqueue_p99: float, expected: list[bool]) -> None:
    load = replace(
        LOAD,
        accept_to_callback_ms=replace(QUICK, p95=callback_p95),
        enqueue_ms=replace(QUICK, p99=enqueue_p99),
    )
    assert met([load]) == expected


def test_50_a_second_are_told_soon_and_nothing_is_asked_of_their_202s() -> None:
    assert met([replace(LOAD, name="50/s", enqueue_ms=replace(QUICK, p99=99.0))]) == [True]


@pytest.mark.parametrize(
    ("longest_ms", "expected"),
    # 400 pending take a second at 0.8 of 500/s, and 120 ms are granted besides
    [(1120.0, True), (1121.0, False)],
)
def test_500_a_second_wait_no_longer_than_their_backlog_takes(longest_ms: float, expected: bool) -> None:
    load = replace(LOAD, name="500/s", most_pending=400, enqueue_to_callback_ms=replace(QUICK, most=longest_ms))
    assert met([load, SATURATION]) == [expected]


def test_without_saturation_500_a_second_are_not_judged() -> None:
    assert met([replace(LOAD, name="500/s")]) == []


def drain(queued: int, rate: float, at_rest: dict[str, int], draining: dict[str, int]) -> Drain:
    return Drain(queued, queued, 400.0, rate, at_rest, draining, {})


def backlog(rate: float, at_rest: int, draining: int) -> BacklogFigures:
    small = {"mongo": 100, GENERATOR: 100}
    short = [drain(3000, 95.0, small, small), drain(3000, 105.0, {"mongo": 999}, {"mongo": 999})]
    large = {"mongo": at_rest, GENERATOR: 900}, {"mongo": draining, "executor-rest": 50, GENERATOR: 900}
    return BacklogFigures(small, short, drain(50_000, rate, *large))


@pytest.mark.parametrize(
    ("rate", "at_rest", "draining", "expected"),
    [
        (91.0, 119, 119, [True, True]),
        (90.0, 119, 119, [False, True]),
        (91.0, 120, 100, [True, False]),
        (91.0, 100, 120, [True, False]),
    ],
)
def test_a_backlog_costs_little(rate: float, at_rest: int, draining: int, expected: list[bool]) -> None:
    assert [judged.met for judged in judge_backlog(backlog(rate, at_rest, draining))] == expected


def pair(concurrency: int, ratio: float, *, busy: float) -> Pair:
    return Pair(Step(concurrency, 1, 100.0, 0.5, 0.4), Step(concurrency, 2, 100.0 * ratio, 1.0, busy))


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([pair(4, 1.9, busy=0.5), pair(16, 1.8, busy=0.89), pair(64, 1.1, busy=0.95)], [True]),
        ([pair(4, 1.9, busy=0.5), pair(16, 1.79, busy=0.89), pair(64, 1.9, busy=0.95)], [False]),
        ([pair(64, 1.9, busy=0.9)], []),
    ],
)
def test_two_executors_are_judged_where_the_machine_has_room(pairs: list[Pair], expected: list[bool]) -> None:
    assert [judged.met for judged in judge_scaling(pairs)] == expected
