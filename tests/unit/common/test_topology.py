"""Delays as routing keys: every digit of the delay in its place, never a unit too few."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flickrhub_common.topology import (
    DELAY_LEVELS,
    DELAY_UNIT_SECONDS,
    KEPT_EVENTS,
    MAX_DELAY_SECONDS,
    WORK_QUEUES,
    delay_exchange,
    delay_key,
    delay_queue,
    delay_units,
)

MOST = 2**DELAY_LEVELS - 1


@pytest.mark.parametrize(
    ("seconds", "units"),
    [
        (0, 1),
        (-1, 1),
        (-math.inf, 1),
        (0.001, 1),
        (0.25, 1),
        (0.2500001, 2),
        (0.26, 2),
        (0.5, 2),
        (0.75, 3),
        (1, 4),
        (1.01, 5),
        (60, 240),
        (3600, 14_400),
        (72 * 3600, 1_036_800),
        (MAX_DELAY_SECONDS, MOST),
        (MAX_DELAY_SECONDS + 0.01, MOST),
        (1e12, MOST),
        (math.inf, MOST),
    ],
)
def test_a_delay_is_rounded_up_to_whole_units_within_the_ladders_reach(seconds: float, units: int) -> None:
    assert delay_units(seconds) == units


def test_what_is_no_number_is_no_delay() -> None:
    with pytest.raises(ValueError, match="NaN"):
        delay_units(math.nan)


@given(st.floats(0, MAX_DELAY_SECONDS))
def test_no_delay_is_shortened_and_none_is_longer_by_a_unit(seconds: float) -> None:
    waited = delay_units(seconds) * DELAY_UNIT_SECONDS
    assert seconds - 1e-6 <= waited
    assert waited < seconds + DELAY_UNIT_SECONDS or waited == DELAY_UNIT_SECONDS


@pytest.mark.parametrize(
    ("seconds", "tail"),
    [(0.25, "0.0.0.1"), (0.5, "0.0.1.0"), (0.75, "0.0.1.1"), (1.0, "0.1.0.0"), (2.5, "1.0.1.0"), (3.75, "1.1.1.1")],
)
def test_the_key_spells_the_delay_in_binary_and_names_the_queue(seconds: float, tail: str) -> None:
    assert delay_key(seconds, "flickr_rest") == "0." * (DELAY_LEVELS - 4) + tail + ".flickr_rest"


@given(st.floats(0, MAX_DELAY_SECONDS), st.sampled_from(sorted(WORK_QUEUES)))
def test_the_digits_of_a_key_are_the_delay(seconds: float, queue: str) -> None:
    *digits, name = delay_key(seconds, queue).split(".")
    assert name == queue
    assert len(digits) == DELAY_LEVELS
    assert int("".join(digits), 2) == delay_units(seconds)


def test_the_ladder_reaches_72_hours() -> None:
    assert MAX_DELAY_SECONDS >= 72 * 3600


def test_no_queue_has_a_dot_that_a_key_would_split() -> None:
    assert not [name for name in WORK_QUEUES if "." in name]


def test_messages_enter_the_ladder_at_its_top() -> None:
    assert delay_exchange(DELAY_LEVELS - 1) == "flickr.delay"
    assert delay_exchange(0) == delay_queue(0) == "flickr.delay.00"


def test_events_that_lie_in_a_queue_are_told_from_those_for_running_instances() -> None:
    assert {"job.completed", "job.failed", "job.retrying", "job.replayed", "token.rejected"} == KEPT_EVENTS
