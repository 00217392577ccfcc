"""An upload whose answer is lost is one photo at Flickr all the same, however it gets lost.

The kills are few in each run, with many uploads under way at each. Fifty kills of one upload each take some minutes:

    NEVER_TWICE_KILLS=50 NEVER_TWICE_JOBS_PER_KILL=1 make test-e2e ARGS="-k kill_9_in_the_middle -s"
"""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.callback_receiver import CallbackReceiver
from tests.support.hub_account import Account, connector, photo_id_of
from tests.support.many_uploads import ManyUploads
from tests.support.own_hub import OwnHub, own_hub
from tests.support.photographs import jpeg
from tests.support.simulator import Simulator

JOBS = 50
KILLS = int(os.environ.get("NEVER_TWICE_KILLS", "3"))
JOBS_PER_KILL = int(os.environ.get("NEVER_TWICE_JOBS_PER_KILL", "17"))
EXECUTOR = "executor-upload"
LOOKS = ("flickr.photos.search", "flickr.people.getPhotos")
SETTINGS = {
    "FLICKR_RATE_LIMIT_PER_HOUR": "0",
    "FLICKR_RATE_LIMIT_PER_SECOND": "0",
    "UPLOAD_LOOK_SECONDS": "0.25,0.25",
    "WORKER_UPLOAD_CONCURRENCY": str(max(16, JOBS_PER_KILL)),
}

pytestmark = [pytest.mark.few, pytest.mark.timeout(120 + 15 * KILLS)]


@pytest.fixture(scope="module")
async def ours(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OwnHub]:
    """A hub that looks for lost photos in quick succession, and has no limits."""
    logs = tmp_path_factory.mktemp("never-twice")
    async with own_hub(SETTINGS, logs=logs, redis_db=7, targets=("upload", "replace")) as running:
        yield running


@pytest.fixture
async def account(ours: OwnHub, sim: Simulator) -> Account:
    """An account connected there."""
    return await connector(ours.client, sim)()


@pytest.fixture
def uploads(sim: Simulator, receiver: CallbackReceiver) -> ManyUploads:
    """The uploads of this test."""
    return ManyUploads(sim, receiver)


@pytest.mark.parametrize("index_is", ["in time", "late"])
async def test_fifty_lost_answers_are_fifty_photos(
    account: Account, uploads: ManyUploads, sim: Simulator, index_is: str
) -> None:
    """Flickr stores each photo and cuts the connection instead of answering; `late`, its search doesn't know them."""
    await sim.fault_upload(account.app, times=JOBS, drop="after")
    async with sim.late_search(seconds=3600 if index_is == "late" else 0):
        await asyncio.gather(*(uploads.enqueue(account, jpeg()) for _ in range(JOBS)))
        calls = await uploads.each_once(within=60)
    assert {call["attempts_made"] for call in calls.values()} == {2}
    assert len(calls) == JOBS
    # Nothing was sent again, so that the duplicate check, which is the second line of defence, wasn't needed.
    assert len(await sim.calls(account.app, kind="upload")) == JOBS
    assert len(await sim.calls(account.app, LOOKS[0])) == JOBS
    assert len(await sim.calls(account.app, LOOKS[1])) == (JOBS if index_is == "late" else 0)


