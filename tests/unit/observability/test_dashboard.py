"""The dashboard is the one that is made from the panels, and every query in it fits the metrics that exist."""

import json
import re

import pytest

from deploy.observability.dashboard import COLUMNS, FILE, dashboard
from flickrhub_common.metrics import Kind
from tests.observability import queries
from tests.observability.promql import faults, names_in
from tests.observability.queries import Query
from tests.unit.observability.known import KNOWN, METRICS

QUERIES = queries.dashboard()


def test_the_dashboard_is_current() -> None:
    assert FILE.read_text(encoding="utf-8") == dashboard(), "the dashboard is out of date: run `make docs`"


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.where)
def test_a_query_fits_the_metrics_that_exist(query: Query) -> None:
    assert faults(query.over("5m"), KNOWN) == []


def test_every_metric_is_shown() -> None:
    shown = set().union(*(names_in(query.over("5m")) for query in QUERIES))
    wanted = {f"{metric.name}_bucket" if metric.kind is Kind.HISTOGRAM else metric.name for metric in METRICS}
    assert wanted - shown == set()


def test_legends_name_labels_that_the_query_keeps() -> None:
    for panel in json.loads(dashboard())["panels"]:
        for target in panel.get("targets", ()):
            for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
                kept = {name for by in re.findall(r"by \(([^)]*)\)", target["expr"]) for name in by.split(", ")}
                assert label in kept, f"{panel['title']}: {target['legendFormat']}"


def test_panels_have_numbers_of_their_own_and_cover_none_another() -> None:
    panels = json.loads(dashboard())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert max(x for x, _ in cells) < COLUMNS
        assert not cells & taken, panel["title"]
        taken |= cells
