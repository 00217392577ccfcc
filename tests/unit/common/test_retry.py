"""How long to wait before trying again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flickrhub_common.retry import Backoff

MIDDLE = 0.5
LEAST = 0.0
MOST = 0.999999


@pytest.mark.parametrize(
    ("failed", "chance", "asked", "seconds"),
    [
        (1, MIDDLE, None, 1.0),
        (2, MIDDLE, None, 2.0),
        (3, MIDDLE, None, 4.0),
        (6, MIDDLE, None, 32.0),
        (7, MIDDLE, None, 60.0),
        (1000, MIDDLE, None, 60.0),
        (1, LEAST, None, 0.8),
        (1, MOST, None, 1.2),
        (7, MOST, None, 72.0),
        (1, MIDDLE, 30.0, 30.0),
        (1, MIDDLE, 0.5, 1.0),
        (1, MIDDLE, 0.0, 1.0),
        (1, MIDDLE, 7200.0, 100.0),
        (7, MIDDLE, 30.0, 60.0),
    ],
)
def test_the_wait(failed: int, chance: float, asked: float | None, seconds: float) -> None:
    backoff = Backoff(1.0, cap=60.0, jitter=0.2, longest_ask=100.0)
    assert backoff.wait(failed_attempts=failed, chance=chance, asked=asked) == pytest.approx(seconds, rel=1e-4)


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True), st.none() | st.floats(0, 1e9))
def test_a_wait_is_positive_and_bounded_whatever_comes(failed: int, chance: float, asked: float | None) -> None:
    wait = Backoff(0.5).wait(failed_attempts=failed, chance=chance, asked=asked)
    assert 0.4 <= wait <= 3600 * 1.2


def test_without_jitter_chance_changes_nothing() -> None:
    backoff = Backoff(2.0, jitter=0.0)
    assert {backoff.wait(failed_attempts=2, chance=chance) for chance in (LEAST, MIDDLE, MOST)} == {4.0}
