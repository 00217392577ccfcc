"""What is measured, as values: percentiles, and the figures of each phase."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

MIB = 1024 * 1024


def percentile(ordered: Sequence[float], part: float) -> float:
    """The smallest of these ordered values that at least this part of them (0 to 1) doesn't exceed: nearest rank."""
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


@dataclass(frozen=True)
class Spread:
    """Times in milliseconds."""

    p50: float
    p95: float
    p99: float
    most: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Spread":
        """Of at least one time in seconds."""
        ordered = sorted(seconds)
        p50, p95, p99 = (round(1000 * percentile(ordered, part), 2) for part in (0.5, 0.95, 0.99))
        return cls(p50, p95, p99, round(1000 * ordered[-1], 2))


@dataclass(frozen=True)
class Timed:
    """One job: when it was to be sent, when its 202 came, when its callback came; one clock."""

    due: float
    accepted: float
    called_back: float


@dataclass(frozen=True)
class LoadFigures:
    """A phase of load. `offered` is the rate in jobs/s, None when so many connections sent as fast as they could."""

    name: str
    jobs: int
    offered: float | None
    connections: int
    enqueue_per_second: float
    enqueue_ms: Spread
    callbacks_per_second: float
    accept_to_callback_ms: Spread
    enqueue_to_callback_ms: Spread
    most_pending: int
    drain_seconds: float
    drain_per_second: float
    callbacks_again: int
    cpu_ms_per_job: dict[str, float] = field(default_factory=dict)
    resident_most: dict[str, int] = field(default_factory=dict)
    disk_flush_ms: Spread | None = None
    """Of the machine's disk meanwhile, by a probe beside the stack."""


def median_round(rounds: Sequence[LoadFigures]) -> LoadFigures:
    """The median one by callbacks a second; of an even number the worse one of the two in the middle."""
    return sorted(rounds, key=lambda figures: figures.callbacks_per_second)[(len(rounds) - 1) // 2]


def most_at_once(jobs: Sequence[Timed]) -> int:
    """How many jobs at the most were due and not called back."""
    changes = [(job.due, 1) for job in jobs] + [(job.called_back, -1) for job in jobs]
    most = now = 0
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    return most


def load_figures(
    name: str, jobs: Sequence[Timed], *, offered: float | None, connections: int, again: int = 0
) -> LoadFigures:
    """The figures of a phase's jobs.

    Rates count from the first job to the last 202, or the last callback. What drains is what is pending at the last
    202, over the time until the last callback.
    """
    began = min(job.due for job in jobs)
    all_accepted = max(job.accepted for job in jobs)
    all_back = max(job.called_back for job in jobs)
    left = sum(job.called_back > all_accepted for job in jobs)
    draining = all_back - all_accepted
    return LoadFigures(
        name=name,
        jobs=len(jobs),
        offered=offered,
        connections=connections,
        enqueue_per_second=round(len(jobs) / (all_accepted - began), 1),
        enqueue_ms=Spread.of([job.accepted - job.due for job in jobs]),
        callbacks_per_second=round(len(jobs) / (all_back - began), 1),
        accept_to_callback_ms=Spread.of([max(0.0, job.called_back - job.accepted) for job in jobs]),
        enqueue_to_callback_ms=Spread.of([job.called_back - job.due for job in jobs]),
        most_pending=most_at_once(jobs),
        drain_seconds=round(max(0.0, draining), 3),
        drain_per_second=round(left / draining, 1) if left else 0.0,
        callbacks_again=again,
    )


@dataclass(frozen=True)
class EnqueueFigures:
    """Jobs handed over while no executor takes them: what the gateway can do alone."""

    jobs: int
    per_second: float
    enqueue_ms: Spread
    cpu_ms_per_job: dict[str, float]


@dataclass(frozen=True)
class Drain:
    """One queue: how many waited, how fast they came in and went, memory in bytes by process."""

    queued: int
    counted: int
    enqueue_per_second: float
    per_second: float
    at_rest: dict[str, int]
    draining: dict[str, int]
    cpu_ms_per_job: dict[str, float]
    emptied_seconds: float | None = None


@dataclass(frozen=True)
class BacklogFigures:
    """Short queues and the long one; `before` is the most memory each process had until then, in bytes."""

    before: dict[str, int]
    short: list[Drain]
    long: Drain

    @property
    def short_per_second(self) -> float:
        """The mean of the short ones' rates: one is measured before the long one, one after it."""
        return statistics.mean(drain.per_second for drain in self.short)

    def growth(self) -> dict[str, float]:
        """The most memory each process had with the long queue, as a multiple of the most it had before."""
        many = larger(self.long.at_rest, self.long.draining)
        return {name: size / self.before[name] for name, size in many.items() if self.before.get(name)}


def larger(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """The larger value of each name."""
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in {**one, **other}}


def rate_between(times: Sequence[float], first: float, last: float) -> float:
    """Events a second, from that part of these ordered times to that one."""
    begin, end = int(first * len(times)), int(last * len(times)) - 1
    return (end - begin) / (times[end] - times[begin])


@dataclass(frozen=True)
class Step:
    """One concurrency: jobs a second, how many processors the executors used, which part of the machine was busy."""

    concurrency: int
    executors: int
    per_second: float
    executor_cores: float
    machine_busy: float


@dataclass(frozen=True)
class Pair:
    """The same concurrency with one executor and with two."""

    one: Step
    two: Step

    @property
    def ratio(self) -> float:
        """How much more two do."""
        return self.two.per_second / self.one.per_second
