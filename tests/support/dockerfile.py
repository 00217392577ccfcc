"""The Dockerfile, read: its stages, and all that an image of one service is made of."""

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("gateway", "auth", "executor", "notifier", "flickr-sim")


@dataclass(frozen=True)
class Instruction:
    """One instruction, its continued lines joined."""

    name: str
    text: str

    def words(self) -> list[str]:
        """Its words, options (`--from=…`) left out."""
        return [word for word in shlex.split(self.text) if not word.startswith("--")]

    def option(self, name: str) -> str | None:
        """The value of `--name=value`."""
        found = re.search(rf"--{name}=(\S+)", self.text)
        return found[1] if found else None

    def exec_form(self) -> list[str]:
        """The words of a JSON array, which no shell reads. Raises ValueError for the shell form."""
        return [str(word) for word in json.loads(self.text)]


@dataclass
class Stage:
    """What stands between two FROMs."""

    name: str
    base: str
    instructions: list[Instruction] = field(default_factory=list)


def read() -> list[Stage]:
    """The stages in order; what stands before the first is in one called `""` with no base."""
    stages = [Stage("", "")]
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in filter(None, "\n".join(lines).replace("\\\n", " ").splitlines()):
        name, _, rest = line.partition(" ")
        if name == "FROM":
            base, _, alias = rest.partition(" AS ")
            stages.append(Stage(alias, base))
        else:
            stages[-1].instructions.append(Instruction(name, " ".join(rest.split())))
    return stages


def image(service: str) -> list[Instruction]:
    """Every instruction that makes the image of a service, from its base on; other stages are left out."""
    stages = read()
    by_name = {stage.name: stage for stage in stages[1:-1]}
    stage: Stage | None = stages[-1]
    found: list[Instruction] = []
    while stage is not None:
        found = stage.instructions + found
        stage = by_name.get(stage.base.replace("${SERVICE}", service))
    return found


def environment(service: str) -> dict[str, str]:
    """What ENV gives to a service."""
    pairs = [word.split("=", 1) for one in image(service) if one.name == "ENV" for word in one.words()]
    return dict(pairs)


def last(service: str, name: str) -> Instruction:
    """The instruction of that name that counts."""
    return [one for one in image(service) if one.name == name][-1]
