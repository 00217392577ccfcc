"""Whether a pid is still the process that was started, and not a later one with the same number."""

import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Identity:
    """One process: its pid, its start time in clock ticks, and the boot it belongs to. Written by `launch.py`."""

    pid: int
    started: str
    boot: str

    def is_alive(self) -> bool:
        """Whether exactly this process still runs (a zombie doesn't)."""
        if self.boot != boot_id():
            return False
        stat = _stat(self.pid)
        return stat is not None and stat[0] not in "ZX" and stat[1] == self.started

    def send(self, number: signal.Signals) -> None:
        """Signal this process, unless it is gone."""
        if self.is_alive():
            os.kill(self.pid, number)


def boot_id() -> str:
    """A text that is another one after every boot."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""


def _stat(pid: int) -> tuple[str, str] | None:
    """State letter and start time of a process, or None when there is none with this pid."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the command's name may hold anything
    return fields[0], fields[19]


def read(path: Path) -> Identity | None:
    """The identity stored in `path`, or None when there is none that can be read."""
    try:
        return Identity(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def left_running(folder: Path) -> dict[str, Identity]:
    """Processes with an identity file in `folder` that run, by name."""
    found = {path.stem: read(path) for path in sorted(folder.glob("*.identity"))}
    return {name: identity for name, identity in found.items() if identity is not None and identity.is_alive()}
