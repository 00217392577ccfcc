"""Become one program of the stack: `launch.py programs/<process>.json`, run by supervisor at each start.

The environment comes from the file, because supervisor's own `environment=` can't carry every value. The log is
opened here rather than piped through supervisor, so that a process outlives supervisor's death unharmed. Standard
library only: it runs with `-I -S` to start fast, and replaces itself with the program, so its pid is the program's.
"""

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

LARGEST_LOG = 50 * 1024 * 1024
# MongoDB and RabbitMQ ask for many; a login shell's soft limit is often 1,024.
OPEN_FILES = 65_536


def main() -> None:
    spec = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    os.umask(0o077)
    _allow_open_files()
    _redirect(Path(spec["log"]))
    _write(Path(spec["identity"]), json.dumps(_identity()))
    _write(Path(spec["pid"]), f"{os.getpid()}\n")
    try:
        os.chdir(spec["cwd"])
        os.execve(spec["argv"][0], spec["argv"], spec["env"])  # noqa: S606 - no shell is wanted
    except OSError as error:
        sys.exit(f"{spec['name']}: {spec['argv'][0]} can't be started: {error.strerror}")


def _allow_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _redirect(log: Path) -> None:
    if log.exists() and log.stat().st_size > LARGEST_LOG:
        log.replace(log.with_name(log.name + ".1"))
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (out, 1), (out, 2)):
        os.dup2(source, target)


def _identity() -> dict[str, Any]:
    boot = Path("/proc/sys/kernel/random/boot_id")
    started = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    return {"pid": os.getpid(), "started": started, "boot": boot.read_text().strip() if boot.exists() else ""}


def _write(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


if __name__ == "__main__":
    main()
