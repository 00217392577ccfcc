"""Stopping is designed: a signal ends any process with 0 and in time, under load and in any state, and loses nothing.

`make test-e2e ARGS="-k shutdown -s"` prints how long each took. With SHUTDOWN_GRACE_SECONDS=20 they have the
default grace time, not a shorter one.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator

import pytest
from yarl import URL

from tests.support.callback_receiver import CallbackReceiver, Reply
from tests.support.flickrhub_client import flickrhub
from tests.support.hub_account import ECHO, Account, connector, photo_id_of
from tests.support.own_hub import OwnHub, own_hub
from tests.support.photographs import jpeg
from tests.support.run_env import needed
from tests.support.simulator import Simulator
from tests.support.steady_load import PATH, SteadyLoad
from tests.support.tcp_proxy import TcpProxy, tcp_proxy
from tests.support.waiting import eventually

GRACE_SECONDS = float(os.environ.get("SHUTDOWN_GRACE_SECONDS", "6"))
REDIS_DB = 11
SETTINGS = {
    "FLICKR_RATE_LIMIT_PER_SECOND": "0",
    "FLICKR_RATE_LIMIT_PER_HOUR": "0",
    "SHUTDOWN_GRACE_SECONDS": f"{GRACE_SECONDS:g}",
}
SERVERS = {"RABBIT_URL": "/{vhost}", "MONGO_URL": "/", "REDIS_URL": f"/{REDIS_DB}"}

pytestmark = [pytest.mark.few, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
async def proxies() -> AsyncIterator[dict[str, TcpProxy]]:
    """In front of each server."""
    async with contextlib.AsyncExitStack() as stack:
        urls = {name: URL(needed(name)) for name in SERVERS}
        yield {
            name: await stack.enter_async_context(tcp_proxy(url.host or "", url.port or 0))
            for name, url in urls.items()
        }


@pytest.fixture(scope="module")
async def ours(proxies: dict[str, TcpProxy], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OwnHub]:
    """A hub with two gateways and an executor of each target, which knows the servers by their proxies."""
    urls = {name: through(proxy, URL(needed(name)), SERVERS[name]) for name, proxy in proxies.items()}
    async with own_hub(
        SETTINGS | urls,
        logs=tmp_path_factory.mktemp("shutdown"),
        redis_db=REDIS_DB,
        gateways=2,
        targets=("rest", "upload", "replace"),
    ) as running:
        yield running


def through(proxy: TcpProxy, url: URL, path: str) -> str:
    """A server's URL by way of its proxy, with another path."""
    query = f"?{url.query_string}" if url.query_string else ""
    return str(url.with_port(proxy.port).with_path("/")).rstrip("/") + path + query


@pytest.fixture
async def account(ours: OwnHub, sim: Simulator) -> Account:
    """An account connected there."""
    return await connector(ours.client, sim)()


async def ends(hub: OwnHub, name: str, *numbers: signal.Signals) -> None:
    """Signal a process, which must end with 0 in time."""
    process, began = hub.processes[name], time.monotonic()
    for number in numbers or (signal.SIGTERM,):
        process.send_signal(number)
        await asyncio.sleep(0)
    code = await asyncio.wait_for(process.wait(), 3 * GRACE_SECONDS + 30)
    seconds = time.monotonic() - began
    sys.stdout.write(f"| {name} | {code} | {seconds:.1f} |\n")
    assert code == 0, f"{name}:\n{hub.log(name)[-3000:]}"
    assert seconds < GRACE_SECONDS + (0 if GRACE_SECONDS >= 20 else 3), name


async def test_shutdown_of_one_process_after_the_other_under_load_fails_no_request_and_loses_nothing(
    ours: OwnHub, account: Account, sim: Simulator, receiver: CallbackReceiver
) -> None:
    """A rolling restart, of two gateways too: a client whose connection is refused goes to the other."""
    photo_id = photo_id_of(await account.run_upload({"photo_ref": await account.hand_over(jpeg())}))
    await sim.fault(account.app, ECHO, times=-1, latency_ms=300)
    receiver.always(Reply(delay=0.2))
    async with flickrhub(ours.urls["gateway-2"]) as second:
        load = SteadyLoad(account, (ours.client, second), receiver, photo_id)
        async with load.running():
            for name in ours.urls:
                await load.goes_on()
                await ends(ours, name)
                await ours.start()
    await eventually(load.all_told, within=60, every=0.2, what="the callback of every job")
    assert load.failures == []
    assert load.refused, "no gateway was ever away"
    assert {count for job_id, count in load.told().items() if job_id in load.accepted} == {1}
    assert {request.json()["state"] for request in receiver.at(PATH)} == {"completed"}
    stored = await sim.uploaded(*load.photos.values())
    assert sorted(each["sha256"] for each in stored) == sorted(photo.sha256 for photo in load.photos.values())

    async def every_call_told() -> bool:
        """A gateway that stops may have taken a job whose 202 its client never saw; its callback comes too."""
        kinds = ((ECHO,), (None, "upload"), (None, "replace"))
        calls = [len(await sim.calls(account.app, *kind)) for kind in kinds]
        return sum(calls) == len(load.told()) + 1

    await eventually(every_call_told, within=10, every=0.2, what="as many jobs told as calls made")


async def test_shutdown_ends_every_process_while_all_servers_are_silent(
    ours: OwnHub, account: Account, proxies: dict[str, TcpProxy], sim: Simulator, receiver: CallbackReceiver
) -> None:
    """Jobs and callbacks are under way, a client is in the middle of a photo, and the signal comes twice."""
    await sim.fault(account.app, ECHO, times=-1, latency_ms=200)
    jobs = [await account.enqueue(ECHO, params={"n": n}, callback_url=receiver.url("/silent")) for n in range(30)]
    photo = asyncio.create_task(ours.client.hand_over_raw(_endless(), user_id=account.user_id))
    await receiver.received(2, "/silent")
    for proxy in proxies.values():
        proxy.stall()
    try:
        await asyncio.gather(*(ends(ours, name, signal.SIGTERM, signal.SIGTERM) for name in ours.processes))
        (outcome,) = await asyncio.gather(photo, return_exceptions=True)
        assert not getattr(outcome, "is_success", False), outcome
    finally:
        for proxy in proxies.values():
            await proxy.cut()
            await proxy.restore()
    await ours.start()

    def told() -> bool:
        return {request.json()["job_id"] for request in receiver.at("/silent")} == set(jobs)

    await eventually(told, within=60, every=0.2, what="the callback of every job")


async def _endless() -> AsyncIterator[bytes]:
    yield jpeg(100_000).data[:50_000]
    while True:
        await asyncio.sleep(0.2)
        yield b"x" * 20_000
