"""POST /api/v1/uploads: photos handed over before their job, and what becomes of their photo_ref."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.envelopes import failure, success
from tests.support.flickrhub_client import UPLOADS, FlickrHub
from tests.support.hub_account import Account, Connect, photo_id_of
from tests.support.photographs import KINDS, Photograph, jpeg, png
from tests.support.simulator import Simulator

FIELDS = {"photo_ref", "bytes", "sha256", "content_type", "expires_at"}


@pytest.mark.parametrize("kind", list(KINDS))
async def test_a_photo_that_is_handed_over_as_a_form_is_described(account: Account, kind: str) -> None:
    photo = KINDS[kind]()
    data = success(await account.hub.hand_over(photo, account.user_id), 201)
    assert set(data) == FIELDS
    assert str(uuid.UUID(data["photo_ref"])) == data["photo_ref"]
    assert (data["bytes"], data["sha256"]) == (len(photo.data), photo.sha256)
    assert data["content_type"] == photo.content_type
    left = datetime.fromisoformat(data["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=23, minutes=59) < left <= timedelta(hours=24)


async def test_a_photo_that_is_handed_over_as_it_is_is_described_alike(account: Account) -> None:
    photo = png()
    reply = await account.hub.hand_over_raw(photo.data, content_type="image/png", user_id=account.user_id)
    data = success(reply, 201)
    assert set(data) == FIELDS
    assert (data["bytes"], data["sha256"], data["content_type"]) == (len(photo.data), photo.sha256, "image/png")


async def test_a_body_of_unknown_length_is_taken_too(account: Account) -> None:
    photo = jpeg(200_000)

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(photo.data), 30_000):
            yield photo.data[at : at + 30_000]

    data = success(await account.hub.hand_over_raw(pieces(), user_id=account.user_id), 201)
    assert (data["bytes"], data["sha256"]) == (len(photo.data), photo.sha256)


async def test_the_bytes_say_what_it_is_not_its_name_nor_its_content_type(account: Account) -> None:
    named = Photograph(png().data, "picture.jpg", "image/jpeg")
    assert success(await account.hub.hand_over(named, account.user_id), 201)["content_type"] == "image/png"


@pytest.mark.parametrize("where", ["behind the file", "in the query", "in both"])
async def test_a_forms_user_id_may_come(account: Account, where: str) -> None:
    photo, field = jpeg(), ("user_id", (None, account.user_id))
    files: list[Any] = [("picture", (photo.filename, photo.data))]
    files += [] if where == "in the query" else [field]
    params = {} if where == "behind the file" else {"user_id": account.user_id}
    assert success(await account.hub.http.post(UPLOADS, files=files, params=params), 201)["sha256"] == photo.sha256


async def refused_ref(account: Account, ref: str, target: str = "upload") -> list[str]:
    """What is said of a photo_ref that can't be used."""
    params = {"photo_ref": ref} | ({"photo_id": "10000000001"} if target == "replace" else {})
    reply = await account.hub.enqueue(target=target, params=params, user_id=account.user_id)
    details: list[str] = failure(reply, 400, "ERR_INVALID_REQUEST")["details"]
    assert [sentence.partition(":")[0] for sentence in details] == ["params.photo_ref"]
    return details


async def test_a_photo_ref_is_gone_when_its_job_has_completed(account: Account) -> None:
    ref = await account.hand_over(jpeg())
    await account.run_upload({"photo_ref": ref})
    assert await refused_ref(account, ref) == await refused_ref(account, str(uuid.uuid4()))


@pytest.mark.parametrize("target", ["upload", "replace"])
async def test_anothers_photo_ref_is_as_unknown_as_any(connect: Connect, target: str) -> None:
    owner, other = await asyncio.gather(connect(), connect(person=1))
    ref = await owner.hand_over(jpeg())
    assert await refused_ref(other, ref, target) == await refused_ref(other, str(uuid.uuid4()), target)
    assert (await owner.run_upload({"photo_ref": ref}))["state"] == "completed"


async def test_a_photo_ref_can_be_used_again_when_its_job_has_failed(account: Account, sim: Simulator) -> None:
    photo = jpeg()
    ref = await account.hand_over(photo)
    await sim.fault_upload(account.app, code=6, message="Upload limit reached")
    failed = await account.run_upload({"photo_ref": ref})
    assert (failed["state"], await sim.uploaded(photo)) == ("failed", [])
    ended = await account.run_upload({"photo_ref": ref})
    assert [stored["id"] for stored in await sim.uploaded(photo)] == [photo_id_of(ended)]


async def test_a_photo_ref_serves_one_open_job_only(account: Account, sim: Simulator) -> None:
    ref = await account.hand_over(jpeg())
    await sim.fault_upload(account.app, latency_ms=1000)
    first = await account.enqueue_upload({"photo_ref": ref})
    reply = await account.hub.enqueue(target="upload", params={"photo_ref": ref}, user_id=account.user_id)
    failure(reply, 409, "ERR_CONFLICT")
    assert (await account.ended(first))["state"] == "completed"


async def test_uploads_and_presign_know_no_unknown_user(hub: FlickrHub) -> None:
    nobody = str(uuid.uuid4())
    failure(await hub.hand_over(jpeg(), nobody), 404, "ERR_TOKEN_NOT_FOUND")
    failure(await hub.hand_over_raw(jpeg().data, user_id=nobody), 404, "ERR_TOKEN_NOT_FOUND")
    failure(await hub.presign(user_id=nobody), 404, "ERR_TOKEN_NOT_FOUND")


async def test_without_s3_there_is_no_presigned_url(account: Account) -> None:
    failure(await account.hub.presign(user_id=account.user_id), 409, "ERR_CONFLICT")


async def test_presign_names_a_wrong_field(account: Account) -> None:
    for body in ({}, {"user_id": 5}, {"user_id": account.user_id, "colour": "red"}):
        failure(await account.hub.presign(**body), 400, "ERR_INVALID_REQUEST")


async def test_the_openapi_document_describes_both_calls(hub: FlickrHub) -> None:
    paths = (await hub.http.get("/openapi.json")).raise_for_status().json()["paths"]
    upload, presign = paths[UPLOADS]["post"], paths[f"{UPLOADS}/presign"]["post"]
    assert {"201", "400", "404", "413"} <= set(upload["responses"])
    assert "multipart/form-data" in upload["requestBody"]["content"]
    assert {"201", "400", "404", "409"} <= set(presign["responses"])
