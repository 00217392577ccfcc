"""The tables that are printed."""

from collections.abc import Iterable, Mapping, Sequence

from tests.bench.speed.figures import MIB, BacklogFigures, EnqueueFigures, LoadFigures, Pair, Spread
from tests.bench.speed.processes import GENERATOR, STUB
from tests.bench.speed.results import Results

MEASURING = (STUB, GENERATOR)
SMALL_MS = 0.02
HEADS = (
    *("load", "jobs", "202s/s", "enqueue p50 / p95 / p99 ms", "callbacks/s", "202 to callback ms"),
    *("enqueue to callback ms", "most pending", "drained/s", "disk flush p50 / p99 / most ms"),
)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, its columns aligned for the terminal: the first to the left, the others to the right."""
    cells = [list(heads), *(list(row) for row in rows)]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(heads))]

    def line(row: Sequence[str]) -> str:
        first, *others = zip(row, widths, strict=True)
        return "| " + " | ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]) + " |"

    rule = "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])])
    return "\n".join([line(cells[0]), f"|{rule}|", *map(line, cells[1:])])


def loads_table(loads: Iterable[LoadFigures]) -> str:
    """Rates and latencies of every phase of load."""
    return table(
        HEADS,
        [
            (
                load.name,
                str(load.jobs),
                f"{load.enqueue_per_second:.0f}",
                _told(load.enqueue_ms),
                f"{load.callbacks_per_second:.0f}",
                _told(load.accept_to_callback_ms),
                _told(load.enqueue_to_callback_ms),
                str(load.most_pending),
                f"{load.drain_per_second:.0f}",
                _joined(flush.p50, flush.p99, flush.most) if (flush := load.disk_flush_ms) else "-",
            )
            for load in loads
        ],
    )


def _told(spread: Spread) -> str:
    return _joined(spread.p50, spread.p95, spread.p99)


def _joined(*values: float) -> str:
    return " / ".join(f"{value:.1f}" if value < 100 else f"{value:.0f}" for value in values)


def cpu_table(columns: Mapping[str, Mapping[str, float]]) -> str:
    """Milliseconds of processor time per job by process, what measuring costs apart from what the hub costs."""
    names = _names(columns.values())
    hub = [name for name in names if name not in MEASURING]

    def row(title: str, parts: Sequence[str]) -> tuple[str, ...]:
        sums = (sum(column.get(part, 0.0) for part in parts) for column in columns.values())
        return (title, *(f"{value:.2f}" for value in sums))

    busy = [name for name in hub if max(column.get(name, 0.0) for column in columns.values()) >= SMALL_MS]
    rows = [row(name, [name]) for name in busy]
    rows += [row("the hub and its servers", hub), *(row(name, [name]) for name in names if name in MEASURING)]
    return table(("CPU ms per job", *columns), rows)


def memory_table(results: Results) -> str:
    """Resident memory of every process."""
    most: dict[str, int] = {}
    for load in results.loads.values():
        for name, size in load.resident_most.items():
            most[name] = max(most.get(name, 0), size)
    columns = (results.memory_before, most, results.memory_after)
    rows = [(name, *(_mib(column, name) for column in columns)) for name in _names(columns)]
    return table(("resident MiB", "before", "most", "after"), rows)


def scaling_table(pairs: Iterable[Pair]) -> str:
    """Executors beside one another."""
    rows = [
        (
            str(pair.one.concurrency),
            *(f"{step.per_second:.1f}" for step in (pair.one, pair.two)),
            f"{pair.ratio:.2f}",
            *(f"{step.executor_cores:.2f}" for step in (pair.one, pair.two)),
            *(f"{step.machine_busy:.0%}" for step in (pair.one, pair.two)),
        )
        for pair in pairs
    ]
    heads = ("jobs/s: one", "two", "two/one", "executors' processors: one", "two", "machine busy: one", "two")
    return table(("concurrency of each", *heads), rows)


def backlog_tables(figures: BacklogFigures) -> str:
    """Rates with few jobs queued and with many, and the memory of every process then."""
    drains = [figures.short[0], figures.long, *figures.short[1:]]
    rates = [
        (
            f"{drain.queued} queued",
            f"{drain.enqueue_per_second:.0f}",
            f"{drain.per_second:.0f} (first {drain.counted})",
            "no" if drain.emptied_seconds is None else "yes",
        )
        for drain in drains
    ]
    columns = (figures.before, figures.long.at_rest, figures.long.draining)
    growth, long = figures.growth(), figures.long.queued
    memory = [
        (name, *(_mib(column, name) for column in columns), f"{growth[name] - 1:+.0%}" if name in growth else "-")
        for name in _names(columns)
    ]
    return "\n\n".join(
        [
            table(("backlog", "202s/s", "callbacks/s", "emptied"), rates),
            cpu_table({f"{drain.queued} queued": drain.cpu_ms_per_job for drain in drains[:2]}),
            table(
                ("resident MiB", "most before", f"{long} queued", f"{figures.long.counted} called back", "growth"),
                memory,
            ),
        ]
    )


def _mib(sizes: Mapping[str, int], name: str) -> str:
    return f"{sizes[name] / MIB:.0f}" if name in sizes else "-"


def enqueue_line(figures: EnqueueFigures) -> str:
    """The gateway alone."""
    cpu = ", ".join(f"{name} {value:.2f}" for name, value in figures.cpu_ms_per_job.items() if value >= SMALL_MS)
    rate = f"{figures.per_second:.0f} 202s/s, p50 / p95 / p99 {_told(figures.enqueue_ms)} ms"
    return f"enqueue alone, without an executor: {rate}; CPU ms per job: {cpu}"


def targets_table(results: Results) -> str:
    """What was promised, what came out."""
    rows = [(each.promised, each.measured, "yes" if each.met else "NO") for each in results.judgements()]
    return table(("target", "measured", "met"), rows)


def report(results: Results) -> str:
    """Everything, in the order of interest."""
    parts = []
    if results.loads:
        parts += [
            loads_table(results.loads.values()),
            cpu_table({name: load.cpu_ms_per_job for name, load in results.loads.items()}),
            memory_table(results),
        ]
    again = sum(load.callbacks_again for load in results.loads.values())
    parts += [f"callbacks that came again: {again}"] if again else []
    if results.saturation_rounds:
        rounds = ", ".join(f"{rate:.0f}" for rate in results.saturation_rounds)
        parts.append(f"saturation, each round: {rounds} jobs/s")
    if results.chain.rounds:
        rounds = ", ".join(f"{rate:.0f}" for rate in results.chain.rounds)
        cpu = "".join(f", {name} {ms:.2f} ms" for name, ms in results.chain.cpu_ms_per_message.items())
        parts.append(
            f"bare chain: median {results.chain.per_second:.0f}/s (rounds: {rounds}){cpu and '; CPU' + cpu[1:]}"
        )
    parts += [enqueue_line(results.enqueue)] if results.enqueue else []
    parts += [scaling_table(results.scaling)] if results.scaling else []
    parts += [backlog_tables(results.backlog)] if results.backlog else []
    parts += ["The processors were kept from sleeping (--awake)."] if results.awake else []
    if results.judgements():
        parts.append(targets_table(results))
    return "\n\n".join(parts)


def _names(columns: Iterable[Mapping[str, object]]) -> list[str]:
    return list(dict.fromkeys(name for column in columns for name in column))
