"""Uploads and replacements: what is answered, what is refused, and what the world is like afterwards."""

import hashlib
import re
from typing import Any

import pytest

from flickr_sim.credentials import AccessToken
from flickr_sim.settings import DEMO_API_KEY, Settings
from flickr_sim.simulator import Simulator
from flickr_sim.world.models import Photo
from tests.unit.flickr_sim.caller import BASE, JPEG, Caller, Clock, multipart

HEAD = '<?xml version="1.0" encoding="utf-8" ?>\n'
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 50
MP4 = b"\0\0\0\x20ftypisom" + b"\0" * 50
FREE = "lamplighter"


def failed(code: int, message: str, *details: str) -> str:
    return "".join(
        [HEAD, f'<rsp stat="fail">\n\t<err code="{code}" msg="{message}" />\n', *details, "</rsp>\n"],
    )


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def uploaded(sim: Caller) -> list[Photo]:
    return [photo for photo in sim.simulator.world.photos.values() if photo.file is not None]


def one_of(sim: Caller, token: AccessToken) -> Photo:
    return next(photo for photo in sim.simulator.world.photos.values() if photo.owner == token.account)


@pytest.mark.parametrize("kind", ["upload/", "upload"])
async def test_an_upload_is_answered_as_recorded_whatever_format_is_asked_for(sim: Caller, kind: str) -> None:
    token = sim.grant("write")
    fields = {"format": "json", "nojsoncallback": "1"}
    answer = await sim.upload(token, kind=kind, **fields)
    (photo,) = uploaded(sim)
    shown = f'<photoid secret="{photo.secret}" originalsecret="{photo.original_secret}">{photo.id}</photoid>'
    assert answer.text == f'{HEAD}<rsp stat="ok">\n{shown}\n</rsp>\n'
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/xml; charset=utf-8")
    assert re.fullmatch(r"\d{11}", photo.id)
    assert re.fullmatch(r"[0-9a-f]{10}", photo.secret)


async def test_the_fields_of_an_upload_become_the_photos_own(sim: Caller) -> None:
    token = sim.grant("write")
    await sim.upload(
        token,
        title="Zug — 雪 & <b>",
        description="two\nlines",
        tags='flickrhub:job=00ff "two words" One',
        is_public="0",
        is_friend="1",
        is_family="0",
        safety_level="2",
        content_type="3",
        hidden="2",
    )
    (photo,) = uploaded(sim)
    assert (photo.title, photo.description) == ("Zug — 雪 & <b>", "two\nlines")
    assert [(tag.raw, tag.clean, tag.machine) for tag in photo.tags] == [
        ("flickrhub:job=00ff", "flickrhub:job=00ff", True),
        ("two words", "twowords", False),
        ("One", "one", False),
    ]
    assert (photo.is_public, photo.is_friend, photo.is_family) == (False, True, False)
    assert (photo.safety_level, photo.content_type, photo.hidden) == (1, 3, True)
    assert photo.owner == token.account


async def test_what_an_upload_leaves_out_or_has_wrong_is_the_accounts_default(sim: Caller) -> None:
    await sim.upload(sim.grant("write"), filename="IMG 1.of.many.JPG", safety_level="9", content_type="x", hidden="")
    (photo,) = uploaded(sim)
    assert (photo.title, photo.description, photo.tags) == ("IMG 1.of.many", "", [])
    assert (photo.is_public, photo.is_friend, photo.is_family) == (True, False, False)
    assert (photo.safety_level, photo.content_type, photo.hidden) == (0, 1, False)


async def test_an_uploaded_photo_is_a_photo_like_any_other(sim: Caller) -> None:
    token = sim.grant()
    before = (await sim.ok("flickr.people.getUploadStatus", token))["user"]["upload_count"]
    await sim.upload(token, title="mine", tags="hub:job=1a2b sea")
    (photo,) = uploaded(sim)
    found = await sim.ok("flickr.photos.search", token, user_id="me", machine_tags="hub:job=1a2b")
    assert [one["id"] for one in found["photos"]["photo"]] == [photo.id]
    listed = await sim.ok("flickr.people.getPhotos", token, user_id="me", extras="machine_tags", per_page="500")
    assert listed["photos"]["photo"][0]["machine_tags"] == "hub:job=1a2b"
    info = (await sim.ok("flickr.photos.getInfo", token, photo_id=photo.id))["photo"]
    assert (info["title"]["_content"], info["dates"]["takenunknown"]) == ("mine", "1")
    sizes = (await sim.ok("flickr.photos.getSizes", token, photo_id=photo.id))["sizes"]["size"]
    path = sizes[-1]["source"].removeprefix("https://live.staticflickr.com")
    assert (await sim.http.get(path)).headers["content-type"] == "image/jpeg"
    assert (await sim.ok("flickr.people.getUploadStatus", token))["user"]["upload_count"] == before + 1
    await sim.ok("flickr.photosets.create", token, title="t", primary_photo_id=photo.id)
    await sim.ok("flickr.photos.delete", token, photo_id=photo.id)
    assert not uploaded(sim)


