"""The tables as they are printed."""

from tests.bench.speed.report import report, table
from tests.bench.speed.results import Results


def test_a_table_is_markdown_and_aligned() -> None:
    assert table(("load", "jobs"), [("50/s", "7"), ("saturation", "3000")]).splitlines() == [
        "| load       | jobs |",
        "|------------|-----:|",
        "| 50/s       |    7 |",
        "| saturation | 3000 |",
    ]


def test_a_table_without_rows_is_its_heads() -> None:
    assert table(("a", "b"), []).splitlines() == ["| a   |   b |", "|-----|----:|"]


def test_what_was_not_measured_is_not_told() -> None:
    results = Results()
    assert report(results) == ""
    results.chain.rounds += [900.0, 1100.0, 1000.0]
    assert report(results) == "bare chain: median 1000/s (rounds: 900, 1100, 1000)"