async def test_kill_9_in_the_middle_of_flickrs_answer_makes_no_photo_twice(
    ours: OwnHub, account: Account, uploads: ManyUploads, sim: Simulator
) -> None:
    """Each time, Flickr has stored some photos and sent half of its answers; those from before are being looked for."""
    for _ in range(KILLS):
        await sim.fault_upload(account.app, times=JOBS_PER_KILL, stall_ms=60_000)
        before = set(uploads.photos)
        await asyncio.gather(*(uploads.enqueue(account, jpeg(20_000)) for _ in range(JOBS_PER_KILL)))
        hit = uploads.photos.keys() - before
        await sim.has(*(uploads.photos[job_id] for job_id in hit))
        await ours.kill(EXECUTOR)
        assert not hit & uploads.told().keys()
        await ours.start()
    calls = await uploads.each_once(within=90)
    sent, looks = await sim.calls(account.app, kind="upload"), await sim.calls(account.app, LOOKS[0])
    assert len(calls) == len(sent) == KILLS * JOBS_PER_KILL
    assert len(looks) >= len(calls)
    figures = f"{KILLS} kills, {len(calls)} uploads under way at them: {len(sent)} sends, {len(calls)} photos"
    print(f"\n{figures}")  # noqa: T201 - with -s it is seen


STORED: dict[str, dict[str, Any]] = {
    **{f"HTTP {status}": {"status": status} for status in (500, 502, 503, 504)},
    **{f"code {code}": {"code": code} for code in (0, 3, 105, 106, 201)},
    "half an answer": {"body": '<?xml version="1.0"?><rsp stat="ok"><photoid>1'},
    "another's answer": {"body": '{"stat":"ok","photos":{}}'},
    "no answer": {"body": ""},
}


@pytest.mark.parametrize("stored", [True, False], ids=["stored", "not stored"])
async def test_an_answer_that_leaves_open_what_happened_is_looked_into(
    account: Account, uploads: ManyUploads, sim: Simulator, stored: bool
) -> None:
    jobs = {}
    for name, fault in STORED.items():
        await sim.fault_upload(account.app, params={"title": name}, works=stored, **fault)
        jobs[name] = await uploads.enqueue(account, jpeg(), title=name)
    calls = await uploads.each_once(within=60)
    sent = [call["params"]["title"] for call in await sim.calls(account.app, kind="upload")]
    for name, job_id in jobs.items():
        assert calls[job_id]["attempts_made"] == 2, name
        assert sent.count(name) == (1 if stored else 2), name
    looks = [await sim.calls(account.app, method) for method in LOOKS]
    assert [len(calls) for calls in looks] == [len(STORED), 0 if stored else len(STORED)]


@pytest.mark.parametrize("drop", ["before", "during", "after"])
async def test_a_broken_connection_is_one_photo(
    account: Account, uploads: ManyUploads, sim: Simulator, drop: str
) -> None:
    await sim.fault_upload(account.app, times=3, drop=drop)
    await asyncio.gather(*(uploads.enqueue(account, jpeg(5_000_000)) for _ in range(3)))
    await uploads.each_once(within=60)


async def test_an_asynchronous_upload_whose_ticket_got_lost_is_one_photo(
    account: Account, uploads: ManyUploads, sim: Simulator
) -> None:
    await sim.order_tickets(seconds=1.2, times=5)
    await sim.fault_upload(account.app, times=5, drop="after")
    await asyncio.gather(*(uploads.enqueue(account, jpeg(), **{"async": 1}) for _ in range(5)))
    await uploads.each_once(within=60)
    assert len(await sim.calls(account.app, kind="upload")) == 5


@pytest.mark.parametrize("fault", [{"drop": "after"}, {"status": 500}, {"status": 504}, {"code": 105}], ids=str)
async def test_a_replacement_whose_answer_got_lost_is_sent_again(
    account: Account, sim: Simulator, fault: dict[str, Any]
) -> None:
    old, new = jpeg(), jpeg()
    photo_id = photo_id_of(await account.run_upload({"photo_ref": await account.hand_over(old)}))
    await sim.fault_upload(account.app, "replace", **fault)
    params = {"photo_ref": await account.hand_over(new), "photo_id": photo_id}
    ended = await account.run_upload(params, target="replace")
    assert photo_id_of(ended) == photo_id
    assert ended["returnvalue"]["observability"]["attempt"] == 2
    assert [(stored["id"], stored["sha256"]) for stored in await sim.uploaded(old, new)] == [(photo_id, new.sha256)]
