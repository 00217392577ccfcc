"""What waits, waits through the death of whatever it waits in; and stopping is designed."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.support.callback_receiver import CallbackReceiver, Reply
from tests.support.hub_account import ECHO, Account, connector
from tests.support.own_hub import own_hub, stop
from tests.support.simulator import Simulator
from tests.support.stack_processes import StackProcesses

WAIT_SECONDS = 14

pytestmark = [pytest.mark.alone, pytest.mark.timeout(180)]


async def test_a_waiting_callback_and_a_waiting_job_survive_the_death_of_everything(
    account: Account, sim: Simulator, processes: StackProcesses, receiver: CallbackReceiver
) -> None:
    receiver.script("/waiting", Reply(503, {"retry-after": str(WAIT_SECONDS)}))
    first_job = await account.enqueue(ECHO, params={"job": 1}, callback_url=receiver.url("/waiting"))
    await account.ended(first_job)
    await receiver.received(1, "/waiting")
    await sim.fault(account.app, status=503, headers={"Retry-After": str(WAIT_SECONDS)})
    second_job = await account.enqueue(ECHO, params={"job": 2}, callback_url=receiver.url("/job"))
    await sim.called(2, account.app, ECHO)
    calls = await sim.calls(account.app, ECHO)
    for name in ("notifier", "executor-rest", "gateway", "rabbitmq", "redis", "mongo"):
        await processes.kill(name)
    first, second = await receiver.received(2, "/waiting", within=60)
    assert second.body == first.body
    assert second.at - first.at >= WAIT_SECONDS
    await receiver.received(1, "/job", within=60)
    assert receiver.at("/job")[0].json()["job_id"] == second_job
    assert receiver.at("/job")[0].json()["attempts_made"] == 2
    third_call = (await sim.calls(account.app, ECHO))[-1]
    assert third_call["at"] - calls[-1]["at"] >= WAIT_SECONDS


async def test_sigterm_ends_every_process_with_0_and_loses_nothing(
    sim: Simulator, receiver: CallbackReceiver, tmp_path: Path
) -> None:
    """Under load: the hub is stopped, process by process, and what it had accepted runs in the next one."""
    settings = {"FLICKR_RATE_LIMIT_PER_SECOND": "0", "SHUTDOWN_GRACE_SECONDS": "5"}
    async with own_hub(settings, logs=tmp_path, redis_db=7) as hub:
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
