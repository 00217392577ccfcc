"""Uploads with other settings than the stack's: the default addresses, photos that expire soon."""

import asyncio
import base64
import socket
from collections.abc import AsyncIterator

import pytest

from flickrhub_common.mongo import Database, make_mongo
from flickrhub_common.settings import MongoSettings
from tests.support.envelopes import failure
from tests.support.hub_account import Account, connector, photo_id_of
from tests.support.own_hub import OwnHub, own_hub
from tests.support.photo_server import PhotoServer, photo_server
from tests.support.photographs import jpeg
from tests.support.simulator import Simulator
from tests.support.waiting import eventually

LIFE_SECONDS = 2.5
SETTINGS = {
    "UPLOAD_ALLOW_CIDRS": "",
    "UPLOAD_TTL_HOURS": str(LIFE_SECONDS / 3600),
    "UPLOAD_SWEEP_SECONDS": "0.3",
    "FLICKR_PERMS": "delete",
    "FLICKR_RATE_LIMIT_PER_SECOND": "0",
}
COLLECTIONS = ("uploads", "photos.files", "photos.chunks")
LOOPBACK = [
    *("http://127.0.0.1:{port}/x.jpg", "http://localhost:{port}/x.jpg", "http://[::1]:{port}/x.jpg"),
    *("http://127.1:{port}/x.jpg", "http://2130706433:{port}/x.jpg", "http://0x7f000001:{port}/x.jpg"),
    *("http://[::ffff:127.0.0.1]:{port}/x.jpg", "http://photos.localhost:{port}/x.jpg"),
]


@pytest.fixture(scope="module")
async def hub_of_ours(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OwnHub]:
    """A hub as in production, but for the seconds a photo is kept, and what its tokens may do."""
    logs = tmp_path_factory.mktemp("uploads")
    async with own_hub(SETTINGS, logs=logs, redis_db=1, targets=("rest", "upload")) as running:
        yield running


@pytest.fixture
async def ours(hub_of_ours: OwnHub, sim: Simulator) -> Account:
    """An account connected there."""
    return await connector(hub_of_ours.client, sim)()


@pytest.fixture(scope="module")
async def its_database(hub_of_ours: OwnHub) -> AsyncIterator[Database]:
    """What that hub has stored."""
    settings = MongoSettings.model_validate({"mongo_url": hub_of_ours.mongo_url})
    async with make_mongo(settings, service="test") as client:
        yield client[hub_of_ours.mongo_db]


@pytest.fixture
async def photos() -> AsyncIterator[PhotoServer]:
    """A server that nobody should come to."""
    async with photo_server() as listening:
        yield listening


async def store_is_empty(database: Database) -> None:
    async def empty() -> bool:
        return not any([await database[name].count_documents({}) for name in COLLECTIONS])

    await eventually(empty, within=10, what="an empty photo store")


@pytest.mark.parametrize("url", LOOPBACK)
async def test_loopback_is_refused_at_enqueue(ours: Account, photos: PhotoServer, url: str) -> None:
    params = {"photo_url": url.format(port=photos.port)}
    reply = await ours.hub.enqueue(target="upload", params=params, user_id=ours.user_id)
    error = failure(reply, 400, "ERR_INVALID_REQUEST")
    assert [sentence.partition(":")[0] for sentence in error["details"]] == ["params.photo_url"]
    assert photos.heads == []


async def test_a_name_that_leads_to_this_machine_is_refused_when_dialled(ours: Account, photos: PhotoServer) -> None:
    ended = await ours.run_upload({"photo_url": f"http://{_name_of_this_machine()}:{photos.port}/x.jpg"})
    assert ended["state"] == "failed"
    assert "address" in ended["failedReason"]
    assert photos.heads == []


def _name_of_this_machine() -> str:
    """A name (no literal, not localhost) that this machine resolves to an address of its own."""
    name = socket.gethostname()
    try:
        socket.getaddrinfo(name, 80, socket.AF_INET)
    except OSError:
        pytest.skip("this machine's name leads nowhere here")
    return name


async def test_a_photo_that_nobody_asks_for_expires_and_is_really_gone(ours: Account, its_database: Database) -> None:
    refs = [await ours.hand_over(photo) for photo in (jpeg(), jpeg(3_000_000))]
    for name in COLLECTIONS:
        assert await its_database[name].count_documents({}) >= len(refs), name
    await store_is_empty(its_database)
    for ref in refs:
        reply = await ours.hub.enqueue(target="upload", params={"photo_ref": ref}, user_id=ours.user_id)
        details = failure(reply, 400, "ERR_INVALID_REQUEST")["details"]
        assert [sentence.partition(":")[0] for sentence in details] == ["params.photo_ref"]


async def test_a_photo_waits_for_its_job_however_long_that_takes(
    ours: Account, its_database: Database, sim: Simulator
) -> None:
    photo = jpeg(2_000_000)
    await sim.fault_upload(ours.app, status=429, headers={"Retry-After": "6"})
    job_id = await ours.enqueue_upload({"photo_ref": await ours.hand_over(photo)})
    await asyncio.sleep(LIFE_SECONDS + 1)
    assert (await ours.status(job_id))["state"] == "retrying"
    ended = await ours.ended(job_id)
    assert [stored["id"] for stored in await sim.uploaded(photo)] == [photo_id_of(ended)]
    await store_is_empty(its_database)


async def test_nothing_is_left_of_a_photo_in_base64_whatever_becomes_of_its_job(
    ours: Account, its_database: Database, sim: Simulator
) -> None:
    await sim.fault_upload(ours.app, code=6)
    for state in ("failed", "completed"):
        params = {"photo_base64": base64.b64encode(jpeg(50_000).data).decode()}
        assert (await ours.run_upload(params))["state"] == state
    await store_is_empty(its_database)


async def test_nothing_is_left_of_a_call_that_is_refused(ours: Account, its_database: Database) -> None:
    params = {"photo_base64": base64.b64encode(jpeg(50_000).data).decode()}
    reply = await ours.hub.enqueue(target="upload", params=params, user_id="9b2f0c3e-5a41-4f0e-8a55-0d6a1c7e2b11")
    failure(reply, 404, "ERR_TOKEN_NOT_FOUND")
    await store_is_empty(its_database)


async def test_bytes_that_were_deleted_at_flickr_make_a_new_photo(ours: Account, sim: Simulator) -> None:
    photo = jpeg()
    first = photo_id_of(await ours.run_upload({"photo_ref": await ours.hand_over(photo)}))
    assert (await ours.run("flickr.photos.delete", params={"photo_id": first}))["state"] == "completed"
    ended = await ours.run_upload({"photo_ref": await ours.hand_over(photo)})
    assert photo_id_of(ended) != first
    assert [stored["id"] for stored in await sim.uploaded(photo)] == [photo_id_of(ended)]
    assert ended["returnvalue"]["observability"]["attempt"] == 1
