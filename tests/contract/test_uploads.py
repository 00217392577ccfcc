"""Targets upload and replace: from the photo's bytes to what Flickr has, and what its user hears."""

import asyncio
import base64
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.support.callback_receiver import CallbackReceiver
from tests.support.envelopes import success
from tests.support.hub_account import SEARCH, Account, Connect, photo_id_of
from tests.support.photo_server import PhotoServer, photo_server
from tests.support.photographs import Photograph, jpeg, mp4, png
from tests.support.simulator import Simulator

NOT_PRO = 3
"""One of the simulated people, who has a free account."""
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


async def test_an_upload_makes_the_users_cached_reads_stale(account: Account) -> None:
    title = uuid.uuid4().hex
    mine = {"user_id": "me", "text": title}
    assert (await account.run(SEARCH, params=mine))["returnvalue"]["flickr"]["photos"]["photo"] == []
    ended = await account.run_upload({"photo_ref": await account.hand_over(jpeg()), "title": title})
    found = (await account.run(SEARCH, params=mine))["returnvalue"]
    assert found["from_cache"] is False
    assert [photo["id"] for photo in found["flickr"]["photos"]["photo"]] == [photo_id_of(ended)]
