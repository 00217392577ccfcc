"""`make metrics-check`: what Prometheus is told to scrape, and how graphs are drawn."""

import math

from deploy.local.stack.plan import METRICS_PORT_OF
from flickrhub_common.service_metrics import SERVICES
from tests.observability.report import BARS, MOST_LINES, course, graph
from tests.observability.server import Series, configuration, on_grid


def test_every_process_of_the_local_stack_is_scraped_as_compose_scrapes_it() -> None:
    env = {port: str(number) for number, port in enumerate(METRICS_PORT_OF.values(), start=1000)}
    (job,) = configuration(env)["scrape_configs"]
    assert job["job_name"] == "flickrhub"
    assert {group["labels"]["service"] for group in job["static_configs"]} == set(SERVICES)
    assert {target for group in job["static_configs"] for target in group["targets"]} == {
        f"127.0.0.1:{port}" for port in env.values()
    }


def test_a_course_is_drawn_between_nothing_and_the_top() -> None:
    assert course((0, 5, 10), top=10) == f"{BARS[0]}{BARS[4]}{BARS[-1]}"
    assert course((1, math.nan, 1), top=1) == f"{BARS[-1]} {BARS[-1]}"


def test_the_largest_series_comes_first_and_those_of_zeros_are_counted() -> None:
    lines = graph(
        [
            Series({"outcome": "ok"}, (0, 1)),
            Series({"outcome": "refused"}, (0, 0)),
            Series({"__name__": "x", "outcome": "busy"}, (3, 2)),
        ]
    )
    assert [line.split()[0] for line in lines] == ["busy", "ok", "and"]
    assert lines[0].endswith(" 2")
    assert lines[-1].strip() == "and 1 that is 0"


def test_of_many_series_only_the_largest_are_drawn() -> None:
    lines = graph([Series({"key": str(number)}, (float(number),)) for number in range(1, MOST_LINES + 4)])
    assert len(lines) == MOST_LINES + 1
    assert lines[-1].strip() == "and 3 more"


def test_where_prometheus_has_nothing_a_graph_has_a_gap() -> None:
    figures = on_grid([[10.001, "1"], [14.004, "NaN"], [15.999, "3"]], start=10, step=2, points=4)
    assert [None if math.isnan(figure) else figure for figure in figures] == [1, None, None, 3]
