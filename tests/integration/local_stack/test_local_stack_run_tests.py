"""One exit status for two runs of pytest."""

import pytest

from deploy.local.stack.run_tests import NOTHING_SELECTED, _all


@pytest.mark.parametrize(
    ("outcomes", "whole"),
    [
        ((0, 0), 0),
        ((1, 0), 1),
        ((0, 1), 1),
        ((2, 1), 2),
        ((0, NOTHING_SELECTED), 0),
        ((NOTHING_SELECTED, 0), 0),
        ((NOTHING_SELECTED, 1), 1),
        ((NOTHING_SELECTED, NOTHING_SELECTED), NOTHING_SELECTED),
    ],
)
def test_a_failure_of_either_run_counts_and_so_does_that_nothing_was_run(outcomes: tuple[int, int], whole: int) -> None:
    assert _all(*outcomes) == whole
