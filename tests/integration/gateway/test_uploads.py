"""Photos over real HTTP into the real store: whole, or not at all, whatever happens on the way."""

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from flickrhub_common import gridfs_store
from flickrhub_common.broker import Messaging
from flickrhub_common.contracts import Target
from flickrhub_common.photo_store import open_photo_store
from flickrhub_gateway.settings import GatewaySettings
from tests.integration.gateway.parts import (
    USER,
    Gateway,
    Store,
    completed,
    failed,
    half_sent,
    running_gateway,
    serving,
)
from tests.support.photographs import Photograph, jpeg
from tests.support.plain_http import NOBODY
from tests.support.rabbit_admin import RabbitAdmin
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import eventually

MIB = 1024 * 1024
UPLOAD_QUEUE = "flickr_upload"


@pytest.fixture
async def port(gateway: Gateway) -> AsyncIterator[int]:
    async with serving(gateway.app) as port:
        yield port


async def _stored(settings: GatewaySettings, store: Store, ref: str) -> str:
    """The sha256 of what the photo store holds."""
    digest = hashlib.sha256()
    async with open_photo_store(settings, database=store.database) as photos, photos.open(ref) as opened:
        async for chunk in opened.chunks:
            digest.update(chunk)
    return digest.hexdigest()


async def _hand_over(gateway: Gateway, photo: Photograph) -> str:
    reply = await gateway.hand_over(photo, USER)
    assert reply.status_code == httpx2.codes.CREATED, reply.text
    return str(reply.json()["data"]["photo_ref"])


async def _enqueue(gateway: Gateway, **params: Any) -> httpx2.Response:
    return await gateway.enqueue(user_id=USER, target="upload", params=params)


def _of_an_upload(event: Any) -> Any:
    return event.model_copy(update={"target": Target.UPLOAD})


async def test_what_was_handed_over_is_in_the_store_byte_for_byte(
    gateway: Gateway, port: int, settings: GatewaySettings, store: Store
) -> None:
    photos = [jpeg(size) for size in (400, MIB, MIB + 1, 5 * MIB - 1)]
    async with httpx2.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", verify=NOBODY, trust_env=False, timeout=15
    ) as http:
        for photo in photos:
            form = {"data": {"user_id": USER}, "files": {"photo": (photo.filename, photo.data, photo.content_type)}}
            for reply in (
                await http.post("/api/v1/uploads", **form),  # type: ignore[arg-type]
                await http.post("/api/v1/uploads", params={"user_id": USER}, content=photo.data),
            ):
                data = reply.json()["data"]
                assert (reply.status_code, data["bytes"], data["sha256"]) == (201, len(photo.data), photo.sha256)
                assert await _stored(settings, store, data["photo_ref"]) == photo.sha256
    record = await store.uploads.find_one({"sha256": photos[0].sha256, "filename": {"$ne": None}})
    assert record is not None
    assert (record["user_id"], record["state"], record["bytes"]) == (USER, "ready", 400)
    assert timedelta(hours=23) < record["expires_at"] - datetime.now(UTC) < timedelta(hours=25)


async def test_many_at_once_dont_mix(gateway: Gateway, port: int, settings: GatewaySettings, store: Store) -> None:
    photos = [jpeg(2 * MIB + number) for number in range(12)]
    limits = httpx2.Limits(max_connections=12)
    async with httpx2.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", verify=NOBODY, trust_env=False, timeout=30, limits=limits
    ) as http:
        posts = (http.post("/api/v1/uploads", params={"user_id": USER}, content=photo.data) for photo in photos)
        replies = [reply.json()["data"] for reply in await asyncio.gather(*posts)]
    for photo, data in zip(photos, replies, strict=True):
        assert data["sha256"] == await _stored(settings, store, data["photo_ref"]) == photo.sha256


async def test_a_client_that_hangs_up_leaves_nothing_and_disturbs_nobody(
    gateway: Gateway, port: int, store: Store
) -> None:
    async with half_sent(port, jpeg(8 * MIB)):
        await eventually(lambda: store.has_chunks(2), what="chunks of the half")
        ref = await _hand_over(gateway, jpeg(3 * MIB))
    await eventually(lambda: _is_alone(store, ref), what="nothing left of the half")


async def _is_alone(store: Store, ref: str) -> bool:
    others = [
        await store.uploads.count_documents({"_id": {"$ne": ref}}),
        await store.database["photos.files"].count_documents({"_id": {"$ne": ref}}),
        await store.database["photos.chunks"].count_documents({"files_id": {"$ne": ref}}),
    ]
    return not any(others) and await store.uploads.count_documents({"_id": ref}) == 1


async def test_a_body_that_turns_bad_at_its_end_leaves_nothing(gateway: Gateway, store: Store) -> None:
    cut = Photograph(jpeg(5 * MIB).data[:-2], "cut.jpg", "image/jpeg")
    reply = await gateway.hand_over(cut, USER)
    assert reply.json()["error"]["details"] == ["photo: is cut off: its end is missing"]
    assert await store.has_no_photos()


