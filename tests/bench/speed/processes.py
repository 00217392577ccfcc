"""What each process of the stack has used so far: processor time and resident memory, from /proc."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
SAMPLE_SECONDS = 1.0
GENERATOR = "load generator and receiver"
STUB = "nginx (Flickr)"
NOT_THE_HUB = frozenset({GENERATOR, STUB, "flickr-sim"})
LEFT_OUT = frozenset({"supervisord", "epmd"})
"""They do nothing while jobs run."""


@dataclass(frozen=True)
class Usage:
    """Of one process with its children: seconds of processor time since its start, bytes of resident memory."""

    cpu_seconds: float = 0.0
    resident: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(self.cpu_seconds + other.cpu_seconds, self.resident + other.resident)


@dataclass(frozen=True)
class Stat:
    """What /proc/<pid>/stat says."""

    pid: int
    parent: int
    usage: Usage


def read_stat(text: str) -> Stat:
    """A line of /proc/<pid>/stat: all threads, and children that have ended, are in it; a name may hold anything."""
    pid, _, rest = text.partition(" (")
    fields = rest.rpartition(") ")[2].split()
    ticks = sum(map(int, fields[11:15]))
    return Stat(int(pid), int(fields[1]), Usage(ticks / TICKS, int(fields[21]) * PAGE_BYTES))


def with_children(stats: Mapping[int, Stat], pid: int) -> Usage:
    """A process and all that descend from it."""
    usage = stats[pid].usage
    for stat in stats.values():
        if stat.parent == pid:
            usage += with_children(stats, stat.pid)
    return usage


class Processes:
    """The processes whose pids lie in a folder, and others by name and pid."""

    def __init__(self, pids: Path, others: Mapping[str, int]) -> None:
        self._pids = pids
        self._others = dict(others)

    def usage(self) -> dict[str, Usage]:
        """Usage so far of every process that runs; of this one without its children, which are all the others."""
        stats = _all_stats()
        running = {name: pid for name, pid in {**self._in_folder(), **self._others}.items() if pid in stats}
        own = os.getpid()
        return {name: stats[pid].usage if pid == own else with_children(stats, pid) for name, pid in running.items()}

    def _in_folder(self) -> dict[str, int]:
        found = {}
        for file in sorted(self._pids.glob("*.pid")):
            with contextlib.suppress(OSError, ValueError):  # it is being written or removed
                found[file.stem] = int(file.read_text(encoding="ascii"))
        return {name: pid for name, pid in found.items() if name not in LEFT_OUT}

    @contextlib.asynccontextmanager
    async def watched(self, most: dict[str, int]) -> AsyncIterator[None]:
        """Note the most resident memory of each process inside the block."""

        def look() -> None:
            for name, usage in self.usage().items():
                most[name] = max(most.get(name, 0), usage.resident)

        async def watch() -> None:
            while True:
                look()
                await asyncio.sleep(SAMPLE_SECONDS)

        task = asyncio.create_task(watch())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            look()


def cpu_ms_per_job(before: Mapping[str, Usage], after: Mapping[str, Usage], jobs: int) -> dict[str, float]:
    """Milliseconds of processor time for each job, by process."""
    none = Usage()
    used = {name: usage.cpu_seconds - before.get(name, none).cpu_seconds for name, usage in after.items()}
    return {name: round(1000 * max(0.0, seconds) / jobs, 3) for name, seconds in used.items()}


@dataclass(frozen=True)
class MachineTime:
    """What all processors together have done so far, in seconds; `at` is a clock's."""

    at: float
    busy: float
    idle: float

    def busy_since(self, before: "MachineTime") -> float:
        """How busy they were since then: 1 is all of them, all the time."""
        busy, idle = self.busy - before.busy, self.idle - before.idle
        return busy / (busy + idle) if busy + idle > 0 else 0.0


def read_machine(text: str, at: float) -> MachineTime:
    """The first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal (which nobody here had)."""
    ticks = [int(field) for field in text.split("\n", 1)[0].split()[1:9]]
    idle = ticks[3] + ticks[4]
    return MachineTime(at, (sum(ticks) - idle) / TICKS, idle / TICKS)


def machine_time() -> MachineTime:
    """As it is now."""
    return read_machine(Path("/proc/stat").read_text(encoding="ascii"), time.perf_counter())


def _all_stats() -> dict[int, Stat]:
    stats = {}
    for folder in os.listdir("/proc"):
        if folder.isdecimal():
            with contextlib.suppress(OSError):  # it ended meanwhile
                stat = read_stat(Path(f"/proc/{folder}/stat").read_text(encoding="utf-8", errors="replace"))
                stats[stat.pid] = stat
    return stats
