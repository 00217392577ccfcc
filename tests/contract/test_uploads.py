"""Targets upload and replace: from the photo's bytes to what Flickr has, and what its user hears."""

import asyncio
import base64
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.callback_receiver import CallbackReceiver
from tests.support.envelopes import failure, success
from tests.support.flickrhub_client import UPLOADS, FlickrHub
from tests.support.hub_account import SEARCH, Account, Connect, photo_id_of
from tests.support.photo_server import PhotoServer, photo_server
from tests.support.photographs import KINDS, Photograph, jpeg, mp4, png
from tests.support.simulator import Simulator

NOT_PRO = 3
"""One of the simulated people, who has a free account."""
FIELDS = {"photo_ref", "bytes", "sha256", "content_type", "expires_at"}
SOURCES = ["photo_ref", "photo_url", "photo_base64"]

Source = Callable[[str, Account, Photograph], Awaitable[dict[str, Any]]]


@pytest.fixture
async def photos() -> AsyncIterator[PhotoServer]:
    """A server from which photos may be fetched."""
    async with photo_server() as listening:
        yield listening


@pytest.fixture
def source(photos: PhotoServer) -> Source:
    """The param by which a photo gets to the hub."""

    async def param(name: str, account: Account, photo: Photograph) -> dict[str, Any]:
        if name == "photo_ref":
            return {name: await account.hand_over(photo)}
        return {name: photos.whole(photo.data) if name == "photo_url" else base64.b64encode(photo.data).decode()}

    return param


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


@pytest.mark.parametrize("name", SOURCES)
async def test_flickr_has_the_very_bytes_and_the_job_the_photos_id(
    account: Account, sim: Simulator, receiver: CallbackReceiver, source: Source, name: str
) -> None:
    photo = jpeg(100_000)
    params = {**await source(name, account, photo), "title": "Harbour — 雪"}
    job_id = await account.enqueue_upload(params, callback_url=receiver.url("/done"), meta={"album": 7})
    ended = await account.ended(job_id)
    (stored,) = await sim.uploaded(photo)
    assert (stored["title"], stored["bytes"], stored["replaced"]) == ("Harbour — 雪", len(photo.data), 0)
    assert photo_id_of(ended) == stored["id"]
    assert ended["queue"] == "flickr_upload"
    returned = ended["returnvalue"]
    assert set(returned) == {"from_cache", "flickr", "observability"}
    assert (returned["from_cache"], returned["flickr"]["stat"]) == (False, "ok")
    seen = returned["observability"]
    assert (seen["ok"], seen["status"], seen["attempt"]) == (True, 200, 1)
    (call,) = await receiver.received(1, "/done")
    told = call.json()
    assert (told["job_id"], told["queue"], told["state"]) == (job_id, "flickr_upload", "completed")
    assert (told["result"], told["error"], told["meta"]) == (returned["flickr"], None, {"album": 7})
    assert (told["from_cache"], told["attempts_made"]) == (False, 1)


async def test_a_video_goes_the_same_way(account: Account, sim: Simulator) -> None:
    video = mp4(300_000)
    ended = await account.run_upload({"photo_ref": await account.hand_over(video)})
    assert [stored["id"] for stored in await sim.uploaded(video)] == [photo_id_of(ended)]


async def test_flickr_is_told_all_that_was_said_and_the_tag_of_the_job(account: Account, sim: Simulator) -> None:
    photo = jpeg()
    said = {
        "title": "Hafen & Möwe",
        "description": "line one\nline <b>two</b>",
        "tags": ["blue hour", "harbour", "雪"],
        "is_public": False,
        "is_friend": 1,
        "is_family": "1",
        "safety_level": 2,
        "content_type": "3",
        "hidden": 2,
    }
    job_id = await account.enqueue_upload({"photo_ref": await account.hand_over(photo), **said})
    photo_id = photo_id_of(await account.ended(job_id))
    (call,) = await sim.calls(account.app, kind="upload")
    tag = f"flickrhub:job={uuid.UUID(job_id).hex}"
    assert {name: value for name, value in call["params"].items() if not name.startswith("oauth_")} == {
        "title": "Hafen & Möwe",
        "description": "line one\nline <b>two</b>",
        "tags": f'{tag} "blue hour" harbour 雪',
        "is_public": "0",
        "is_friend": "1",
        "is_family": "1",
        "safety_level": "2",
        "content_type": "3",
        "hidden": "2",
        "dedup_check": "1",
    }
    (stored,) = await sim.uploaded(photo)
    assert (stored["tags"], stored["machine_tags"]) == (["blue hour", "harbour", "雪"], [tag])
    info = (await account.run("flickr.photos.getInfo", params={"photo_id": photo_id}))["returnvalue"]["flickr"]["photo"]
    assert info["description"]["_content"] == said["description"]
    assert info["visibility"] == {"ispublic": 0, "isfriend": 1, "isfamily": 1}
    assert int(info["safety_level"]) == 1  # what was sent as 2: Flickr shows it from 0