async def test_when_mongo_goes_away_half_way_the_client_hears_it_and_the_sweeper_tidies_up(
    fragile: Gateway,
    fragile_settings: GatewaySettings,
    mongo_proxy: TcpProxy,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gridfs_store, "CHUNK_SECONDS", 1.0)
    photo = jpeg(6 * MIB)

    async def pieces() -> AsyncIterator[bytes]:
        yield photo.truncated()
        await eventually(lambda: store.has_chunks(2), what="chunks of the half")
        await mongo_proxy.cut()
        yield photo.data[len(photo.truncated()) :]

    reply = await fragile.hand_over_raw(pieces(), user_id=USER)
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "ERR_UNAVAILABLE")
    await mongo_proxy.restore()
    await store.uploads.update_many({}, {"$set": {"expires_at": datetime.now(UTC)}})
    async with running_gateway(fragile_settings.model_copy(update={"upload_sweep_seconds": 0.2})):
        await eventually(store.has_no_photos, what="nothing left")


async def test_two_claims_of_one_photo_at_the_same_time_have_one_winner(
    gateway: Gateway, rabbit_admin: RabbitAdmin
) -> None:
    for _ in range(5):
        ref = await _hand_over(gateway, jpeg())
        replies = await asyncio.gather(*(_enqueue(gateway, photo_ref=ref) for _ in range(4)))
        assert sorted(reply.status_code for reply in replies) == [202, 409, 409, 409]
    await eventually(lambda: _has(rabbit_admin, 5), what="a job for each photo, and no more")


async def _has(admin: RabbitAdmin, count: int) -> bool:
    return await admin.depth(UPLOAD_QUEUE) == count


async def test_a_photo_goes_when_its_job_has_completed(gateway: Gateway, others: Messaging, store: Store) -> None:
    ref = await _hand_over(gateway, jpeg(2 * MIB))
    job_id = (await _enqueue(gateway, photo_ref=ref)).json()["data"]["job_id"]
    record = await store.uploads.find_one({"_id": ref})
    assert record is not None
    assert record["job_id"] == job_id
    await others.send_event(_of_an_upload(completed(job_id)))
    await eventually(store.has_no_photos, what="nothing left")
    reply = await _enqueue(gateway, photo_ref=ref)
    assert reply.json()["error"]["details"] == [
        "params.photo_ref: there is no such upload for this user_id, or it has expired"
    ]


async def test_a_photo_is_free_again_when_its_job_has_failed(gateway: Gateway, others: Messaging, store: Store) -> None:
    ref = await _hand_over(gateway, jpeg())
    job_id = (await _enqueue(gateway, photo_ref=ref)).json()["data"]["job_id"]
    await others.send_event(_of_an_upload(failed(job_id)))

    async def free() -> bool:
        return await store.uploads.count_documents({"_id": ref, "job_id": None}) == 1

    await eventually(free, what="the photo to be free")
    assert (await _enqueue(gateway, photo_ref=ref)).status_code == 202


@pytest.mark.parametrize("event", [completed, failed])
async def test_a_photo_in_the_call_goes_with_its_job(
    gateway: Gateway, others: Messaging, store: Store, settings: GatewaySettings, event: Any
) -> None:
    photo = jpeg(300_000)
    reply = await _enqueue(gateway, photo_base64=base64.b64encode(photo.data).decode())
    job_id = reply.json()["data"]["job_id"]
    [ref] = re.findall(r'"photo_ref":"([^"]+)"', (await store.job(job_id))["params"])
    assert await _stored(settings, store, ref) == photo.sha256
    await others.send_event(_of_an_upload(event(job_id)))
    await eventually(store.has_no_photos, what="nothing left")


async def test_gateways_sweep_side_by_side_and_leave_what_is_in_use(settings: GatewaySettings, store: Store) -> None:
    sweeping = settings.model_copy(update={"upload_sweep_seconds": 0.1})
    async with running_gateway(settings) as gateway:
        used, *_ = [await _hand_over(gateway, jpeg()) for _ in range(30)]
        assert (await _enqueue(gateway, photo_ref=used)).status_code == 202
    await store.uploads.update_many({}, {"$set": {"expires_at": datetime.now(UTC)}})
    async with running_gateway(sweeping), running_gateway(sweeping):
        await eventually(lambda: _is_alone(store, used), what="only the photo in use")
        record = await store.uploads.find_one({"_id": used})
    assert record is not None
    assert record["expires_at"] - datetime.now(UTC) > timedelta(hours=23)


async def test_its_indexes_serve_the_sweeper_and_the_events(gateway: Gateway, store: Store) -> None:
    await eventually(gateway.ready, what="readiness")
    keys = [index["key"] for index in (await store.uploads.index_information()).values()]
    assert [("expires_at", 1)] in keys
    assert [("job_id", 1)] in keys
    for question, name in (
        ({"job_id": "j1"}, "claimed"),
        ({"expires_at": {"$lte": datetime.now(UTC)}}, "expires_at_1"),
    ):
        plan = str((await store.uploads.find(question).explain())["queryPlanner"]["winningPlan"])
        assert name in plan
