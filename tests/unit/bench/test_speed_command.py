"""The command line of `make bench`."""

import pytest

from tests.bench.speed.__main__ import PHASES, asked_for, in_order


@pytest.mark.parametrize(
    ("phases", "expected"),
    [
        (PHASES, ["chain", "enqueue", "offered", "saturation", "chain", "scaling", "backlog"]),
        (["saturation", "chain"], ["chain", "saturation", "chain"]),
        (["backlog", "scaling"], ["scaling", "backlog"]),
        (["scaling", "chain"], ["chain", "scaling"]),
    ],
)
def test_the_chain_stands_before_and_after_what_is_compared_with_it(phases: list[str], expected: list[str]) -> None:
    assert in_order(phases) == expected


def test_everything_is_measured_unless_said_otherwise() -> None:
    assert asked_for([]).phases == list(PHASES)
    assert asked_for(["--only", "scaling"]).phases == ["scaling"]


def test_an_unknown_phase_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        asked_for(["--phases", "saturation,speed"])
    assert "no such phase: speed" in capsys.readouterr().err
