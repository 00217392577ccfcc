"""`kill -9` of any process of ours during 200 running jobs: all 200 end and are called back.

All of ours fall in one round: what each of them loses takes its own time to come back.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.callback_receiver import CallbackReceiver
from tests.support.flickrhub_client import flickrhub
from tests.support.hub_account import ECHO, Account, connector
from tests.support.run_env import needed
from tests.support.simulator import PEOPLE, Simulator
from tests.support.stack_processes import StackProcesses
from tests.support.waiting import eventually

pytestmark = pytest.mark.alone

JOBS_EACH = 5
JOBS = 200
UNDER_WAY = 15
"""Callbacks that have come when the blow falls: the others are at every stage by then."""
ENDED_WITHIN_SECONDS = 100  # an executor's claim on a job outlives it by 25 s, so that nothing is called twice


@pytest.fixture(scope="module")
async def forty(sim: Simulator) -> AsyncIterator[list[Account]]:
    """Forty accounts of two apps: each may call once a second, so 200 jobs are under way for five seconds."""
    async with flickrhub(needed("GATEWAY_URL")) as client:
        connect = connector(client, sim)
        apps = [await sim.new_app(), await sim.new_app()]
        yield [await connect(app, person=person) for app in apps for person in range(len(PEOPLE))]


async def enqueue_all(accounts: list[Account], url: str, mark: str) -> dict[str, Account]:
    """Enqueue every job; who owns which."""
    owners: dict[str, Account] = {}

    async def some(account: Account) -> None:
        for number in range(JOBS_EACH):
            params = {"mark": mark, "number": number}
            owners[await account.enqueue(ECHO, params=params, callback_url=url)] = account

    for start in range(0, len(accounts), 10):
        await asyncio.gather(*(some(account) for account in accounts[start : start + 10]))
    return owners


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("at_once", "under_way"),
    [(("gateway", "auth"), ("executor-rest", "notifier")), ((), ("flickr-sim",))],
    ids=["all of ours", "the simulator"],
)
async def test_all_jobs_end_and_are_called_back(
    at_once: tuple[str, ...],
    under_way: tuple[str, ...],
    forty: list[Account],
    sim: Simulator,
    receiver: CallbackReceiver,
    processes: StackProcesses,
) -> None:
    for app in {account.app for account in forty}:
        await sim.fault(app, ECHO, times=-1, latency_ms=300)
    owners = await enqueue_all(forty, receiver.url("/hook"), under_way[0])
    assert len(owners) == JOBS
    for process in at_once:  # while accepted jobs are still on their way to RabbitMQ
        await processes.kill(process)
    await receiver.received(UNDER_WAY, "/hook")
    assert len(receiver.at("/hook")) < JOBS, "nothing was under way any more"
    for process in under_way:
        await processes.kill(process)

    def told() -> bool:
        return {request.json()["job_id"] for request in receiver.at("/hook")} == set(owners)

    await eventually(told, within=ENDED_WITHIN_SECONDS, every=0.2, what="callbacks of all jobs")
    assert all(request.json()["state"] == "completed" for request in receiver.at("/hook"))
    await same_bytes_each_time(receiver)
    await processes.all_ready()
    for job_id, account in owners.items():
        assert (await account.ended(job_id))["state"] == "completed"


async def same_bytes_each_time(receiver: CallbackReceiver) -> None:
    """A callback that was sent twice, because its sender died before it knew, is the same callback."""
    bodies: dict[str, bytes] = {}
    for request in receiver.at("/hook"):
        assert bodies.setdefault(request.headers["webhook-id"], request.body) == request.body
