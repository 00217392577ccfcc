"""Metrics: what is counted and timed for operators, defined as values and kept by Prometheus' client library.

Only this module names that library (docs/adr/0025-prometheus-client.md). A definition says everything about a metric;
docs/metrics.md is made from it. A label takes the values its definition lists, and whatever else comes is counted as
``other``: so nobody outside can make series, and how many there can be is known beforehand.

What every job counts has to cost microseconds: the series of listed values are there from the start, each is found by
one look into a dictionary, and shown as 0 before it moves.
"""

import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import product
from typing import Generic, TypeVar

import prometheus_client as prometheus
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

OTHER = "other"
"""The value of a label under which everything is counted that its definition doesn't know."""
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

F = TypeVar("F", prometheus.Counter, prometheus.Gauge, prometheus.Histogram)


class Kind(StrEnum):
    """What Prometheus calls the type of a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Across(StrEnum):
    """How the figures of several processes are put together."""

    SUM = "sum"
    MAX = "max"
    MIN = "min"


@dataclass(frozen=True)
class Label:
    """One of a metric's dimensions: these values, or, if there are none, any so many (``most``) at a time."""

    name: str
    values: tuple[str, ...] = ()
    most: int = 0

    @property
    def bound(self) -> int:
        """How many values it can have at the same time, ``other`` among them."""
        return (len(self.values) or self.most) + 1


@dataclass(frozen=True, kw_only=True)
class Metric:
    """The definition of a metric; ``across`` says how replicas are put together. ``buckets`` are a histogram's."""

    name: str
    kind: Kind
    meaning: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()
    across: Across = Across.SUM

    @property
    def most_series(self) -> int:
        """How many lines of a page it can make: a histogram has its buckets, +Inf, sum and count for each."""
        lines = len(self.buckets) + 3 if self.kind is Kind.HISTOGRAM else 1
        return lines * math.prod(label.bound for label in self.labels)


def counter(name: str, meaning: str, *labels: Label) -> Metric:
    """Define something that is counted; it only grows."""
    return Metric(name=name, kind=Kind.COUNTER, meaning=meaning, labels=labels)


def gauge(name: str, meaning: str, *labels: Label, across: Across = Across.SUM) -> Metric:
    """Define something that goes up and down."""
    return Metric(name=name, kind=Kind.GAUGE, meaning=meaning, labels=labels, across=across)


def histogram(name: str, meaning: str, *labels: Label, buckets: tuple[float, ...]) -> Metric:
    """Define something that is measured, by how often it was at most so much."""
    return Metric(name=name, kind=Kind.HISTOGRAM, meaning=meaning, labels=labels, buckets=buckets)


class _Bound(Generic[F]):
    """A metric's series, found by the values of its labels, in the order of its definition."""

    def __init__(self, metric: Metric, family: F, *, from_the_start: bool) -> None:
        self._metric = metric
        self._family: F = family
        self._series: dict[tuple[str, ...], F] = {}
        if from_the_start and all(label.values for label in metric.labels):
            for values in product(*(label.values for label in metric.labels)):
                self._series[values] = self._labelled(values)

    def _at(self, values: tuple[str, ...]) -> F:
        return self._series.get(values) or self._added(values)

    def _added(self, values: tuple[str, ...]) -> F:
        known = tuple(self._known(place, value) for place, value in enumerate(values))
        if known not in self._series:
            self._series[known] = self._labelled(known)
        return self._series[known]

    def _known(self, place: int, value: str) -> str:
        label = self._metric.labels[place]
        if label.values:
            return value if value in label.values else OTHER
        there = {values[place] for values in self._series} - {OTHER}
        return value if value in there or len(there) < label.most else OTHER

    def _labelled(self, values: tuple[str, ...]) -> F:
        labelled: F = self._family.labels(*values) if values else self._family
        return labelled


class Counter(_Bound[prometheus.Counter]):
    """Counts."""

    def add(self, *values: str, amount: float = 1) -> None:
        """Count one more, or so many."""
        self._at(values).inc(amount)


class Histogram(_Bound[prometheus.Histogram]):
    """Measures."""

    def observe(self, measured: float, *values: str) -> None:
        """Take note of one measurement; below zero is zero, since clocks differ."""
        self._at(values).observe(max(0.0, measured))

    def lasted(self, begin: datetime, end: datetime, *values: str) -> None:
        """Take note of the seconds between two moments; one without a zone, which nobody of ours sends, is UTC's."""
        self.observe((_in_utc(end) - _in_utc(begin)).total_seconds(), *values)


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Gauge(_Bound[prometheus.Gauge]):
    """Shows how things are; a figure that nobody has taken, or could take, isn't shown (or is NaN without labels)."""

    def set(self, figure: float, *values: str) -> None:
        """Show this from now on."""
        self._at(values).set(figure)

    def forget(self) -> None:
        """Show none of its figures any more."""
        if self._metric.labels:
            self._family.clear()
            self._series.clear()
        else:
            self._family.set(math.nan)


@dataclass(frozen=True)
class Sample:
    """Figures that somebody has to be asked for: ``take`` sets the gauges, which are forgotten when it fails."""

    gauges: Sequence[Gauge]
    take: Callable[[], Awaitable[None]]


B = TypeVar("B", Counter, Gauge, Histogram)


class Metrics:
    """The metrics of one process, all of them defined at the start."""

    def __init__(self, definitions: Iterable[Metric]) -> None:
        self.definitions = tuple(definitions)
        self.samples: list[Sample] = []
        """Taken whenever somebody looks; whoever is asked must be open by the time it is added."""
        self._registry = prometheus.CollectorRegistry()
        prometheus.disable_created_metrics()  # type: ignore[no-untyped-call] # for each series a second one, which says when the process began
        prometheus.ProcessCollector(registry=self._registry)
        self._bound = {metric: self._bind(metric) for metric in self.definitions}

    def counter(self, metric: Metric) -> Counter:
        """The counter of a definition."""
        return self._found(metric, Counter)

    def gauge(self, metric: Metric) -> Gauge:
        """The gauge of a definition."""
        return self._found(metric, Gauge)

    def histogram(self, metric: Metric) -> Histogram:
        """The histogram of a definition."""
        return self._found(metric, Histogram)

    def render(self) -> bytes:
        """Everything in Prometheus' text form."""
        return prometheus.generate_latest(self._registry)

    def _bind(self, metric: Metric) -> Counter | Gauge | Histogram:
        names = [label.name for label in metric.labels]
        match metric.kind:
            case Kind.COUNTER:
                counted = prometheus.Counter(metric.name, metric.meaning, names, registry=self._registry)
                return Counter(metric, counted, from_the_start=True)
            case Kind.GAUGE:
                shown = prometheus.Gauge(metric.name, metric.meaning, names, registry=self._registry)
                bound = Gauge(metric, shown, from_the_start=False)
                bound.forget()
                return bound
            case Kind.HISTOGRAM:
                measured = prometheus.Histogram(
                    metric.name, metric.meaning, names, registry=self._registry, buckets=metric.buckets
                )
                return Histogram(metric, measured, from_the_start=True)

    def _found(self, metric: Metric, kind: type[B]) -> B:
        bound = self._bound[metric]
        if not isinstance(bound, kind):
            raise TypeError(f"{metric.name} is a {metric.kind}")
        return bound
