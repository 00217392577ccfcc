"""What 50,000 jobs that wait change, beside 3,000 that do.

Twice the same: executor-rest is stopped, jobs are handed over, everything comes to rest, the executor is started, and
its first callbacks are counted. What differs is only how many wait. Compared are

* the rate of the callbacks, between a tenth and nine tenths of those that are counted: the start of the executor and
  the last jobs' end aren't in it; of the 50,000 only the first 10,000 are, so that at least 40,000 wait all the while;
* the most resident memory of every process, at rest with all 50,000 waiting or while those jobs are called back, with
  the most it had before on a stack that had worked, short queue included. Peak against peak: RabbitMQ's memory goes up
  and down with its log, and nothing that was once a process's own is given back at a time that anybody knows;
* the processor time of a job, from the first callback to the last that is counted: it shows who pays for a long queue.

The short queue is measured again after the long one if that could be emptied in time, so that a machine that changes
meanwhile doesn't decide.
"""

import asyncio
import time
from collections.abc import Mapping

from flickrhub_common.contracts import Target, queue_of
from tests.bench.speed.figures import BacklogFigures, Drain, larger, rate_between
from tests.bench.speed.processes import cpu_ms_per_job
from tests.bench.speed.progress import progress
from tests.bench.speed.sizes import Sizes
from tests.bench.speed.stack import Stack
from tests.support.rabbit_admin import RabbitAdmin, running_vhost
from tests.support.run_env import needed
from tests.support.stack_processes import StackProcesses, stack_processes
from tests.support.waiting import eventually

EXECUTOR = "executor-rest"
PART = (0.1, 0.9)
FIRST_SECONDS, SLOWEST = 60.0, 20
"""For the executor's start, and jobs a second: a queue that is slower isn't waited for."""
QUEUED_WITHIN_SECONDS = 60.0
LONGEST_REST_SECONDS = 90.0
"""A long queue whose rest takes longer is left to the end of the stack."""


async def measure_backlog(stack: Stack, sizes: Sizes, *, before: Mapping[str, int]) -> BacklogFigures:
    """A short queue, the long one, and the short one again if the long one was emptied.

    `before` is the most memory that was seen of each process until now.
    """
    async with (
        stack_processes() as running,
        running_vhost(needed("RABBIT_URL"), needed("RABBIT_MANAGEMENT_URL")) as rabbit,
    ):
        backlog = Backlog(stack, running, rabbit, settled_seconds=sizes.settled_seconds)
        short = [await backlog.drain(sizes.short_backlog, counted=sizes.short_backlog)]
        long = await backlog.drain(sizes.long_backlog, counted=sizes.counted)
        if sizes.short_again and long.emptied_seconds is not None:
            short.append(await backlog.drain(sizes.short_backlog, counted=sizes.short_backlog))
    return BacklogFigures(larger(before, larger(short[0].at_rest, short[0].draining)), short, long)


class Backlog:
    """Fills the executor's queue and lets it be emptied."""

    def __init__(self, stack: Stack, running: StackProcesses, rabbit: RabbitAdmin, *, settled_seconds: float) -> None:
        self._load = stack.load
        self._processes = stack.processes
        self._running = running
        self._rabbit = rabbit
        self._settled_seconds = settled_seconds

    async def drain(self, count: int, *, counted: int) -> Drain:
        """Have so many jobs wait, start the executor, measure the first callbacks, and wait for the others."""
        async with self._running.gone(EXECUTOR):
            enqueued, at_rest = await self._filled(count)
        most: dict[str, int] = {}
        async with self._processes.watched(most):
            await self._load.arrivals.so_many(1, within=FIRST_SECONDS)
            before = self._processes.usage()
            await self._load.arrivals.so_many(counted, within=counted / SLOWEST)
            cpu = cpu_ms_per_job(before, self._processes.usage(), counted)
        rate = rate_between(self._load.arrivals.times()[:counted], *PART)
        progress(f"{count} queued at {enqueued:.0f}/s; the first {counted} called back at {rate:.0f}/s")
        emptied = await self._emptied((count - counted) / rate)
        return Drain(count, counted, round(enqueued, 1), round(rate, 1), at_rest, most, cpu, emptied)

    async def _filled(self, count: int) -> tuple[float, dict[str, int]]:
        """Jobs handed over a second, and the memory of every process when all of them wait in RabbitMQ."""
        began = time.perf_counter()
        await self._load.closed(count)
        enqueued = count / (time.perf_counter() - began)

        async def all_wait() -> int:
            depth = await self._rabbit.depth(queue_of(Target.REST))
            assert depth >= count, f"{depth} of {count} jobs are in the queue"
            return depth

        depth = await eventually(all_wait, within=QUEUED_WITHIN_SECONDS, every=0.5)
        if depth > count:  # the gateway's sweeper has found jobs whose publication wasn't noted yet
            progress(f"{depth - count} jobs were published twice")
        await asyncio.sleep(self._settled_seconds)
        return enqueued, {name: usage.resident for name, usage in self._processes.usage().items()}

    async def _emptied(self, seconds: float) -> float | None:
        """Wait for the callbacks that are left, which should take so long; None if that is too long."""
        if seconds > LONGEST_REST_SECONDS:
            return None
        began = time.perf_counter()
        try:
            await self._load.arrivals.all_here(within=2 * LONGEST_REST_SECONDS)
        except AssertionError:
            return None
        return round(time.perf_counter() - began, 1)
