"""What is measured, and how it is told."""

import asyncio
import contextlib
import statistics
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.run_env import run_dir

MIB = 1024 * 1024
SAMPLE_SECONDS = 0.02
WANTED_GROWTH_MIB = 32.0


@dataclass
class Growth:
    """Resident memory of one process, in bytes: before, and the most that was seen since."""

    before: int
    most: int = 0

    @property
    def mib(self) -> float:
        """The growth in MiB."""
        return max(0, self.most - self.before) / MIB


@dataclass
class Leg:
    """One way through: its rates and those of curl beside it in MiB/s, and the most that each process grew, in MiB.

    ``wanted`` is the ratio that was promised, if one was.
    """

    name: str
    wanted: float | None
    rates: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    growth: dict[str, float] = field(default_factory=dict)

    def add(self, rate: float, *, beside: float, growth: dict[str, Growth]) -> None:
        """Note one measurement."""
        self.rates.append(rate)
        self.beside.append(beside)
        for process, grown in growth.items():
            self.growth[process] = max(self.growth.get(process, 0.0), grown.mib)

    def forget(self) -> None:
        """Begin the rates anew; how the processes grew stays."""
        self.rates, self.beside = [], []

    @property
    def ratios(self) -> list[float]:
        """Each rate as a part of curl's."""
        return [rate / curl for rate, curl in zip(self.rates, self.beside, strict=True)]

    @property
    def good(self) -> bool:
        """Whether it is what was promised."""
        fast = self.wanted is None or statistics.median(self.ratios) >= self.wanted
        return fast and max(self.growth.values()) < WANTED_GROWTH_MIB

    def line(self) -> str:
        """The figures for people."""
        grown = ", ".join(f"{process} +{mib:.1f} MiB" for process, mib in self.growth.items())
        ratio = f"{statistics.median(self.ratios):.2f} of curl ({min(self.ratios):.2f} to {max(self.ratios):.2f})"
        return f"{self.name:<11} {statistics.median(self.rates):5.0f} MiB/s  {ratio}  memory: {grown}"

    def as_json(self) -> dict[str, Any]:
        """The figures for programs."""
        return {"name": self.name, "mib_per_s": self.rates, "curl_mib_per_s": self.beside, "growth_mib": self.growth}


def resident(pid: int) -> int:
    """A process's resident memory in bytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


@contextlib.asynccontextmanager
async def watched(*names: str) -> AsyncIterator[dict[str, Growth]]:
    """Watch processes of the stack, named as `make status` does, inside the block."""
    pids = {name: int((run_dir() / "pids" / f"{name}.pid").read_text(encoding="ascii")) for name in names}
    growth = {name: Growth(resident(pid)) for name, pid in pids.items()}

    async def watch() -> None:
        while True:
            for name, pid in pids.items():
                growth[name].most = max(growth[name].most, resident(pid))
            await asyncio.sleep(SAMPLE_SECONDS)

    task = asyncio.create_task(watch())
    try:
        yield growth
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
