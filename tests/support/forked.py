"""Processes of the services that are there at once: forked from one that has imported everything and opened nothing.

A process of its own takes a second of a processor to import what it needs; here that is done once. What is forked runs
the same `python -m`, with an environment, a log and signals of its own.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

SERVICES = ("flickrhub_auth", "flickrhub_gateway", "flickrhub_executor", "flickrhub_notifier")
KEPT = ("PATH", "HOME", "LANG", "COVERAGE_PROCESS_START")
FORK_SECONDS = 60

PARENT = """
import importlib, json, os, runpy, selectors, signal, sys

def say(**what):
    print(json.dumps(what), flush=True)

def become(order):
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, instead in ((0, nothing), (1, log), (2, log)):
        os.dup2(instead, number)
    os.environ.clear()
    os.environ.update(order["env"])
    return order["module"]

children, module, over = {}, None, False
for service in sys.argv[1:]:
    for part in ("main", "wiring"):
        importlib.import_module(f"{service}.{part}")
with selectors.DefaultSelector() as events:
    events.register(sys.stdin, selectors.EVENT_READ)
    while not (module or over):
        for key, _ in events.select():
            if key.fileobj is sys.stdin:
                line = sys.stdin.readline()
                over = not line
                if over:
                    break
                pid = os.fork()
                if not pid:
                    module = become(json.loads(line))
                    break
                children[pid] = os.pidfd_open(pid)
                events.register(children[pid], selectors.EVENT_READ, pid)
                say(begun=pid)
            else:
                events.unregister(key.fileobj)
                os.close(children.pop(key.data))
                say(ended=key.data, code=os.waitstatus_to_exitcode(os.waitpid(key.data, 0)[1]))
if module:
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
else:
    for pid in children:
        os.kill(pid, signal.SIGKILL)
"""


def base_environment() -> dict[str, str]:
    """What any process needs of the tests' own environment."""
    return {name: os.environ[name] for name in KEPT if name in os.environ}


@dataclass
class Forked:
    """One process, as asyncio's own look."""

    pid: int
    ended: asyncio.Future[int]

    @property
    def returncode(self) -> int | None:
        """Its exit code, once it has ended."""
        return self.ended.result() if self.ended.done() else None

    async def wait(self) -> int:
        """Wait for its end; its exit code."""
        return await asyncio.shield(self.ended)

    def send_signal(self, number: signal.Signals) -> None:
        """Signal it, unless it has ended."""
        with contextlib.suppress(ProcessLookupError):
            if not self.ended.done():
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


@dataclass
class Forking:
    """Starts processes, one after the other."""

    parent: asyncio.subprocess.Process
    _running: dict[int, Forked] = field(default_factory=dict)
    _begun: asyncio.Queue[Forked] = field(default_factory=asyncio.Queue)
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def start(self, module: str, environment: Mapping[str, str], *, log: Path) -> Forked:
        """Start `python -m module` with this environment; what it says is appended to the log."""
        assert self.parent.stdin is not None
        order = {"module": module, "env": dict(environment), "log": str(log)}
        async with self._one:
            self.parent.stdin.write(json.dumps(order).encode() + b"\n")
            return await asyncio.wait_for(self._begun.get(), FORK_SECONDS)

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
async def forking(*modules: str, folder: Path) -> AsyncIterator[Forking]:
    """Have processes of these packages started in a folder; they are killed at the end, as far as they still run."""
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-c", PARENT, *modules),
        env=base_environment(),
        cwd=folder,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    starting = Forking(parent)
    listening = asyncio.create_task(starting.listen())
    try:
        yield starting
    finally:
        assert parent.stdin is not None
        parent.stdin.close()
        await parent.wait()
        await listening
