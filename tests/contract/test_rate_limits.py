"""Contract, section 3: the limits per api key and per user, and that nobody waits for somebody else's jobs."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator

import pytest

from flickrhub_common.contracts import Target, queue_of
from tests.support.hub_account import ECHO, Account, Connect, connector
from tests.support.own_hub import OwnHub, own_hub
from tests.support.simulator import Simulator
from tests.support.waiting import eventually

pytestmark = pytest.mark.few

MANY = 1000
JITTER_SECONDS = 0.15
"""What a call may lose or gain on its way to Flickr after its turn was given."""


@pytest.mark.alone
async def test_one_user_calls_once_a_second_and_waiting_costs_no_attempt(account: Account, sim: Simulator) -> None:
    jobs = [await account.enqueue(ECHO, params={"n": n}) for n in range(5)]
    for job_id in jobs:
        ended = await account.ended(job_id)
        assert ended["state"] == "completed"
        assert ended["returnvalue"]["observability"]["attempt"] == 1
    times = sorted(call["at"] for call in await sim.calls(account.app, ECHO))
    assert len(times) == 5
    for earlier, later in itertools.pairwise(times):
        assert later - earlier >= 1 - JITTER_SECONDS
    assert times[-1] - times[0] <= 4 + 2  # the lane isn't left empty either


async def test_users_of_one_app_have_a_lane_each(connect: Connect, sim: Simulator) -> None:
    first = await connect()
    accounts = [first, *[await connect(first.app, person=person) for person in range(1, 5)]]
    started = time.monotonic()
    await asyncio.gather(*(account.run(ECHO) for account in accounts))
    assert time.monotonic() - started < 3
    times = [call["at"] for call in await sim.calls(first.app, ECHO)]
    assert max(times) - min(times) < 1


async def test_a_waiting_job_is_queued(account: Account) -> None:
    jobs = [await account.enqueue(ECHO, params={"n": n}) for n in range(4)]
    assert (await account.status(jobs[-1]))["state"] == "queued"
    await account.ended(jobs[-1])


@pytest.fixture(scope="module")
async def default_hub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OwnHub]:
    """A hub with the default limits, whose thousand waiting jobs vanish with its vhost."""
    async with own_hub({}, logs=tmp_path_factory.mktemp("defaults"), redis_db=12) as running:
        yield running


@pytest.fixture(scope="module")
async def three_an_hour(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OwnHub]:
    """A hub with two executors and a budget of three calls per api key and hour."""
    settings = {"FLICKR_RATE_LIMIT_PER_HOUR": "3", "FLICKR_RATE_LIMIT_PER_SECOND": "0"}
    logs = tmp_path_factory.mktemp("budget")
    async with own_hub(settings, logs=logs, redis_db=13, executors=2) as running:
        yield running


async def test_a_thousand_jobs_of_one_user_do_not_delay_anothers(default_hub: OwnHub, sim: Simulator) -> None:
    connect = connector(default_hub.client, sim)
    greedy = await connect()
    others = [await connect(greedy.app, person=1), await connect(person=2), await connect(person=3)]
    await asyncio.gather(*(_enqueue_some(greedy, range(start, MANY, 20)) for start in range(20)))
    await _all_wait(default_hub)
    for other in others:
        started = time.monotonic()
        job_id = await other.enqueue(ECHO)
        ended = await default_hub.client.ended(job_id, other.user_id, within=10)
        assert ended["state"] == "completed"
        assert time.monotonic() - started < 2
    greedy_calls = [c for c in await sim.calls(greedy.app, ECHO) if "n" in c["params"]]
    assert len(greedy_calls) < MANY / 4, "the thousand jobs weren't waiting, so nothing was shown"


async def _enqueue_some(account: Account, numbers: range) -> None:
    for number in numbers:
        await account.enqueue(ECHO, params={"n": number})


async def _all_wait(hub: OwnHub) -> None:
    """Until the executor has looked at every job and sent it to wait for its turn."""
    queue = queue_of(Target.REST)

    async def empty() -> bool:
        return await hub.rabbit.depth(queue) == 0

    await eventually(empty, within=60, what=f"an empty {queue}")


async def test_the_budget_of_a_key_holds_over_all_users_and_executors(three_an_hour: OwnHub, sim: Simulator) -> None:
    connect = connector(three_an_hour.client, sim)
    first = await connect()
    second = await connect(first.app, person=1)
    jobs = [await account.enqueue(ECHO, params={"n": n}) for n in range(4) for account in (first, second)]
    await sim.called(3, first.app, ECHO)
    await asyncio.sleep(3)  # time enough for what must not happen
    assert len(await sim.calls(first.app, ECHO)) == 3
    states = [await _state(three_an_hour, account, job) for job, account in zip(jobs, [first, second] * 4, strict=True)]
    assert sorted(states) == ["completed"] * 3 + ["queued"] * 5


async def _state(hub: OwnHub, account: Account, job_id: str) -> str:
    return str((await hub.client.status(job_id, account.user_id)).json()["data"]["state"])


async def test_a_spent_budget_is_no_business_of_another_key(three_an_hour: OwnHub, sim: Simulator) -> None:
    connect = connector(three_an_hour.client, sim)
    spender, other = await connect(), await connect()
    for n in range(10):
        await spender.enqueue(ECHO, params={"n": n})
    await sim.called(3, spender.app, ECHO)
    assert (await other.run(ECHO, within=5))["state"] == "completed"


async def test_zero_switches_the_users_limit_off(three_an_hour: OwnHub, sim: Simulator) -> None:
    account = await connector(three_an_hour.client, sim)()
    started = time.monotonic()
    await asyncio.gather(*(account.run(ECHO, params={"n": n}) for n in range(3)))
    assert time.monotonic() - started < 2
