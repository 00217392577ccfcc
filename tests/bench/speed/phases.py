"""The phases that put load on the hub, and the bare chain beside them."""

import contextlib
import dataclasses
import gc
import time
from collections.abc import Awaitable, Iterator

from tests.bench.speed.backlog import EXECUTOR, measure_backlog
from tests.bench.speed.chain import chain_rounds
from tests.bench.speed.figures import EnqueueFigures, LoadFigures, Spread, larger, load_figures, median_round
from tests.bench.speed.load import CONNECTIONS
from tests.bench.speed.machine import flushes
from tests.bench.speed.mongo_cache import fill_cache
from tests.bench.speed.processes import GENERATOR, cpu_ms_per_job
from tests.bench.speed.progress import progress
from tests.bench.speed.results import Results
from tests.bench.speed.scaling import measure_scaling
from tests.bench.speed.sizes import Sizes
from tests.bench.speed.stack import Stack
from tests.bench.speed.targets import SATURATION
from tests.support.run_env import needed
from tests.support.stack_processes import stack_processes

CALLBACKS_WITHIN_SECONDS = 240.0
LONG_ENOUGH_SECONDS = 30.0
"""No further round of saturation is begun after so long."""


class Phases:
    """Each method is a phase: it leaves its figures in `results`."""

    def __init__(self, stack: Stack, sizes: Sizes, results: Results) -> None:
        self._stack = stack
        self._sizes = sizes
        self._results = results
        self._jobs = 0
        self._most: dict[str, int] = {}

    async def warm_up(self) -> None:
        """Some jobs that nobody counts: connections and lent tokens are there afterwards."""
        await self._closed("warm-up", self._sizes.warm_up)
        self._results.memory_before = self._memory()

    async def chain(self) -> None:
        """Some rounds of the bare chain."""
        count, often = self._sizes.chain_messages, self._sizes.chain_rounds
        before = self._stack.processes.usage()
        rounds = await chain_rounds(needed("RABBIT_URL"), count=count, rounds=often)
        used = cpu_ms_per_job(before, self._stack.processes.usage(), count * often)
        chain = self._results.chain
        chain.rounds += rounds
        chain.cpu_ms_per_message = {"rabbitmq": used["rabbitmq"], "the chain's own process": used[GENERATOR]}
        progress(f"bare chain: {', '.join(f'{rate:.0f}' for rate in rounds)} a second")

    async def enqueue(self) -> None:
        """The gateway alone: jobs handed over while no executor runs."""
        load, processes, count = self._stack.load, self._stack.processes, self._sizes.saturation
        async with stack_processes() as running:
            async with running.gone(EXECUTOR):
                before = processes.usage()
                with undisturbed():
                    await load.closed(count)
                cpu = cpu_ms_per_job(before, processes.usage(), count)
            await load.arrivals.all_here(within=CALLBACKS_WITHIN_SECONDS)
        told = self._told("without an executor at first", offered=None)
        self._results.enqueue = EnqueueFigures(count, told.enqueue_per_second, told.enqueue_ms, cpu)

    async def offered(self) -> None:
        """Load at fixed rates."""
        load = self._stack.load
        for rate in self._sizes.rates:
            name, count = f"{rate:g}/s", round(rate * self._sizes.offered_seconds)
            self._results.loads[name] = await self._measured(name, count, load.offered(count, rate=rate), offered=rate)

    async def saturation(self) -> None:
        """As much as goes with so many connections: some rounds, of which the median one is told, of two the worse."""
        rounds: list[LoadFigures] = []
        began = time.monotonic()
        while len(rounds) < self._sizes.saturation_rounds and time.monotonic() - began < LONG_ENOUGH_SECONDS:
            rounds.append(await self._closed(SATURATION, self._sizes.saturation))
        self._results.saturation_rounds = [figures.callbacks_per_second for figures in rounds]
        self._results.loads[SATURATION] = median_round(rounds)

    async def scaling(self) -> None:
        """Executors beside one another."""
        self._results.scaling = await measure_scaling(self._stack, self._sizes)

    async def backlog(self) -> None:
        """A long queue beside a short one, on a stack that has worked before."""
        missing = self._sizes.worked_before - self._jobs
        if missing > 0:
            await self._closed("work before the backlog", missing)
        if self._sizes.full_cache:
            await fill_cache(needed("MONGO_URL"))
        self._results.backlog = await measure_backlog(self._stack, self._sizes, before=self._most)

    def finish(self) -> None:
        """Note what only the end shows."""
        self._results.memory_after = self._memory()

    async def _closed(self, name: str, count: int) -> LoadFigures:
        return await self._measured(name, count, self._stack.load.closed(count))

    async def _measured(
        self, name: str, count: int, sending: Awaitable[None], *, offered: float | None = None
    ) -> LoadFigures:
        """The figures of one load: it is sent, and all its callbacks come."""
        load, processes = self._stack.load, self._stack.processes
        self._jobs += count
        most: dict[str, int] = {}
        flushed: list[float] = []
        async with processes.watched(most), flushes(self._stack.places.run, flushed):
            before = processes.usage()
            with undisturbed():
                await sending
                await load.arrivals.all_here(within=CALLBACKS_WITHIN_SECONDS)
            cpu = cpu_ms_per_job(before, processes.usage(), count)
        told = self._told(name, offered=offered)
        self._most = larger(self._most, most)
        return dataclasses.replace(told, cpu_ms_per_job=cpu, resident_most=most, disk_flush_ms=Spread.of(flushed))

    def _told(self, name: str, *, offered: float | None) -> LoadFigures:
        load = self._stack.load
        told = load_figures(name, load.timed(), offered=offered, connections=CONNECTIONS, again=load.arrivals.again)
        progress(_line(told))
        return told

    def _memory(self) -> dict[str, int]:
        return {name: usage.resident for name, usage in self._stack.processes.usage().items()}


def _line(told: LoadFigures) -> str:
    rates = f"{told.enqueue_per_second:.0f} 202s/s, {told.callbacks_per_second:.0f} callbacks/s"
    return f"{told.name}: {told.jobs} jobs, {rates}, p95 {told.accept_to_callback_ms.p95:.0f} ms from 202 to callback"


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """No garbage collection inside the block: this process's own pauses are no latency of the hub."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