async def test_a_video_is_a_video(sim: Caller) -> None:
    token = sim.grant("write")
    await sim.upload(token, MP4, filename="film.mp4")
    (photo,) = uploaded(sim)
    info = (await sim.ok("flickr.photos.getInfo", token, photo_id=photo.id))["photo"]
    assert (info["media"], info["title"]["_content"]) == ("video", "film")


async def test_size_and_hash_of_what_was_sent_are_in_the_store_and_in_the_log(sim: Caller) -> None:
    body = JPEG + bytes(range(256)) * 1000
    await sim.upload(sim.grant("write"), body, title="t")
    (shown,) = (await sim.http.get("/_sim/photos?uploaded=true")).json()
    assert (shown["bytes"], shown["sha256"], shown["title"]) == (len(body), sha256(body), "t")
    (call,) = (await sim.http.get("/_sim/calls")).json()
    assert (call["kind"], call["method"], call["api_key"]) == ("upload", None, DEMO_API_KEY)
    assert (call["params"], call["bytes"], call["sha256"]) == ({"title": "t"}, len(body), sha256(body))


async def test_ids_of_uploaded_photos_grow(sim: Caller) -> None:
    token = sim.grant("write")
    for _ in range(5):
        await sim.upload(token)
    ids = [int(photo_id) for photo_id in sim.simulator.world.photos]
    assert ids == sorted(ids)


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (multipart(("title", "t")), 2, "No photo specified"),
        (multipart(("photo", "only text"), ("title", "t")), 2, "No photo specified"),
        (multipart(("", b"nothing chosen"), ("title", "t")), 2, "No photo specified"),
        (multipart(("a.jpg", JPEG), ("title", "t"), field="image"), 2, "No photo specified"),
        (multipart(("title", "t"), ("a.jpg", b"")), 4, "Filesize was zero"),
        (multipart(("title", "t"), ("a.jpg", b"%PDF-1.7 is no photo")), 5, "Filetype was not recognised"),
        (multipart(("title", "t"), ("a.jpg", b"\xff")), 5, "Filetype was not recognised"),
    ],
)
async def test_a_body_without_a_photo_is_refused_as_documented(
    world_sim: Caller, body: bytes, code: int, message: str
) -> None:
    fields = {"title": "t"} | ({"photo": "only text"} if b"only text" in body else {})
    answer = await world_sim.send(world_sim.grant("write"), body, fields)
    assert (answer.status_code, answer.text) == (200, failed(code, message))


async def test_photos_and_videos_have_limits_of_their_own() -> None:
    clock = Clock()
    sim = Caller(Simulator(Settings(max_photo_bytes=1000, max_video_bytes=2000), clock), clock)
    async with sim.http:
        token = sim.grant("write")
        for head, most in ((PNG, 1000), (MP4, 2000)):
            assert 'stat="ok"' in (await sim.upload(token, head.ljust(most))).text
            assert (await sim.upload(token, head.ljust(most + 1))).text == failed(8, "Filesize was too large")
        user = (await sim.ok("flickr.people.getUploadStatus", token))["user"]
        assert (user["filesize"]["maxbytes"], user["videosize"]["maxbytes"]) == (1000, 2000)
        assert [photo.file.size for photo in uploaded(sim) if photo.file] == [1000, 2000]


@pytest.mark.parametrize(
    ("perms", "granted"),
    [("read", "read"), (None, "none")],
)
async def test_an_upload_needs_write_permission(world_sim: Caller, perms: str | None, granted: str) -> None:
    token = world_sim.grant(perms) if perms else None
    answer = await world_sim.upload(token, **({} if token else {"api_key": DEMO_API_KEY}))
    words = f"Insufficient permissions. Method requires write privileges; {granted} granted."
    assert answer.text == failed(99, words)


