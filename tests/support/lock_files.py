"""Lock files, read."""

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Locked:
    """One distribution of a lock file."""

    version: str
    hashes: frozenset[str]
    wanted_here: bool
    """Whether its marker, if it has one, holds on this machine."""


def read_lock(name: str) -> dict[str, Locked]:
    """Canonical name -> what is locked, of `requirements/<name>.txt`."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    entries = re.sub(r"(?m)^\s*#.*\n?", "", text).replace("\\\n", " ").splitlines()
    return dict(_locked(entry) for entry in entries if entry.strip())


def _locked(entry: str) -> tuple[str, Locked]:
    requirement = Requirement(entry.partition(" --hash=")[0])
    pinned = str(requirement.specifier)
    assert pinned.startswith("=="), f"{entry} isn't pinned"
    marker = requirement.marker
    hashes = frozenset(re.findall(r"--hash=(sha256:[0-9a-f]{64})", entry))
    here = marker is None or marker.evaluate()
    return canonicalize_name(requirement.name), Locked(pinned.removeprefix("=="), hashes, here)
