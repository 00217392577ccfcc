"""The stack that is measured: one of its own, all settings as a user has them, but limits and cache off."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

from deploy.local.stack import ports
from deploy.local.stack.down import clean
from deploy.local.stack.places import Places
from deploy.local.stack.up import up
from tests.bench.speed.flickr_stub import flickr_stub
from tests.bench.speed.load import Load, Target, a_load
from tests.bench.speed.processes import GENERATOR, STUB, Processes
from tests.support.flickrhub_client import flickrhub
from tests.support.other_stacks import forget_other_stacks
from tests.support.run_env import needed

OFF = {
    "FLICKR_RATE_LIMIT_PER_SECOND": "0",
    "FLICKR_RATE_LIMIT_PER_HOUR": "0",
    "RATE_LIMIT_USER_PER_MINUTE": "0",
    "RATE_LIMIT_ADDRESS_PER_MINUTE": "0",
    "CACHE_ENABLED": "false",
}


@dataclass(frozen=True)
class Stack:
    """What the phases talk to."""

    places: Places
    load: Load
    processes: Processes
    spare_port: int


@contextlib.asynccontextmanager
async def bench_stack(places: Places) -> AsyncIterator[Stack]:
    """A fresh stack with nginx for Flickr, and one account connected; forgotten afterwards.

    The account is connected at the simulator, which takes part in nothing else.
    """
    forget_other_stacks()
    os.environ["RUN_DIR"] = str(places.run)
    clean(places)
    chosen = ports.free()
    stub_port, spare_port = _others(chosen, count=2)
    settings = OFF | {name: str(port) for name, port in chosen.items()} | _flickr(chosen["SIM_PORT"], stub_port)
    try:
        places.create()
        async with flickr_stub(places.run / "nginx", stub_port) as stub:
            await asyncio.to_thread(up, places, {**os.environ, **settings})
            user_id = await _connected()
            async with a_load(Target(needed("GATEWAY_URL"), user_id)) as load:
                watched = Processes(places.pids, {STUB: stub.pid, GENERATOR: os.getpid()})
                yield Stack(places, load, watched, spare_port)
    finally:
        await asyncio.to_thread(clean, places)


def _flickr(sim_port: int, stub_port: int) -> dict[str, str]:
    """OAuth at the simulator, REST calls at nginx."""
    return {
        "MOCK_FLICKR": "false",
        "FLICKR_OAUTH_URL": f"http://127.0.0.1:{sim_port}/services/oauth",
        "FLICKR_REST_URL": f"http://127.0.0.1:{stub_port}/services/rest/",
    }


def _others(taken: dict[str, int], *, count: int) -> list[int]:
    return [port for port in ports.free().values() if port not in taken.values()][:count]


async def _connected() -> str:
    async with flickrhub(needed("GATEWAY_URL")) as hub:
        return await hub.connect(needed("DEMO_API_KEY"), needed("DEMO_API_SECRET"))
