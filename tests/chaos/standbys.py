"""Second processes of some services, beside those that supervisor keeps: who takes over while the first is silent."""

import asyncio
import contextlib
import json
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Collection
from pathlib import Path

import httpx2

from deploy.local.stack import launch, ports
from deploy.local.stack.places import Places, write_private
from tests.support.waiting import eventually

READY_SECONDS = 60
END_SECONDS = 40


@contextlib.asynccontextmanager
async def started(places: Places, names: Collection[str]) -> AsyncIterator[None]:
    """Within the block every one of these services runs twice. Raises AssertionError if a second one died."""
    free = iter(ports.free().values())
    second = {name: next(free) for name in names}
    running = [await _start(places, name, port) for name, port in second.items()]
    try:
        for name, port in second.items():
            await _ready(name, port)
        yield
        assert all(process.returncode is None for process in running), "a second process died by itself"
    finally:
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        async with asyncio.timeout(END_SECONDS):
            await asyncio.gather(*(process.wait() for process in running))


async def _start(places: Places, name: str, port: int) -> Process:
    """The same program with a port and files of its own, by which `make down` would find it, too."""
    twin = f"{name}-2"
    spec = json.loads((places.programs / f"{name}.json").read_text(encoding="utf-8"))
    spec |= {
        "name": twin,
        "env": spec["env"] | {"PORT": str(port), "METRICS_PORT": "0"},
        "log": str(places.logs / f"{twin}.log"),
        "pid": str(places.pids / f"{twin}.pid"),
        "identity": str(places.programs / f"{twin}.identity"),
    }
    path = places.programs / f"{twin}.json"
    write_private(path, json.dumps(spec, indent=2))
    return await asyncio.create_subprocess_exec(sys.executable, "-I", "-S", str(Path(launch.__file__)), str(path))


async def _ready(name: str, port: int) -> None:
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=5, trust_env=False) as http:

        async def ready() -> bool:
            with contextlib.suppress(httpx2.HTTPError):
                return (await http.get("/health/ready")).status_code == httpx2.codes.OK
            return False

        await eventually(ready, within=READY_SECONDS, every=0.3, what=f"readiness of the second {name}")
