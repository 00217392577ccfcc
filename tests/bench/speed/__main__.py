"""`make bench`: how fast the hub is, beside a bare chain through the same RabbitMQ, and what a job costs.

Runs a stack of its own (RUN_DIR, else `.run-bench`) with limits and cache off and nginx in Flickr's place, and prints
tables; all figures land in a JSON file. Exit status 1 when a target isn't met; what it means is in docs/performance.md.

    python -m tests.bench.speed [--phases chain,enqueue,offered,saturation,scaling,backlog]
        [--smoke] [--awake] [--json PATH]
"""

import argparse
import asyncio
import datetime
import os
import signal
import sys
import time
from collections.abc import Collection
from pathlib import Path

import uvloop

from deploy.local.stack.places import Places
from tests.bench.speed.machine import LATENCY, awake
from tests.bench.speed.phases import Phases
from tests.bench.speed.progress import say
from tests.bench.speed.report import report
from tests.bench.speed.results import Results, default_path, write
from tests.bench.speed.sizes import SMOKE, Sizes
from tests.bench.speed.stack import bench_stack

RUN_DIR = ".run-bench"
INTERRUPTED = 130
CHAIN = "chain"
PHASES = (CHAIN, "enqueue", "offered", "saturation", "scaling", "backlog")
"""In their order: a backlog that would take too long is left to the end of the stack."""


async def measure(places: Places, phases: Collection[str], sizes: Sizes) -> Results:
    """Bring up a stack, run these phases in their order, forget the stack; what was measured."""
    results, began = Results(), time.monotonic()
    async with bench_stack(places) as stack:
        run = Phases(stack, sizes, results)
        await run.warm_up()
        for name in in_order(phases):
            await getattr(run, name)()
        run.finish()
    results.seconds = time.monotonic() - began
    return results


def in_order(phases: Collection[str]) -> list[str]:
    """The phases one after the other; the chain before and after those it stands beside, as the machine may change."""
    chain = [CHAIN] if CHAIN in phases else []
    beside, after = ([name for name in part if name in phases] for part in (PHASES[1:4], PHASES[4:]))
    return [*chain, *beside, *(chain if beside else []), *after]


def asked_for(arguments: list[str]) -> argparse.Namespace:
    """The command line. Ends the process when there is no such phase."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument(
        "--phases",
        "--only",
        default=",".join(PHASES),
        help=f"which, separated by commas: {', '.join(PHASES)} (all unless said otherwise)",
    )
    parser.add_argument("--smoke", action="store_true", help="tiny counts: shows that it runs, says nothing of speed")
    parser.add_argument(
        "--awake",
        action="store_true",
        help=f"keep the processors from sleeping ({LATENCY}), as low-latency profiles do",
    )
    parser.add_argument("--json", type=Path, help="where the figures go; .run/bench/<UTC time>.json unless said")
    asked = parser.parse_args(arguments)
    asked.phases = asked.phases.split(",")
    unknown = set(asked.phases) - set(PHASES)
    if unknown:
        parser.error(f"no such phase: {', '.join(sorted(unknown))}")
    if asked.awake and not os.access(LATENCY, os.W_OK):
        parser.error(f"--awake needs a {LATENCY} that can be written")
    return asked


async def main(arguments: list[str]) -> int:
    """Measure, print, keep; the exit status."""
    asked = asked_for(arguments)
    places = Places.from_environment({"RUN_DIR": os.environ.get("RUN_DIR") or RUN_DIR})
    with awake(asked.awake):
        results = await measure(places, asked.phases, SMOKE if asked.smoke else Sizes())
    results.awake = asked.awake
    path = asked.json or default_path(datetime.datetime.now(datetime.UTC))
    write(path, results)
    say(f"\n{report(results)}\n\n{results.seconds:.0f} s in all; {places.shown(path.resolve())}")
    return 0 if asked.smoke or all(judgement.met for judgement in results.judgements()) else 1


async def interruptible(arguments: list[str]) -> int:
    """The same, ended by SIGTERM as by Ctrl-C: the stack doesn't outlive it."""
    running = asyncio.ensure_future(main(arguments))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    try:
        return await running
    except asyncio.CancelledError:
        say("Interrupted.")
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(uvloop.run(interruptible(sys.argv[1:])))