@pytest.mark.parametrize(
    ("api_key", "reason"),
    [("", "Key has invalid format"), ("zz", "Key has invalid format"), ("0" * 32, "Key not found")],
)
async def test_without_oauth_the_key_is_looked_at_first(world_sim: Caller, api_key: str, reason: str) -> None:
    assert (await world_sim.upload(None, api_key=api_key)).text == failed(100, f"Invalid API Key ({reason})")


@pytest.mark.parametrize("kind", ["upload", "replace"])
@pytest.mark.parametrize("oauth_token", ["", "72157000000000000-0123456789abcdef"])
async def test_a_dead_token_is_rejected_as_at_the_oauth_addresses(
    world_sim: Caller, kind: str, oauth_token: str
) -> None:
    token = AccessToken(oauth_token, "0" * 16, DEMO_API_KEY, "nobody", "write")
    answer = await world_sim.upload(token, kind=kind)
    assert answer.headers["content-type"] == "text/plain;charset=UTF-8"
    absent = "oauth_problem=parameter_absent&oauth_parameters_absent=oauth_token"  # oauthlib leaves an empty one out
    expected = (401, "oauth_problem=token_rejected") if oauth_token else (400, absent)
    assert (answer.status_code, answer.text) == expected


async def test_every_text_field_is_signed_and_the_photo_is_not(sim: Caller) -> None:
    token = sim.grant("write")
    assert 'stat="ok"' in (await sim.upload(token, title="a b&c=d", tags='"x y"', unknown="ü")).text
    answer = await sim.send(token, multipart(("title", "other"), ("a.jpg", JPEG)), {"title": "signed"})
    assert (answer.status_code, answer.headers["content-type"]) == (401, "text/plain;charset=UTF-8")
    start = "oauth_problem=signature_invalid&debug_sbs=POST&http%3A%2F%2Fsim.test%2Fservices%2Fupload%2F&oauth_consumer"
    assert answer.text.startswith(start)
    assert answer.text.endswith("%26title%3Dother")
    assert "photo" not in answer.text
    assert len(uploaded(sim)) == 1


async def test_a_photo_sent_as_text_is_signed_like_any_text(sim: Caller) -> None:
    """Clients that write `filename*=` only send a text field, for Flickr as here."""
    body = multipart(("a.jpg", b"\xff\xd8 text")).replace(b'filename="a.jpg"', b"filename*=utf-8''a.jpg")
    answer = await sim.send(sim.grant("write"), body, {})
    assert answer.status_code == 401
    assert "%26photo%3D" in answer.text


async def test_oauth_may_come_as_fields_before_and_after_the_file(sim: Caller) -> None:
    token = sim.grant("write")
    client = sim.client(token, signature_type="BODY")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    _, _, signed = client.sign(f"{BASE}/services/upload/", "POST", body="title=t", headers=form)
    pairs = [tuple(pair.split("=", 1)) for pair in signed.split("&")]
    fields = [(name, value.replace("%2F", "/").replace("%2B", "+").replace("%3D", "=")) for name, value in pairs]
    answer = await sim.send(None, multipart(*fields[:3], ("a.jpg", JPEG), *fields[3:]), {})
    assert 'stat="ok"' in answer.text, answer.text


async def test_the_time_is_looked_at_when_the_body_has_arrived(sim: Caller) -> None:
    async def slow_body() -> Any:
        content = multipart(("a.jpg", JPEG))
        yield content[:100]
        sim.clock.moved = 601  # the upload took so long
        yield content[100:]

    answer = await sim.send(sim.grant("write"), slow_body(), {})
    assert (answer.status_code, answer.text) == (401, "oauth_problem=timestamp_refused")
    assert not uploaded(sim)


