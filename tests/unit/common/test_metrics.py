"""Metrics: what is counted where, and that nobody outside can make a series."""

import math
from datetime import UTC, datetime, timedelta, timezone, tzinfo

import pytest

from docs.generate import METRICS
from flickrhub_common.metrics import OTHER, Kind, Label, Metric, Metrics, counter, gauge, histogram
from flickrhub_common.service_metrics import DEPENDENCIES, SERVICES, make_metrics
from tests.support.metrics_pages import figure, series_of

COLOUR, SIZE = Label("colour", ("red", "green")), Label("size", ("s", "m"))
COUNTED = counter("test_counted_total", "Things.", COLOUR, SIZE)
MEASURED = histogram("test_measured_seconds", "Times.", COLOUR, buckets=(1, 10))
SHOWN = gauge("test_shown", "Now.", COLOUR)
PLAIN = gauge("test_plain", "Now, too.")
HOSTILE = ["", "x" * 100_000, 'a"b\\c\nd', "flickr.evil", "é😀", "\x00", "red ", "RED", "other"]


def shown(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {key: value for key, value in series_of(metrics.render().decode()).items() if key[0].startswith("test_")}


def test_every_series_of_listed_values_is_there_as_0_before_it_moves() -> None:
    found = shown(Metrics([COUNTED]))
    assert len(found) == 4
    assert set(found.values()) == {0}


def test_a_count_is_of_its_values_in_the_order_of_the_definition() -> None:
    metrics = Metrics([COUNTED])
    metrics.counter(COUNTED).add("red", "m")
    metrics.counter(COUNTED).add("red", "m", amount=2)
    found = shown(metrics)
    assert figure(found, "test_counted_total", colour="red", size="m") == 3
    assert sum(found.values()) == 3


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_whatever_else_comes_is_counted_as_other(value: str) -> None:
    metrics = Metrics([COUNTED, MEASURED])
    metrics.counter(COUNTED).add(value, value)
    metrics.histogram(MEASURED).observe(1, value)
    assert figure(shown(metrics), "test_counted_total", colour=OTHER, size=OTHER) == 1
    assert figure(shown(metrics), "test_measured_seconds_count", colour=OTHER) == 1


def test_a_thousand_strangers_make_no_more_series_than_is_known_beforehand() -> None:
    keyed = gauge("test_keyed", "By key.", Label("key", most=3), SIZE)
    metrics = Metrics([COUNTED, MEASURED, SHOWN, keyed])
    for number in range(1000):
        stranger = f"stranger-{number}"
        for place, other in ((stranger, "s"), ("red", stranger), (stranger, stranger)):
            metrics.counter(COUNTED).add(place, other)
            metrics.gauge(keyed).set(number, place, other)
        metrics.histogram(MEASURED).observe(number, stranger)
        metrics.gauge(SHOWN).set(number, stranger)
    assert len(shown(metrics)) <= sum(metric.most_series for metric in metrics.definitions)
    assert len([name for name, _ in shown(metrics) if name == "test_keyed"]) <= 4 * 3


def test_a_measurement_below_zero_is_zero_as_clocks_differ() -> None:
    metrics = Metrics([MEASURED])
    metrics.histogram(MEASURED).observe(-5, "red")
    assert figure(shown(metrics), "test_measured_seconds_sum", colour="red") == 0
    assert figure(shown(metrics), "test_measured_seconds_bucket", colour="red", le="1.0") == 1


@pytest.mark.parametrize("zone", [UTC, None], ids=["with its zone", "without, which is UTC"])
def test_the_time_between_two_moments_is_taken_whether_they_tell_their_zone_or_not(zone: tzinfo | None) -> None:
    metrics = Metrics([MEASURED])
    end = datetime(2026, 11, 21, 4, 30, 7, tzinfo=timezone(timedelta(hours=2)))
    metrics.histogram(MEASURED).lasted(datetime(2026, 11, 21, 2, 30, tzinfo=zone), end, "red")
    assert figure(shown(metrics), "test_measured_seconds_sum", colour="red") == 7


def test_a_figure_nobody_has_taken_isnt_shown_nor_one_that_was_forgotten() -> None:
    metrics = Metrics([SHOWN, PLAIN])
    assert [key for key in shown(metrics) if key[0] == "test_shown"] == []
    assert math.isnan(figure(shown(metrics), "test_plain"))
    metrics.gauge(SHOWN).set(7, "red")
    metrics.gauge(PLAIN).set(8)
    assert figure(shown(metrics), "test_shown", colour="red") == 7
    metrics.gauge(SHOWN).forget()
    metrics.gauge(PLAIN).forget()
    assert [key for key in shown(metrics) if key[0] == "test_shown"] == []
    assert math.isnan(figure(shown(metrics), "test_plain"))
    metrics.gauge(SHOWN).set(9, "red")
    assert figure(shown(metrics), "test_shown", colour="red") == 9


def test_a_metric_is_only_what_it_is_defined_as() -> None:
    with pytest.raises(TypeError, match="test_counted_total is a counter"):
        Metrics([COUNTED]).gauge(COUNTED)


EVERY = [(service, metric) for service, metrics in METRICS.items() for metric in metrics]


@pytest.mark.parametrize("metric", [metric for _, metric in EVERY], ids=[f"{s}-{m.name}" for s, m in EVERY])
def test_a_definition_is_named_as_prometheus_names_things(metric: Metric) -> None:
    assert metric.name.startswith("flickrhub_")
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert metric.meaning.endswith(".")
    assert "\n" not in metric.meaning
    assert tuple(sorted(metric.buckets)) == metric.buckets
    assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)
    assert all(bool(label.values) != bool(label.most) for label in metric.labels)
    assert not {label.name for label in metric.labels} & {"le", "quantile", "job", "instance"}


def test_no_name_is_defined_twice() -> None:
    names = [metric.name for _, metric in EVERY]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("service", SERVICES)
def test_a_page_of_any_service_keeps_within_what_the_docs_promise(service: str) -> None:
    own = METRICS[service.partition("-")[0]]
    metrics = make_metrics(service, *own)
    lines = [line for line in metrics.render().decode().splitlines() if line.startswith("flickrhub_")]
    assert f'service="{service}"' in next(line for line in lines if line.startswith("flickrhub_build_info"))
    assert len(lines) <= sum(metric.most_series for metric in metrics.definitions)


def test_every_dependency_of_readiness_has_its_value() -> None:
    assert {"rabbitmq", "mongo", "redis", "auth", "photo_store"} == set(DEPENDENCIES)
