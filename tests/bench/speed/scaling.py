"""Executors beside one another: jobs whose calls take 200 ms, at more and more concurrency, by one executor and by two.

One executor can't do more than its concurrency over 0.2 s; two at the same concurrency each twice that, unless
something else is full.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping

from deploy.local.stack.places import Places, write_private
from deploy.local.stack.supervise import Supervisor
from tests.bench.speed.backlog import EXECUTOR
from tests.bench.speed.figures import Pair, Step, rate_between
from tests.bench.speed.flickr_stub import DELAY_SECONDS, SLOW
from tests.bench.speed.processes import machine_time
from tests.bench.speed.progress import progress
from tests.bench.speed.sizes import Sizes
from tests.bench.speed.stack import Stack
from tests.chaos.standbys import started
from tests.support.stack_processes import stack_processes

CONCURRENCY = "WORKER_REST_CONCURRENCY"
STOP_SECONDS = 60
WITHIN_SECONDS = 120.0
FEWEST, MOST = 20, 2000
PART = (0.2, 0.9)
"""The executors fill up before, and run empty after."""


async def measure_scaling(stack: Stack, sizes: Sizes) -> list[Pair]:
    """Every concurrency with one executor, then with two."""
    pairs = []
    async with _as_before(stack.places):
        for concurrency in sizes.concurrencies:
            await _restarted(stack.places, {CONCURRENCY: str(concurrency)})
            one = await _step(stack, sizes, concurrency, executors=1)
            async with started(stack.places, [EXECUTOR]):
                two = await _step(stack, sizes, concurrency, executors=2)
            pairs.append(Pair(one, two))
    return pairs


async def _step(stack: Stack, sizes: Sizes, concurrency: int, *, executors: int) -> Step:
    load = stack.load
    possible = executors * concurrency / DELAY_SECONDS
    before = stack.processes.usage(), machine_time()
    await load.closed(max(FEWEST, min(MOST, round(possible * sizes.scaling_seconds))), method=SLOW)
    await load.arrivals.all_here(within=WITHIN_SECONDS)
    usage, machine = stack.processes.usage(), machine_time()
    cores = [one.cpu_seconds - before[0][name].cpu_seconds for name, one in usage.items() if name.startswith(EXECUTOR)]
    step = Step(
        concurrency,
        executors,
        per_second=round(rate_between(load.arrivals.times(), *PART), 1),
        executor_cores=round(sum(cores) / (machine.at - before[1].at), 2),
        machine_busy=round(machine.busy_since(before[1]), 2),
    )
    progress(f"{executors} x concurrency {concurrency}: {step.per_second:.1f} jobs/s")
    return step


@contextlib.asynccontextmanager
async def _as_before(places: Places) -> AsyncIterator[None]:
    """After the block the executor runs as the stack has started it."""
    path = places.programs / f"{EXECUTOR}.json"
    kept = path.read_text(encoding="utf-8")
    try:
        yield
    finally:
        write_private(path, kept)
        await _restarted(places, {})


async def _restarted(places: Places, settings: Mapping[str, str]) -> None:
    """Stop the executor and start it with these settings besides its own; return when it is ready."""
    supervisor = Supervisor(places)
    assert await asyncio.to_thread(supervisor.end, [EXECUTOR], seconds=STOP_SECONDS)
    path = places.programs / f"{EXECUTOR}.json"
    spec = json.loads(path.read_text(encoding="utf-8"))
    write_private(path, json.dumps(spec | {"env": spec["env"] | settings}, indent=2))
    await asyncio.to_thread(supervisor.begin, [EXECUTOR])
    async with stack_processes() as running:
        await running.all_ready()
