"""Processes of a service that are there at once: forked from one that has imported everything and opened nothing.

A process of its own takes a second of a processor to import what it needs; here that is done once. What is forked runs
the same `python -m`, with an environment, a log and signals of its own.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.own_hub import base_environment

PARENT = """
import importlib, json, os, runpy, selectors, signal, sys

def say(**what):
    print(json.dumps(what), flush=True)

def begin(order):
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, instead in ((0, nothing), (1, log), (2, log)):
        os.dup2(instead, number)
    os.environ.clear()
    os.environ.update(order["env"])
    sys.argv = [service]

service, children = sys.argv[1], {}
for module in ("main", "wiring"):
    importlib.import_module(f"{service}.{module}")
with selectors.DefaultSelector() as events:
    events.register(sys.stdin, selectors.EVENT_READ)
    forked = over = False
    while not (forked or over):
        for key, _ in events.select():
            if key.fileobj is sys.stdin:
                line = sys.stdin.readline()
                over = not line
                if over:
                    break
                pid = os.fork()
                if not pid:
                    forked = True
                    begin(json.loads(line))
                    break
                children[pid] = os.pidfd_open(pid)
                events.register(children[pid], selectors.EVENT_READ, pid)
                say(begun=pid)
            else:
                events.unregister(key.fileobj)
                os.close(children.pop(key.data))
                say(ended=key.data, code=os.waitstatus_to_exitcode(os.waitpid(key.data, 0)[1]))
if forked:
    runpy.run_module(service, run_name="__main__", alter_sys=True)
for pid in children:
    os.kill(pid, signal.SIGKILL)
"""


@dataclass
class Forked:
    """One process; `wait` is for its exit code."""

    pid: int
    ended: asyncio.Future[int]

    async def wait(self) -> int:
        """Wait for its end; its exit code."""
        return await asyncio.shield(self.ended)


@dataclass
class ForkedService:
    """Starts processes of one service, one after the other."""

    parent: asyncio.subprocess.Process
    logs: Path
    _running: dict[int, Forked] = field(default_factory=dict)
    _begun: asyncio.Queue[Forked] = field(default_factory=asyncio.Queue)
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)
    _count: int = 0

    async def start(self, environment: Mapping[str, str]) -> Forked:
        """Start one with this environment."""
        assert self.parent.stdin is not None
        self._count += 1
        log = self.logs / f"forked-{self._count}.log"
        async with self._one:
            self.parent.stdin.write(json.dumps({"env": dict(environment), "log": str(log)}).encode() + b"\n")
            return await asyncio.wait_for(self._begun.get(), 30)

    def log(self) -> str:
        """What all of them have written."""
        return "".join(file.read_text(encoding="utf-8") for file in sorted(self.logs.glob("forked-*.log")))

    async def listen(self) -> None:
        """Take what the parent says until it ends."""
        assert self.parent.stdout is not None
        async for line in self.parent.stdout:
            said = json.loads(line)
            if "begun" in said:
                one = Forked(said["begun"], asyncio.get_running_loop().create_future())
                self._running[one.pid] = one
                self._begun.put_nowait(one)
            else:
                self._running.pop(said["ended"]).ended.set_result(said["code"])


@contextlib.asynccontextmanager
async def forked_service(module: str, *, logs: Path) -> AsyncIterator[ForkedService]:
    """A service (`flickrhub_executor`) whose processes are killed at the end, as far as they still run."""
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-c", PARENT, module),
        env=base_environment(),
        cwd=logs,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    service = ForkedService(parent, logs)
    listening = asyncio.create_task(service.listen())
    try:
        yield service
    finally:
        assert parent.stdin is not None
        parent.stdin.close()
        await parent.wait()
        await listening