async def test_the_same_file_again_is_a_duplicate_if_asked(sim: Caller) -> None:
    token, other = sim.grant(), sim.grant(account="northern_archive")
    await sim.upload(token, JPEG)
    (first,) = uploaded(sim)
    said = f"\t<duplicate_photo_id>{first.id}</duplicate_photo_id>\n"
    status = "\t<duplicate_photo_status>{}</duplicate_photo_status>\n"
    for dedup_check in ("1", "2"):
        answer = await sim.upload(token, JPEG, dedup_check=dedup_check)
        assert answer.text == failed(9, "Duplicate photo/video detected", said, status.format("ACTIVE"))
    assert uploaded(sim) == [first]
    assert 'stat="ok"' in (await sim.upload(token, JPEG + b"more", dedup_check="1")).text
    assert 'stat="ok"' in (await sim.upload(other, JPEG, dedup_check="1")).text
    assert 'stat="ok"' in (await sim.upload(token, JPEG, dedup_check="0")).text
    for photo in uploaded(sim):
        if photo.owner == token.account:
            await sim.ok("flickr.photos.delete", token, photo_id=photo.id)
            last = photo.id
    answer = await sim.upload(token, JPEG, dedup_check="1")
    assert answer.text.endswith(status.format("DELETED") + "</rsp>\n")
    assert last in answer.text  # the latest of the two that had this file
    assert 'stat="ok"' in (await sim.upload(token, JPEG, dedup_check="2")).text


async def test_free_accounts_are_safe_and_have_an_end(sim: Caller) -> None:
    token = sim.grant("write", FREE)
    assert (await sim.upload(token, safety_level="2")).text == failed(15, "Non-safe content not allowed")
    have = sum(photo.owner == token.account for photo in sim.simulator.world.photos.values())
    for photo in [one for one in sim.simulator.world.photos.values() if one.owner != token.account][: 999 - have]:
        photo.owner = token.account
    assert 'stat="ok"' in (await sim.upload(token, safety_level="1")).text
    assert (await sim.upload(token)).text == failed(6, "User exceeded upload limit")


async def test_a_replacement_changes_the_file_and_the_secrets_and_nothing_else(sim: Caller) -> None:
    token = sim.grant("write")
    photo = one_of(sim, token)
    title, posted, secret = photo.title, photo.posted, photo.secret
    answer = await sim.upload(token, PNG, kind="replace", photo_id=photo.id, title="ignored")
    shown = f'<photoid secret="{photo.secret}" originalsecret="{photo.original_secret}">{photo.id}</photoid>'
    assert answer.text == f'{HEAD}<rsp stat="ok">\n{shown}\n</rsp>\n'
    assert (photo.title, photo.posted, photo.replaced) == (title, posted, 1)
    assert photo.secret != secret
    (listed,) = (await sim.http.get("/_sim/photos?uploaded=1")).json()
    assert (listed["id"], listed["bytes"], listed["sha256"]) == (photo.id, len(PNG), sha256(PNG))
    await sim.upload(token, MP4, kind="replace", photo_id=photo.id)
    assert (photo.replaced, photo.media) == (2, "video")


async def test_a_replaced_photo_is_a_duplicate_of_its_new_file_only(sim: Caller) -> None:
    token = sim.grant("write")
    await sim.upload(token, JPEG)
    (photo,) = uploaded(sim)
    await sim.upload(token, PNG, kind="replace", photo_id=photo.id)
    assert 'code="9"' in (await sim.upload(token, PNG, dedup_check="1")).text
    assert 'stat="ok"' in (await sim.upload(token, JPEG, dedup_check="1")).text


async def test_a_replacement_is_refused_as_documented(sim: Caller) -> None:
    token = sim.grant("write")
    mine, other = one_of(sim, token), one_of(sim, sim.grant("write", "northern_archive"))
    for fields, code, message in (
        ({}, 1, "Photo &quot;&quot; not found (invalid ID)"),
        ({"photo_id": "1"}, 1, "Photo &quot;1&quot; not found (invalid ID)"),
        ({"photo_id": other.id}, 1, f"Photo &quot;{other.id}&quot; not found (not your photo)"),
    ):
        assert (await sim.upload(token, kind="replace", **fields)).text == failed(code, message)
    for body, code, message in ((b"", 4, "Filesize was zero"), (b"x" * 99, 5, "Filetype was not recognised")):
        answer = await sim.upload(token, body, kind="replace", photo_id=mine.id)
        assert answer.text == failed(code, message)
    answer = await sim.send(token, multipart(("photo_id", mine.id)), {"photo_id": mine.id}, kind="replace")
    assert answer.text == failed(2, "No photo specified")
    free = sim.grant("write", FREE)
    answer = await sim.upload(free, kind="replace", photo_id=one_of(sim, free).id)
    assert answer.text == failed(1, "Not a pro account")
    assert not uploaded(sim)


async def test_only_a_post_uploads(world_sim: Caller) -> None:
    for path in ("/services/upload/", "/services/replace"):
        answer = await world_sim.http.get(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