async def test_what_isnt_said_is_left_to_the_accounts_defaults(account: Account, sim: Simulator) -> None:
    job_id = await account.enqueue_upload({"photo_ref": await account.hand_over(jpeg())})
    await account.ended(job_id)
    (call,) = await sim.calls(account.app, kind="upload")
    assert {name for name in call["params"] if not name.startswith("oauth_")} == {"tags", "dedup_check"}


async def test_tags_may_come_in_flickrs_own_form(account: Account, sim: Simulator) -> None:
    photo = jpeg()
    await account.run_upload({"photo_ref": await account.hand_over(photo), "tags": 'harbour "blue hour" geo:lat=53'})
    (stored,) = await sim.uploaded(photo)
    assert stored["tags"] == ["harbour", "blue hour"]
    assert "geo:lat=53" in stored["machine_tags"]


async def test_without_a_title_flickr_takes_the_files_name(
    connect: Connect, sim: Simulator, photos: PhotoServer
) -> None:
    form, raw, url = jpeg(filename="C:\\shots\\Möwe am Kai.jpg"), jpeg(), jpeg()
    accounts = await asyncio.gather(connect(), connect(), connect())
    hub = accounts[1].hub
    given = success(await hub.hand_over_raw(raw.data, user_id=accounts[1].user_id, filename="raw one.jpg"), 201)
    address = photos.whole(url.data, path="/2026/quiet%20bay.jpg?size=o")
    sources = [
        {"photo_ref": await accounts[0].hand_over(form)},
        {"photo_ref": given["photo_ref"]},
        {"photo_url": address},
    ]
    await asyncio.gather(*(account.run_upload(one) for account, one in zip(accounts, sources, strict=True)))
    titles = [(await sim.uploaded(photo))[0]["title"] for photo in (form, raw, url)]
    assert titles == ["Mowe am Kai", "raw one", "quiet bay"]


async def test_a_replacement_gives_the_photo_other_bytes(
    account: Account, sim: Simulator, receiver: CallbackReceiver
) -> None:
    old, new = jpeg(), png()
    photo_id = photo_id_of(await account.run_upload({"photo_ref": await account.hand_over(old), "title": "kept"}))
    params = {"photo_id": photo_id, "photo_ref": await account.hand_over(new)}
    ended = await account.run_upload(params, target="replace", callback_url=receiver.url("/replaced"))
    assert (photo_id_of(ended), ended["queue"]) == (photo_id, "flickr_replace")
    (stored,) = await sim.uploaded(new, old)
    assert (stored["id"], stored["sha256"], stored["replaced"]) == (photo_id, new.sha256, 1)
    assert stored["title"] == "kept"
    (call,) = await receiver.received(1, "/replaced")
    assert (call.json()["queue"], call.json()["result"]) == ("flickr_replace", ended["returnvalue"]["flickr"])
    (asked,) = await sim.calls(account.app, kind="replace")
    assert {name for name in asked["params"] if not name.startswith("oauth_")} == {"photo_id"}


async def test_flickrs_refusal_is_the_jobs_failure(
    connect: Connect, sim: Simulator, receiver: CallbackReceiver
) -> None:
    account, photo = await connect(person=NOT_PRO), jpeg()
    params = {"photo_id": "10000000001", "photo_ref": await account.hand_over(photo)}
    ended = await account.run_upload(params, target="replace", callback_url=receiver.url("/refused"))
    assert ended["state"] == "failed"
    assert "Not a pro account" in ended["failedReason"]
    (call,) = await receiver.received(1, "/refused")
    assert call.json()["error"]["code"] == "FLICKR_1"
    assert call.json()["attempts_made"] == 1
    assert await sim.uploaded(photo) == []


async def test_the_same_bytes_again_are_the_same_photo(account: Account, sim: Simulator) -> None:
    photo = jpeg()
    first = photo_id_of(await account.run_upload({"photo_ref": await account.hand_over(photo)}))
    ended = await account.run_upload({"photo_ref": await account.hand_over(photo), "title": "again"})
    assert photo_id_of(ended) == first
    assert ended["returnvalue"]["flickr"]["stat"] == "ok"
    assert ended["returnvalue"]["observability"]["attempt"] == 1
    assert len(await sim.uploaded(photo)) == 1


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


async def test_an_upload_makes_the_users_cached_reads_stale(account: Account) -> None:
    mine = {"user_id": "me", "per_page": 1}
    await account.run(SEARCH, params=mine)
    photo_id = photo_id_of(await account.run_upload({"photo_ref": await account.hand_over(jpeg())}))
    found = (await account.run(SEARCH, params=mine))["returnvalue"]
    assert found["from_cache"] is False
    assert found["flickr"]["photos"]["photo"][0]["id"] == photo_id


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
