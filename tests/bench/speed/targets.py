"""What is promised, and whether it is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.bench.speed.figures import BacklogFigures, LoadFigures, Pair
from tests.bench.speed.processes import NOT_THE_HUB

OF_THE_CHAIN = 0.5
CALLBACK_P95_MS = 120.0
ENQUEUE_P99_MS = 25.0
STEADY = ("50/s", "200/s")
BUSY = "200/s"
TOO_MUCH = "500/s"
SATURATION = "saturation"
OF_SATURATION = 0.8
BACKLOG_RATE = 0.9
BACKLOG_MEMORY = 1.2
TWO_EXECUTORS = 1.8
FULL = 0.9
"""A machine that is busier has nothing left for a second executor."""


@dataclass(frozen=True)
class Judgement:
    """One target: what was promised, what came out, whether it was met."""

    promised: str
    measured: str
    met: bool


def judge_load(loads: Mapping[str, LoadFigures], *, chain_per_second: float | None) -> list[Judgement]:
    """Those of the targets about load whose phases were measured."""
    judged = []
    saturation = loads.get(SATURATION)
    if saturation and chain_per_second:
        judged.append(of_the_chain(saturation.callbacks_per_second, chain_per_second))
    judged += [soon(loads[name]) for name in STEADY if name in loads]
    if BUSY in loads:
        judged.append(accepted_soon(loads[BUSY]))
    if TOO_MUCH in loads and saturation:
        judged.append(no_collapse(loads[TOO_MUCH], saturation=saturation.callbacks_per_second))
    return judged


def of_the_chain(saturation: float, chain: float) -> Judgement:
    """Jobs a second at saturation as a part of the bare chain's messages a second."""
    ratio = saturation / chain
    return Judgement(
        f"saturation at least {OF_THE_CHAIN:g} of the bare chain",
        f"{saturation:.0f}/s of {chain:.0f}/s = {ratio:.2f}",
        ratio >= OF_THE_CHAIN,
    )


def soon(load: LoadFigures) -> Judgement:
    """Callbacks under a load that the hub must carry easily."""
    p95 = load.accept_to_callback_ms.p95
    return Judgement(
        f"{load.name}: p95 accept to callback at most {CALLBACK_P95_MS:g} ms", f"{p95:.0f} ms", p95 <= CALLBACK_P95_MS
    )


def accepted_soon(load: LoadFigures) -> Judgement:
    """202s under that load."""
    p99 = load.enqueue_ms.p99
    return Judgement(f"{load.name}: p99 enqueue at most {ENQUEUE_P99_MS:g} ms", f"{p99:.1f} ms", p99 <= ENQUEUE_P99_MS)


def no_collapse(load: LoadFigures, *, saturation: float) -> Judgement:
    """More than the hub may be able to do: all jobs end, and none waits longer than the backlog takes.

    The longest wait, from when a job was due to its callback, is at most what the most jobs that were pending at once
    take at 0.8 of saturation's rate, and 120 ms more. (That all jobs end is seen to before there are figures.)
    """
    longest = load.enqueue_to_callback_ms.most / 1000
    allowed = load.most_pending / (OF_SATURATION * saturation) + CALLBACK_P95_MS / 1000
    return Judgement(
        f"{load.name}: all end, none later than the backlog takes at {OF_SATURATION:g} of saturation",
        f"{load.most_pending} pending at the most, longest {longest:.2f} s of {allowed:.2f} s",
        longest <= allowed,
    )


def judge_backlog(figures: BacklogFigures) -> list[Judgement]:
    """A long queue beside a short one: callbacks a second, and the memory of the process that grew most."""
    long, short = figures.long, figures.short_per_second
    grown = {name: ratio for name, ratio in figures.growth().items() if name not in NOT_THE_HUB}
    name, ratio = max(grown.items(), key=lambda item: item[1])
    return [
        Judgement(
            f"{long.queued} queued cost less than {1 - BACKLOG_RATE:.0%} of the rate",
            f"{long.per_second:.0f}/s, {short:.0f}/s with few: {long.per_second / short - 1:+.0%}",
            long.per_second > BACKLOG_RATE * short,
        ),
        Judgement(
            f"{long.queued} queued: no process's memory grows by {BACKLOG_MEMORY - 1:.0%}",
            f"most: {name} {ratio - 1:+.0%}",
            ratio < BACKLOG_MEMORY,
        ),
    ]


def judge_scaling(pairs: Sequence[Pair]) -> list[Judgement]:
    """Two executors beside one, at the highest concurrency at which two left the machine something to do."""
    with_room = [pair for pair in pairs if pair.two.machine_busy < FULL]
    if not with_room:
        return []
    pair = max(with_room, key=lambda pair: pair.one.concurrency)
    told = f"{pair.two.per_second:.0f}/s, machine {pair.two.machine_busy:.0%} busy"
    return [
        Judgement(
            f"two executors at least {TWO_EXECUTORS:g} times one, at the same concurrency each",
            f"{pair.ratio:.2f} at {pair.one.concurrency} ({told})",
            pair.ratio >= TWO_EXECUTORS,
        )
    ]
