"""All figures of a run, and their form for programs."""

import datetime
import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from deploy.local.stack.places import Places
from tests.bench.speed.chain import ChainFigures
from tests.bench.speed.figures import BacklogFigures, EnqueueFigures, LoadFigures, Pair
from tests.bench.speed.targets import SATURATION, Judgement, judge_backlog, judge_load, judge_scaling


@dataclass
class Results:
    """What has been measured so far; memory in bytes by process."""

    chain: ChainFigures = field(default_factory=ChainFigures)
    loads: dict[str, LoadFigures] = field(default_factory=dict)
    saturation_rounds: list[float] = field(default_factory=list)
    enqueue: EnqueueFigures | None = None
    scaling: list[Pair] = field(default_factory=list)
    backlog: BacklogFigures | None = None
    memory_before: dict[str, int] = field(default_factory=dict)
    memory_after: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    awake: bool = False
    """Whether the machine's processors were kept from sleeping."""

    @property
    def chain_per_second(self) -> float | None:
        """The bare chain, if it was measured."""
        return self.chain.per_second if self.chain.rounds else None

    @property
    def ratio(self) -> float | None:
        """Saturation as a part of the bare chain, if both were measured."""
        saturation = self.loads.get(SATURATION)
        return saturation.callbacks_per_second / self.chain.per_second if saturation and self.chain.rounds else None

    def judgements(self) -> list[Judgement]:
        """Every target whose phases were measured."""
        judged = judge_load(self.loads, chain_per_second=self.chain_per_second)
        judged += judge_backlog(self.backlog) if self.backlog else []
        return judged + judge_scaling(self.scaling)

    def as_json(self) -> dict[str, Any]:
        """All of it, with the machine it was measured on."""
        return {
            "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "revision": _revision(),
            "seconds": round(self.seconds, 1),
            "awake": self.awake,
            "chain": self.chain.as_json() if self.chain.rounds else None,
            "ratio": self.ratio and round(self.ratio, 3),
            "saturation_rounds": self.saturation_rounds,
            "loads": {name: asdict(load) for name, load in self.loads.items()},
            "enqueue": self.enqueue and asdict(self.enqueue),
            "scaling": [asdict(pair) | {"ratio": round(pair.ratio, 3)} for pair in self.scaling],
            "backlog": self.backlog and asdict(self.backlog),
            "memory": {"before": self.memory_before, "after": self.memory_after},
            "targets": [asdict(judgement) for judgement in self.judgements()],
        }


def machine() -> dict[str, Any]:
    """What it was measured on."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processors": len(os.sched_getaffinity(0)),
        "model": models[0] if models else platform.machine(),
        "memory_gib": round(memory / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def _revision() -> str:
    asked = ("git", "describe", "--always", "--dirty", "--abbrev=10")
    root = Path(__file__).resolve().parents[3]
    found = subprocess.run(asked, cwd=root, capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else ""


def default_path(now: datetime.datetime) -> Path:
    """`.run/bench/<UTC time>.json`: in the folder of `make up`, which `make clean` forgets, not in the bench's own."""
    places = Places.from_environment({})
    if not places.run.exists():
        places.create()
    return places.run / "bench" / f"{now.astimezone(datetime.UTC):%Y%m%dT%H%M%SZ}.json"


def write(path: Path, results: Results) -> None:
    """Store the figures, for people to read too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results.as_json(), indent=2) + "\n", encoding="utf-8")
