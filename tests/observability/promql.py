"""Reads a query as Prometheus does, and says what in it doesn't fit the metrics that are defined."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import promql_parser as promql

from flickrhub_common.metrics import OTHER, Across, Kind, Label, Metric
from flickrhub_common.service_metrics import SERVICES

JOB = "flickrhub"
SCRAPED = (Label("service", SERVICES), Label("job", (JOB,)), Label("instance", most=100))
"""Labels that come with the scrape, to every series."""
LE = Label("le", most=100)
PARTS = ("_bucket", "_sum", "_count")
_INHERITED = (
    Metric(name="up", kind=Kind.GAUGE, meaning="Whether Prometheus could scrape it."),
    Metric(name="process_cpu_seconds_total", kind=Kind.COUNTER, meaning=""),
    Metric(name="process_resident_memory_bytes", kind=Kind.GAUGE, meaning=""),
    Metric(name="process_open_fds", kind=Kind.GAUGE, meaning=""),
    Metric(name="process_start_time_seconds", kind=Kind.GAUGE, meaning=""),
)
"""Not defined by us, and put together as one likes."""
OF_COUNTERS = frozenset({"rate", "increase", "irate"})
OF_GAUGES = frozenset({"delta", "deriv"})


@dataclass(frozen=True)
class Series:
    """A metric as a query names it: which definition it is of, and its labels by name."""

    metric: Metric
    labels: Mapping[str, Label]
    counts: bool


def series_of(definitions: Iterable[Metric]) -> dict[str, Series]:
    """Every name that a query may use."""
    found: dict[str, Series] = {}
    for metric in (*definitions, *_INHERITED):
        labels = {label.name: label for label in (*SCRAPED, *metric.labels)}
        if metric.kind is Kind.HISTOGRAM:
            found |= {f"{metric.name}{part}": Series(metric, labels, counts=True) for part in PARTS}
            found[f"{metric.name}_bucket"] = Series(metric, {**labels, "le": LE}, counts=True)
        else:
            found[metric.name] = Series(metric, labels, counts=metric.kind is Kind.COUNTER)
    return found


def names_in(query: str) -> set[str]:
    """The names of the metrics in a query."""
    return {node.name or "" for node, _ in _nodes(promql.parse(query)) if isinstance(node, promql.VectorSelector)}


def faults(query: str, known: Mapping[str, Series]) -> list[str]:
    """What is wrong with a query, a sentence each."""
    try:
        parsed = promql.parse(query)
    except ValueError as error:
        return [f"can't be read: {error}"]
    found: list[str] = []
    for node, above in _nodes(parsed):
        if isinstance(node, promql.VectorSelector):
            found += _selector(node, above, known)
        elif isinstance(node, promql.AggregateExpr):
            found += _grouping(node, known)
        elif isinstance(node, promql.Call) and node.func.name == "histogram_quantile":
            found += _quantile(node)
        elif isinstance(node, promql.BinaryExpr) and node.modifier and node.modifier.matching:
            found += _matching(node.modifier.matching.labels, node, known)
    return found


def _nodes(root: Any) -> list[tuple[Any, tuple[Any, ...]]]:
    """Every node of a query with those above it, the nearest last."""
    found: list[tuple[Any, tuple[Any, ...]]] = []
    above: list[Any] = []

    def enter(node: Any) -> None:
        found.append((node, tuple(above)))
        above.append(node)

    def leave(_: Any) -> None:
        above.pop()

    promql.walk(root, enter, leave)
    return found


def _selector(node: Any, above: tuple[Any, ...], known: Mapping[str, Series]) -> Iterator[str]:
    series = known.get(node.name)
    if series is None:
        yield f"{node.name}: no such metric"
        return
    for matcher in node.matchers.matchers:
        yield from _matcher(node.name, matcher, series)
    calls = {each.func.name for each in above if isinstance(each, promql.Call)}
    if calls & (OF_GAUGES if series.counts else OF_COUNTERS):
        yield f"{node.name} is {'no gauge' if series.counts else 'no counter'}: {', '.join(sorted(calls))}"
    if series.counts and not calls & OF_COUNTERS:
        yield f"{node.name} counts since its process began: only its rate or increase says something"
    yield from _across(node.name, series, above)


def _matcher(name: str, matcher: Any, series: Series) -> Iterator[str]:
    label = series.labels.get(matcher.name)
    if label is None:
        yield f"{name}: has no label {matcher.name}"
        return
    is_pattern = matcher.op in (promql.MatchOp.Re, promql.MatchOp.NotRe)
    for wanted in matcher.value.split("|") if is_pattern else [matcher.value]:
        pattern = re.compile(wanted if is_pattern else re.escape(wanted))
        if label.values and not any(pattern.fullmatch(value) for value in (*label.values, OTHER)):
            yield f"{name}: {matcher.name} is never {wanted}"


def _across(name: str, series: Series, above: tuple[Any, ...]) -> Iterator[str]:
    """Replicas are put together as the definition says, by the nearest aggregation."""
    if not name.startswith("flickrhub_"):
        return
    nearest = next((each for each in reversed(above) if isinstance(each, promql.AggregateExpr)), None)
    by = "nothing" if nearest is None else str(nearest.op)
    wanted = {Across.SUM: "sum", Across.MAX: "max", Across.MIN: "min"}[series.metric.across]
    if by != wanted:
        yield f"{name}: replicas are put together by {wanted}, not by {by}"


def _grouping(node: Any, known: Mapping[str, Series]) -> Iterator[str]:
    if node.modifier is None:
        return
    if node.modifier.type != promql.AggModifierType.By:
        yield "`without` keeps labels that nobody thought of: use `by`"
    yield from _grouped(node.modifier.labels, node.expr, known)


def _matching(labels: Iterable[str], node: Any, known: Mapping[str, Series]) -> Iterator[str]:
    for side in (node.lhs, node.rhs):
        yield from _grouped(labels, side, known)


def _grouped(labels: Iterable[str], expr: Any, known: Mapping[str, Series]) -> Iterator[str]:
    for name in _names(expr):
        for label in labels:
            if name in known and label not in known[name].labels:
                yield f"{name}: has no label {label} to group by"


def _quantile(node: Any) -> Iterator[str]:
    """Buckets only, and their bounds survive the grouping."""
    for name in _names(node):
        if not name.endswith("_bucket"):
            yield f"{name}: has no buckets for a quantile"
    for inner, _ in _nodes(node):
        if isinstance(inner, promql.AggregateExpr) and "le" not in (inner.modifier.labels if inner.modifier else ()):
            yield "a quantile of buckets that aren't grouped by `le`"


def _names(expr: Any) -> list[str]:
    return [node.name or "" for node, _ in _nodes(expr) if isinstance(node, promql.VectorSelector)]
