"""A hub whose photos wait in S3: through the gateway or past it, Flickr gets them, and the bucket is empty then."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from flickrhub_common.settings import PhotoStoreSettings
from tests.integration.photo_store.conftest import KEY_ID, SECRET, bucket, s3, s3_settings, s3_url
from tests.support.envelopes import failure, success
from tests.support.hub_account import Account, connector, photo_id_of
from tests.support.own_hub import own_hub
from tests.support.photographs import Photograph, jpeg
from tests.support.plain_http import NOBODY
from tests.support.simulator import Simulator
from tests.support.waiting import eventually

__all__ = ["bucket", "s3", "s3_settings", "s3_url"]

pytestmark = pytest.mark.few


@pytest.fixture
async def ours(s3_settings: PhotoStoreSettings, sim: Simulator, tmp_path: Path) -> AsyncIterator[Account]:
    """An account of a hub with its store there; its executor needs no MongoDB."""
    settings = {
        "UPLOAD_STORE_URL": s3_settings.upload_store_url,
        "UPLOAD_S3_ENDPOINT": s3_settings.upload_s3_endpoint or "",
        "UPLOAD_S3_ACCESS_KEY_ID": KEY_ID,
        "UPLOAD_S3_SECRET_ACCESS_KEY": SECRET,
        "FLICKR_RATE_LIMIT_PER_SECOND": "0",
    }
    async with own_hub(settings, logs=tmp_path, redis_db=8, targets=("upload",)) as hub:
        yield await connector(hub.client, sim)()


async def put(url: str, photo: Photograph) -> int:
    """PUT a photo past the hub; the store's status."""
    async with httpx2.AsyncClient(verify=NOBODY, trust_env=False, timeout=30) as http:
        return (await http.put(url, content=photo.data)).status_code


async def test_photos_wait_in_s3_and_clients_may_put_them_there(
    ours: Account, sim: Simulator, s3: Any, bucket: str
) -> None:
    through, past, text = jpeg(12_000_000), jpeg(3_000_000), Photograph(b"no photo", "a text.jpg", "image/jpeg")
    through_ref = await ours.hand_over(through)
    refs = {}
    for photo in (past, text):
        given = success(await ours.hub.presign(user_id=ours.user_id, filename="past us.jpg"), 201)
        assert set(given) == {"photo_ref", "url", "method", "expires_at"}
        assert str(uuid.UUID(given["photo_ref"])) == given["photo_ref"]
        assert (given["method"], datetime.fromisoformat(given["expires_at"]) > datetime.now(UTC)) == ("PUT", True)
        assert await put(given["url"], photo) == httpx2.codes.OK
        refs[photo.filename] = given["photo_ref"]
    never = success(await ours.hub.presign(user_id=ours.user_id), 201)["photo_ref"]
    reply = await ours.hub.enqueue(target="upload", params={"photo_ref": never}, user_id=ours.user_id)
    failure(reply, 400, "ERR_INVALID_REQUEST")
    keys = [each["Key"] for each in (await asyncio.to_thread(s3.list_objects_v2, Bucket=bucket))["Contents"]]
    assert len(keys) == 3

    for photo, ref, title in ((through, through_ref, "harbour"), (past, refs[past.filename], "past us")):
        ended = await ours.run_upload({"photo_ref": ref})
        (stored,) = await sim.uploaded(photo)
        assert (stored["id"], stored["title"]) == (photo_id_of(ended), title)
    failed = await ours.run_upload({"photo_ref": refs[text.filename]})
    assert (failed["state"], "neither a photo nor a video" in failed["failedReason"]) == ("failed", True)

    async def only_the_text_is_left() -> bool:
        found = await asyncio.to_thread(s3.list_objects_v2, Bucket=bucket)
        return len(found.get("Contents", ())) == 1

    await eventually(only_the_text_is_left, what="the end of two objects")
