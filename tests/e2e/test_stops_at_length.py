"""Stops that take long to show: in the middle of 200 MiB, and MongoDB's death in the middle of 500 jobs handed over.

STOPS_AT_LENGTH=1 make test-e2e ARGS="-k at_length -s"
"""

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator

import httpx2
import pytest
from yarl import URL

from tests.support.callback_receiver import CallbackReceiver
from tests.support.envelopes import failure
from tests.support.flickrhub_client import flickrhub
from tests.support.hub_account import ECHO, Account, connector, photo_id_of
from tests.support.own_hub import OwnHub, own_hub
from tests.support.photographs import Photograph, jpeg
from tests.support.run_env import needed
from tests.support.simulator import Simulator
from tests.support.stack_processes import StackProcesses
from tests.support.tcp_proxy import TcpProxy, tcp_proxy
from tests.support.waiting import eventually

MIB = 1024 * 1024
WITHIN_SECONDS = 20.0
JOBS = 500
AT_ONCE = 20

pytestmark = [
    pytest.mark.alone,
    pytest.mark.timeout(300),
    pytest.mark.skipif("STOPS_AT_LENGTH" not in os.environ, reason="STOPS_AT_LENGTH=1 asks for it"),
]


@pytest.fixture(scope="module")
async def to_flickr() -> AsyncIterator[TcpProxy]:
    """In front of the simulator."""
    url = URL(needed("SIM_URL"))
    async with tcp_proxy(url.host or "", url.port or 80) as proxy:
        yield proxy


@pytest.fixture(scope="module")
async def ours(to_flickr: TcpProxy, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OwnHub]:
    """A hub with two gateways, without limits, with the default grace time; its calls pass the proxy."""
    settings = {
        "FLICKR_RATE_LIMIT_PER_SECOND": "0",
        "FLICKR_RATE_LIMIT_PER_HOUR": "0",
        "FLICKR_SIM_URL": f"http://127.0.0.1:{to_flickr.port}",
    }
    logs = tmp_path_factory.mktemp("at-length")
    async with own_hub(settings, logs=logs, redis_db=11, gateways=2, targets=("rest", "upload")) as running:
        yield running


@pytest.fixture
async def account(ours: OwnHub, sim: Simulator) -> Account:
    """An account connected there."""
    return await connector(ours.client, sim)()


@pytest.fixture
def large() -> Photograph:
    """A photo of 200 MiB unlike any other."""
    return jpeg(200 * MIB)


async def ends(hub: OwnHub, name: str) -> None:
    """SIGTERM: the process ends with 0 in time."""
    began = time.monotonic()
    hub.processes[name].terminate()
    code = await asyncio.wait_for(hub.processes[name].wait(), 60)
    seconds = time.monotonic() - began
    sys.stdout.write(f"| {name} | {code} | {seconds:.1f} |\n")
    assert code == 0, hub.log(name)[-3000:]
    assert seconds < WITHIN_SECONDS


@pytest.mark.parametrize("pace", ["fast", "endless"])
async def test_at_length_a_gateway_that_stops_in_a_photo_of_200_mib_ends_it_clean(
    ours: OwnHub, account: Account, sim: Simulator, large: Photograph, pace: str
) -> None:
    """A fast client may finish; one that would take longer than the grace is told, and the other gateway takes it."""
    half = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        for start in range(0, len(large.data), MIB):
            if start == 100 * MIB:
                half.set()
            if start >= 100 * MIB and pace == "endless":
                await asyncio.sleep(1)
            yield large.data[start : start + MIB]

    sending = asyncio.create_task(ours.client.hand_over_raw(body(), user_id=account.user_id))
    await asyncio.wait_for(half.wait(), 60)
    await ends(ours, "gateway")
    (outcome,) = await asyncio.gather(sending, return_exceptions=True)
    sys.stdout.write(f"{pace}: {outcome!r}\n")
    if pace == "fast":
        assert isinstance(outcome, httpx2.Response)
        assert outcome.status_code == httpx2.codes.CREATED
        ref = outcome.json()["data"]["photo_ref"]
    else:
        if isinstance(outcome, httpx2.Response):
            failure(outcome, 503, "ERR_UNAVAILABLE")
        else:
            assert isinstance(outcome, httpx2.TransportError)
        async with flickrhub(ours.urls["gateway-2"]) as second:
            reply = await second.hand_over_raw(large.data, user_id=account.user_id)
        ref = reply.json()["data"]["photo_ref"]
    await ours.start()
    photo_id = photo_id_of(await account.run_upload({"photo_ref": ref}, within=60))
    assert [each["id"] for each in await sim.uploaded(large)] == [photo_id]


@pytest.mark.parametrize("flickr", ["goes on", "hangs"])
async def test_at_length_an_executor_that_stops_in_a_photo_of_200_mib_uploads_it_once(
    ours: OwnHub, account: Account, sim: Simulator, to_flickr: TcpProxy, large: Photograph, flickr: str
) -> None:
    """It finishes what takes no longer than its grace; anything else is given back, and the next one does it."""
    ref = await account.hand_over(large)
    taken = to_flickr.accepted
    job_id = await account.enqueue_upload({"photo_ref": ref})
    await eventually(lambda: to_flickr.accepted > taken, within=30, every=0.005, what="the start of the upload")
    if flickr == "hangs":
        to_flickr.stall()
    await ends(ours, "executor-upload")
    state = (await account.status(job_id))["state"]
    sys.stdout.write(f"Flickr {flickr}: the job is {state}\n")
    await to_flickr.cut()
    await to_flickr.restore()
    await ours.start()
    photo_id = photo_id_of(await account.ended(job_id, within=90))
    assert [each["id"] for each in await sim.uploaded(large)] == [photo_id]


async def test_at_length_mongod_killed_in_500_enqueues_ends_every_202(
    ours: OwnHub, account: Account, sim: Simulator, receiver: CallbackReceiver, processes: StackProcesses
) -> None:
    accepted, answers = [], Counter[str]()
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(n: int) -> None:
        async with gate:
            body = {"params": {"n": n}, "callback_url": receiver.url("/500")}
            reply = await ours.client.enqueue(method=ECHO, user_id=account.user_id, **body)
        answers[str(reply.status_code)] += 1
        if reply.status_code == httpx2.codes.ACCEPTED:
            accepted.append(reply.json()["data"]["job_id"])
        else:
            failure(reply, 503, "ERR_UNAVAILABLE")
            assert int(reply.headers["retry-after"]) > 0

    handing_over = asyncio.gather(*(one(n) for n in range(JOBS)))
    await eventually(lambda: len(accepted) >= JOBS // 5, within=30, every=0.005, what="some that are accepted")
    await processes.kill("mongo")
    await handing_over
    sys.stdout.write(f"answers: {dict(answers)}\n")
    assert answers["503"], "mongod was never away"

    def told() -> bool:
        return set(accepted) <= {request.json()["job_id"] for request in receiver.at("/500")}

    await eventually(told, within=90, every=0.2, what="the callback of every job with a 202")
    for job_id in accepted:
        assert (await account.ended(job_id))["state"] == "completed"
