"""Percentiles, rates and what was pending, from the times of jobs."""

from dataclasses import replace

import pytest

from tests.bench.speed.figures import Spread, Timed, load_figures, median_round, most_at_once, percentile, rate_between

HUNDRED = [float(number) for number in range(1, 101)]


@pytest.mark.parametrize(
    ("ordered", "part", "expected"),
    [
        (HUNDRED, 0.5, 50.0),
        (HUNDRED, 0.95, 95.0),
        (HUNDRED, 0.99, 99.0),
        (HUNDRED, 1.0, 100.0),
        (HUNDRED, 0.0, 1.0),
        ([7.0], 0.99, 7.0),
        ([1.0, 2.0], 0.5, 1.0),
        ([1.0, 2.0], 0.51, 2.0),
        ([1.0, 2.0, 3.0], 0.95, 3.0),
    ],
)
def test_a_percentile_is_a_value_that_was_measured(ordered: list[float], part: float, expected: float) -> None:
    assert percentile(ordered, part) == expected


def test_a_spread_is_in_milliseconds_whatever_the_order() -> None:
    assert Spread.of([0.003, 0.001, 0.002]) == Spread(p50=2.0, p95=3.0, p99=3.0, most=3.0)


def test_a_phase_is_told_from_the_times_of_its_jobs() -> None:
    jobs = [
        Timed(due=10.0, accepted=10.1, called_back=10.4),
        Timed(due=10.5, accepted=10.6, called_back=12.0),
        Timed(due=11.0, accepted=11.0, called_back=13.0),
    ]
    figures = load_figures("3/s", jobs, offered=3.0, connections=1)
    assert figures.enqueue_per_second == 3.0  # three in the second until the last 202
    assert figures.callbacks_per_second == 1.0  # three in the three seconds until the last callback
    assert figures.enqueue_ms == Spread(100.0, 100.0, 100.0, 100.0)
    assert figures.accept_to_callback_ms.p50 == 1400.0
    assert figures.enqueue_to_callback_ms.most == 2000.0
    assert (figures.drain_seconds, figures.drain_per_second) == (2.0, 1.0)  # two were left when all had their 202


def test_a_callback_that_overtakes_its_202_took_no_time() -> None:
    figures = load_figures("1/s", [Timed(due=1.0, accepted=1.2, called_back=1.1)], offered=1.0, connections=1)
    assert figures.accept_to_callback_ms.most == 0.0
    assert (figures.drain_seconds, figures.drain_per_second) == (0.0, 0.0)


def test_what_is_pending_is_due_and_not_called_back() -> None:
    jobs = [Timed(0.0, 0.1, 3.0), Timed(1.0, 1.1, 2.0), Timed(2.0, 2.1, 4.0)]
    assert most_at_once(jobs) == 2
    assert most_at_once([Timed(0.0, 0.1, 1.0), Timed(1.0, 1.1, 2.0)]) == 1


def test_a_rate_leaves_beginning_and_end_out() -> None:
    slow_start = [0.0, *(10.0 + number / 100 for number in range(99))]
    assert rate_between(slow_start, 0.1, 0.9) == pytest.approx(100.0)


@pytest.mark.parametrize(("measured", "told"), [([90], 90), ([100, 80], 80), ([80, 100, 90], 90), ([4, 1, 3, 2], 2)])
def test_of_some_rounds_the_median_one_is_told_and_of_two_the_worse(measured: list[int], told: int) -> None:
    one = load_figures("a round", [Timed(due=0.0, accepted=0.1, called_back=0.2)], offered=None, connections=1)
    rounds = [replace(one, callbacks_per_second=float(rate)) for rate in measured]
    assert median_round(rounds).callbacks_per_second == told
