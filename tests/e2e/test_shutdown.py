"""Stopping is designed: a signal ends every process with 0 and in time, and loses nothing."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.support.callback_receiver import CallbackReceiver
from tests.support.hub_account import ECHO, connector
from tests.support.own_hub import own_hub, stop
from tests.support.simulator import Simulator

pytestmark = [pytest.mark.few, pytest.mark.timeout(180)]


async def test_shutdown_ends_every_process_with_0_and_loses_nothing(
    sim: Simulator, receiver: CallbackReceiver, tmp_path: Path
) -> None:
    """Under load: the hub is stopped, process by process, and what it had accepted runs in the next one."""
    settings = {"FLICKR_RATE_LIMIT_PER_SECOND": "0", "SHUTDOWN_GRACE_SECONDS": "5"}
    async with own_hub(settings, logs=tmp_path, redis_db=11) as hub:
        account = await connector(hub.client, sim)()
        await sim.fault(account.app, ECHO, times=-1, latency_ms=300)
        for n in range(60):
            await account.enqueue(ECHO, params={"n": n}, callback_url=receiver.url("/stopping"))
        await receiver.received(5, "/stopping")
        started = time.monotonic()
        codes = await asyncio.gather(*(stop(process) for process in hub.processes.values()))
        assert dict(zip(hub.processes, codes, strict=True)) == dict.fromkeys(hub.processes, 0)
        assert time.monotonic() - started < 5 + 10
        told = len({request.json()["job_id"] for request in receiver.at("/stopping")})
        assert told < 60, "nothing was under way any more"
        await hub.start()
        await receiver.received(60, "/stopping", within=60)
        assert len({request.json()["job_id"] for request in receiver.at("/stopping")}) == 60
