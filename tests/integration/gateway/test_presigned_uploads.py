"""Photos that clients put into an S3 store themselves, and photos that pass through the gateway into one."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from flickrhub_common.broker import Messaging
from flickrhub_common.contracts import Target
from flickrhub_common.settings import PhotoStoreSettings
from flickrhub_gateway.settings import GatewaySettings
from tests.integration.gateway.parts import USER, Gateway, Store, completed, running_gateway
from tests.integration.photo_store.conftest import bucket, s3, s3_settings, s3_url
from tests.support.photographs import jpeg
from tests.support.plain_http import NOBODY
from tests.support.waiting import eventually

__all__ = ["bucket", "s3", "s3_settings", "s3_url"]


@pytest.fixture
def in_s3(settings: GatewaySettings, s3_settings: PhotoStoreSettings) -> GatewaySettings:
    """The gateway's settings with the photo store in S3."""
    return settings.model_copy(update=s3_settings.model_dump() | {"upload_sweep_seconds": 0.2})


@pytest.fixture
async def gateway(in_s3: GatewaySettings) -> AsyncIterator[Gateway]:
    async with running_gateway(in_s3) as gateway:
        yield gateway


async def _put(url: str, body: bytes) -> int:
    async with httpx2.AsyncClient(verify=NOBODY, trust_env=False, timeout=10) as http:
        return (await http.put(url, content=body)).status_code


async def _empty(client: Any, name: str) -> bool:
    return "Contents" not in await asyncio.to_thread(client.list_objects_v2, Bucket=name)


def _read(client: Any, name: str, key: str) -> bytes:
    body: bytes = client.get_object(Bucket=name, Key=key)["Body"].read()
    return body


async def _enqueue(gateway: Gateway, ref: str) -> httpx2.Response:
    return await gateway.enqueue(user_id=USER, target="upload", params={"photo_ref": ref})


async def _end(others: Messaging, job_id: str) -> None:
    await others.send_event(completed(job_id).model_copy(update={"target": Target.UPLOAD}))


async def test_a_photo_put_to_its_url_serves_a_job_and_goes_with_it(
    gateway: Gateway,
    others: Messaging,
    store: Store,
    s3: Any,
    bucket: str,
) -> None:
    data = (await gateway.presign(user_id=USER, filename="a.jpg")).json()["data"]
    reply = await _enqueue(gateway, data["photo_ref"])
    assert reply.json()["error"]["details"] == ["params.photo_ref: nothing has been uploaded to it yet"]
    assert (data["method"], await _put(data["url"], jpeg().data)) == ("PUT", 200)
    job_id = (await _enqueue(gateway, data["photo_ref"])).json()["data"]["job_id"]
    await _end(others, job_id)
    await eventually(lambda: _empty(s3, bucket), what="no photo in the bucket")
    record = await store.uploads.find_one({"_id": data["photo_ref"]})
    assert record is not None
    assert record["state"] == "doomed", "the URL still works"
    await _put(data["url"], b"once more")
    await store.uploads.update_many(
        {}, {"$set": {"put_until": datetime(2026, 1, 1, tzinfo=UTC), "expires_at": record["created_at"]}}
    )
    await eventually(store.has_no_photos, what="no record")
    assert await _empty(s3, bucket)


async def test_a_photo_through_the_gateway_is_in_the_bucket_until_its_job_has_completed(
    gateway: Gateway,
    others: Messaging,
    store: Store,
    s3: Any,
    bucket: str,
) -> None:
    photo = jpeg(7 * 1024 * 1024)
    ref = (await gateway.hand_over(photo, USER)).json()["data"]["photo_ref"]
    assert await asyncio.to_thread(_read, s3, bucket, f"waiting/photos/{ref}") == photo.data
    await _end(others, (await _enqueue(gateway, ref)).json()["data"]["job_id"])
    await eventually(store.has_no_photos, what="no record")
    assert await _empty(s3, bucket)


async def test_readiness_names_a_photo_store_that_is_away(in_s3: GatewaySettings) -> None:
    away = in_s3.model_copy(update={"upload_s3_endpoint": "http://127.0.0.1:1"})
    async with running_gateway(away) as gateway:

        async def only_the_store() -> bool:
            return await gateway.missing() == ["photo_store"]

        await eventually(only_the_store, what="only the photo store missing")
        reply = await gateway.hand_over(jpeg(), USER)
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "ERR_UNAVAILABLE")
