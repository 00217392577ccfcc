"""Taking a photo in: what is stored, answered and refused, and that nothing is left of what was refused."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from flickrhub_common import photo_formats
from flickrhub_common.errors import Unavailable
from flickrhub_gateway.uploads import UploadState
from tests.support.photographs import KINDS, Photograph, gif, jpeg, mp4, png
from tests.unit.gateway.fakes import LIFETIME, NOON, STRANGER, USER, Surroundings

UPLOADS = "/api/v1/uploads"
BOUNDARY = "------------------------d74496d66958873e"
FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
NOT_RECOGNISED = "photo: is neither a photo nor a video that Flickr takes, by its first bytes"


def _part(name: str, value: bytes, filename: str | None = None, *, more: str = "") -> bytes:
    named = "" if filename is None else f'; filename="{filename}"'
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n{more}\r\n'
    return head.encode() + value + b"\r\n"


def _form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def _user(user_id: str = USER) -> bytes:
    return _part("user_id", user_id.encode())


def _file(photo: bytes, filename: str = "a.jpg") -> bytes:
    return _part("photo", photo, filename, more="Content-Type: application/octet-stream\r\n")


def _refused(reply: httpx2.Response, status: int = 400, code: str = "ERR_INVALID_REQUEST") -> Any:
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code), reply.text
    return reply.json()["error"].get("details") or reply.json()["error"]["message"]


@pytest.fixture(autouse=True)
def nothing_left(around: Surroundings) -> Iterator[None]:
    """Whatever the test does: a photo has its record and a record its photo."""
    yield
    assert set(around.store.photos) == set(around.uploads.kept)


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_a_form_is_taken_and_answered_with_what_it_held(
    http: httpx2.AsyncClient, around: Surroundings, kind: str
) -> None:
    photo = KINDS[kind]()
    files = {"photo": (photo.filename, photo.data, "text/plain")}
    reply = await http.post(UPLOADS, data={"user_id": USER.upper()}, files=files)
    assert reply.status_code == 201, reply.text
    body = reply.json()
    ref = body["data"]["photo_ref"]
    assert uuid.UUID(ref).version == 4
    assert body == {
        "request_id": reply.headers["x-request-id"],
        "data": {
            "photo_ref": ref,
            "bytes": len(photo.data),
            "sha256": photo.sha256,
            "content_type": photo.content_type,
            "expires_at": "2026-01-02T12:00:00.000Z",
        },
        "error": None,
    }
    assert (around.store.photos[ref], around.store.content_types[ref]) == (photo.data, photo.content_type)
    record = around.uploads.kept[ref]
    assert (record.user_id, record.state, record.filename) == (USER, UploadState.READY, photo.filename)
    assert (record.expires_at, record.job_id, record.hidden) == (NOON + LIFETIME, None, False)


async def test_a_raw_body_is_taken_whatever_it_is_called(http: httpx2.AsyncClient, around: Surroundings) -> None:
    photo = jpeg(3_000_000)
    for headers in ({}, {"content-type": "image/png"}, {"content-type": "application/x-www-form-urlencoded"}):
        reply = await http.post(f"{UPLOADS}?user_id={USER}&filename=b.jpg", content=photo.data, headers=headers)
        assert (reply.status_code, reply.json()["data"]["sha256"]) == (201, photo.sha256)
        assert around.uploads.kept[reply.json()["data"]["photo_ref"]].filename == "b.jpg"


@pytest.mark.parametrize("size", [1, 7, 64, 1024 * 1024, 1024 * 1024 + 1])
async def test_in_whatever_pieces_a_form_comes_the_photo_is_the_same(
    http: httpx2.AsyncClient, around: Surroundings, size: int
) -> None:
    photo = jpeg(5000 if size < 1000 else 3 * 1024 * 1024 + 5)
    body = _form(_user(), _file(photo.data + b"\r\n--" + BOUNDARY[:9].encode()))

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(body), size):
            yield body[at : at + size]

    reply = await http.post(UPLOADS, content=pieces(), headers=FORM)
    assert reply.status_code == 201, reply.text
    assert list(around.store.photos.values()) == [photo.data + b"\r\n--" + BOUNDARY[:9].encode()]


@pytest.mark.parametrize("size", [1024 * 1024 - 1, 1024 * 1024, 1024 * 1024 + 1, 2 * 1024 * 1024])
async def test_a_photo_at_the_edge_of_a_piece_is_whole(
    http: httpx2.AsyncClient, around: Surroundings, size: int
) -> None:
    photo = jpeg(size)
    assert (await http.post(f"{UPLOADS}?user_id={USER}", content=photo.data)).json()["data"]["sha256"] == photo.sha256
    assert list(around.store.photos.values()) == [photo.data]


async def test_the_user_may_come_after_the_file_or_in_the_query(http: httpx2.AsyncClient, around: Surroundings) -> None:
    after = await http.post(UPLOADS, content=_form(_file(jpeg().data), _user()), headers=FORM)
    query = await http.post(f"{UPLOADS}?user_id={USER}", content=_form(_file(jpeg().data)), headers=FORM)
    both = await http.post(f"{UPLOADS}?user_id={USER}", content=_form(_user(), _file(jpeg().data)), headers=FORM)
    assert [after.status_code, query.status_code, both.status_code] == [201] * 3
    assert {record.user_id for record in around.uploads.kept.values()} == {USER}


@pytest.mark.parametrize(
    ("filename", "kept"),
    [
        ("Sonnenuntergang über'm Meer.jpg", "Sonnenuntergang uber_m Meer.jpg"),
        ("C:\\\\Photos\\\\a.jpg", "a.jpg"),
        ("../../etc/passwd", "passwd"),
        ('a\\"b.jpg', "a_b.jpg"),
        ("日本.jpg", "__.jpg"),
        ("\x07.jpg", "_.jpg"),
        ("..", None),
        ("", None),
        ("n" * 255, "n" * 255),
    ],
)
async def test_a_file_name_is_kept_as_it_may_stand_in_a_header(
    http: httpx2.AsyncClient, around: Surroundings, filename: str, kept: str | None
) -> None:
    reply = await http.post(UPLOADS, content=_form(_user(), _file(jpeg().data, filename)), headers=FORM)
    assert reply.status_code == 201, reply.text
    assert around.uploads.kept[reply.json()["data"]["photo_ref"]].filename == kept


JPEG = jpeg().data


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (_form(_user()), ["photo: is required, as a part with a filename"]),
        (_form(), ["photo: is required, as a part with a filename"]),
        (_form(_user(), _file(b"")), ["photo: is empty"]),
        (_form(_user(), _file(b"Dear Flickr,")), [NOT_RECOGNISED]),
        (_form(_user(), _file(b"x" * 100_000)), [NOT_RECOGNISED]),
        (_form(_user(), _file(jpeg().truncated())), ["photo: is cut off: its end is missing"]),
        (_form(_user(), _file(png().truncated(0.99))), ["photo: is cut off: its end is missing"]),
        (_form(_user(), _file(JPEG), _file(JPEG)), ["photo: must be one file only"]),
        (_form(_user(), _file(b""), _file(JPEG)), ["photo: must be one file only"]),
        (_form(_file(JPEG)), ["user_id: is required"]),
        (_form(_user(), _user(STRANGER), _file(JPEG)), ["user_id: was given twice, and not the same"]),
        (_form(_user(), _file(JPEG), _user(STRANGER)), ["user_id: was given twice, and not the same"]),
        (_form(_part("user_id", b"u" * 513), _file(JPEG)), ["user_id: must have at most 512 characters"]),
        (_form(_user(), _file(JPEG, "n" * 256)), ["filename: must have at most 255 characters"]),
        (_form(_user(), _file(JPEG, "n" * 10_000)), ["filename: must have at most 255 characters"]),
        (_form(_user(), _file(JPEG, "n" * 20_000)), "The multipart body can't be read."),
        (
            _form(_user(), _part("title", b"x"), _file(JPEG)),
            ["title: isn't a field of this call; a file's part needs a filename"],
        ),
        (
            _form(_user(), _file(JPEG), _part("t" * 100, b"x")),
            [f"{'t' * 64}…: isn't a field of this call; a file's part needs a filename"],
        ),
        (_form(_user(), _part("photo", JPEG)), ["photo: isn't a field of this call; a file's part needs a filename"]),
        (
            f"--{BOUNDARY}\r\n\r\nx\r\n--{BOUNDARY}--\r\n".encode(),
            ["a part without a name: isn't a field of this call; a file's part needs a filename"],
        ),
        (_form(_user(), _file(JPEG))[:-6], "The multipart body ended before its end."),
        (_form(_user(), _file(JPEG))[:-200], "The multipart body ended before its end."),
        (b"", "The multipart body ended before its end."),
        (b"nonsense", "The multipart body can't be read."),
        (JPEG, "The multipart body can't be read."),
        (_form(_part("user_id", b"x", more="A: b\r\n" * 9)), "The multipart body can't be read."),
        (b"\r\n" * 1_000_000 + _form(_user(), _file(JPEG)), "The multipart body holds too much beside the photo."),
        (_form(_user(), _file(JPEG)) + b"x" * 1_100_000, "The multipart body holds too much beside the photo."),
    ],
)
async def test_a_bad_form_is_refused_in_words(
    http: httpx2.AsyncClient, around: Surroundings, body: bytes, said: Any
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 100_000):
            yield body[at : at + 100_000]

    assert _refused(await http.post(UPLOADS, content=pieces(), headers=FORM)) == said
    assert not around.store.photos


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", ["photo: is empty"]),
        (b"x", [NOT_RECOGNISED]),
        (b'{"photo": 1}', [NOT_RECOGNISED]),
        (JPEG[:-1], ["photo: is cut off: its end is missing"]),
        (gif().truncated(), ["photo: is cut off: its end is missing"]),
    ],
    ids=("empty", "a letter", "json", "a cut JPEG", "a cut GIF"),
)
async def test_a_bad_raw_body_is_refused_in_words(http: httpx2.AsyncClient, body: bytes, said: Any) -> None:
    assert _refused(await http.post(f"{UPLOADS}?user_id={USER}", content=body)) == said


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", ["user_id: is required"]),
        ("?user_id=", ["user_id: must have at least 1 character(s)"]),
        (f"?user_id={USER}&filename={'n' * 256}", ["filename: must have at most 255 characters"]),
        (f"?user_id={USER}&user_id={STRANGER}", ["user_id: is given twice"]),
        (f"?a=1&user_id={USER}&a=2&user_id={STRANGER}&a=1", ["user_id: is given twice", "a: is given twice"]),
        (f"?user_id={USER}&filename=a&filename=b", ["filename: is given twice"]),
        (f"?user_id={USER}&title=x", ["title: isn't a field of this call"]),
    ],
)
async def test_a_bad_query_is_refused_in_words(http: httpx2.AsyncClient, query: str, said: Any) -> None:
    assert _refused(await http.post(UPLOADS + query, content=JPEG)) == said


async def test_a_query_with_more_in_it_than_any_call_takes_is_refused_whole(http: httpx2.AsyncClient) -> None:
    query = "&".join(f"n{number}=" for number in range(9000))
    reply = await http.post(f"{UPLOADS}?user_id={USER}&{query}", content=JPEG)
    assert (reply.status_code, reply.json()["error"]["message"]) == (400, "The query has more than 32 parts.")


@pytest.mark.parametrize("given", ["multipart/form-data", "multipart/form-data; boundary=", "Multipart/Form-Data;x=y"])
async def test_a_form_that_names_no_boundary_is_refused(http: httpx2.AsyncClient, given: str) -> None:
    reply = await http.post(f"{UPLOADS}?user_id={USER}", content=JPEG, headers={"content-type": given})
    assert _refused(reply) == "The Content-Type of a multipart body must name its boundary."


async def test_a_boundary_longer_than_any_is_refused(http: httpx2.AsyncClient) -> None:
    headers = {"content-type": f"multipart/form-data; boundary={'b' * 300}"}
    reply = await http.post(f"{UPLOADS}?user_id={USER}", content=JPEG, headers=headers)
    assert _refused(reply) == "The multipart body can't be read."


async def _streamed(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@pytest.mark.parametrize("user_id", [STRANGER, "nobody", "../" + USER])
async def test_an_unknown_user_is_a_404_before_the_photo_is_stored(
    http: httpx2.AsyncClient, around: Surroundings, user_id: str
) -> None:
    by_query = await http.post(UPLOADS, params={"user_id": user_id}, content=JPEG)
    before = await http.post(UPLOADS, content=_form(_user(user_id), _file(b"no photo at all")), headers=FORM)
    after = await http.post(UPLOADS, content=_form(_file(JPEG), _user(user_id)), headers=FORM)
    for reply in (by_query, before, after):
        _refused(reply, 404, "ERR_TOKEN_NOT_FOUND")
        assert user_id not in reply.text
    assert not around.uploads.kept


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Photos of at most 20 kB, videos of at most 40 kB."""
    monkeypatch.setattr(photo_formats, "MAX_PHOTO_BYTES", 20_000)
    monkeypatch.setattr(photo_formats, "MAX_VIDEO_BYTES", 40_000)


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize(
    ("photo", "taken"),
    [(jpeg(20_000), True), (jpeg(20_001), False), (mp4(20_001), True), (mp4(40_000), True), (mp4(40_001), False)],
    ids=lambda value: f"{len(value.data)}" if isinstance(value, Photograph) else "",
)
@pytest.mark.parametrize("declared", [True, False])
async def test_each_kind_has_its_limit_to_the_byte(
    http: httpx2.AsyncClient, photo: Photograph, taken: bool, declared: bool
) -> None:
    pieces = [photo.data[at : at + 1000] for at in range(0, len(photo.data), 1000)]
    raw = await http.post(f"{UPLOADS}?user_id={USER}", content=photo.data if declared else _streamed(*pieces))
    form = await http.post(UPLOADS, content=_form(_user(), _file(photo.data)), headers=FORM)
    for reply in (raw, form):
        if taken:
            assert reply.status_code == 201
        else:
            _refused(reply, 413, "ERR_PAYLOAD_TOO_LARGE")


@pytest.mark.usefixtures("small_limits")
async def test_a_photo_that_says_it_is_too_large_is_refused_before_it_is_stored(
    http: httpx2.AsyncClient, around: Surroundings
) -> None:
    around.store.away = True  # it isn't asked
    headers = {"content-length": str(5_000_000)}
    reply = await http.post(f"{UPLOADS}?user_id={USER}", content=_streamed(JPEG), headers=headers)
    _refused(reply, 413, "ERR_PAYLOAD_TOO_LARGE")
    reply = await http.post(UPLOADS, content=_streamed(_form(_user(), _file(JPEG))), headers={**FORM, **headers})
    assert _refused(reply, 413, "ERR_PAYLOAD_TOO_LARGE") == "Flickr takes a photo of at most 0 MiB."


async def test_over_a_gibibyte_the_body_isnt_even_looked_at(http: httpx2.AsyncClient) -> None:
    headers = {"content-length": str(1024**3 + 1024**2 + 1)}
    _refused(await http.post(UPLOADS, content=_streamed(JPEG), headers=headers), 413, "ERR_PAYLOAD_TOO_LARGE")


async def test_other_calls_keep_their_mebibyte(http: httpx2.AsyncClient) -> None:
    headers = {"content-type": "application/json"}
    reply = await http.post(f"{UPLOADS}/presign", content=b" " * (1024 * 1024 + 1), headers=headers)
    _refused(reply, 413, "ERR_PAYLOAD_TOO_LARGE")


async def test_without_mongo_it_is_a_503(http: httpx2.AsyncClient, around: Surroundings) -> None:
    around.uploads.away = True
    _refused(await http.post(f"{UPLOADS}?user_id={USER}", content=JPEG), 503, "ERR_UNAVAILABLE")


async def test_without_auth_it_is_a_503(http: httpx2.AsyncClient, around: Surroundings) -> None:
    around.auth.failure = Unavailable("auth")
    _refused(await http.post(f"{UPLOADS}?user_id={USER}", content=JPEG), 503, "ERR_UNAVAILABLE")


async def test_what_a_store_that_went_away_may_have_kept_is_left_to_the_sweeper(
    http: httpx2.AsyncClient, around: Surroundings
) -> None:
    around.store.away = True
    _refused(await http.post(f"{UPLOADS}?user_id={USER}", content=JPEG), 503, "ERR_UNAVAILABLE")
    around.store.away = False
    assert [record.state for record in around.uploads.kept.values()] == [UploadState.RECEIVING]
    assert await around.sweep_uploads()() == 0
    around.clock.advance(5 * 60)
    assert await around.sweep_uploads()() == 1


async def test_the_record_is_there_before_the_first_byte_and_goes_with_a_broken_body(
    http: httpx2.AsyncClient, around: Surroundings
) -> None:
    seen: list[list[UploadState]] = []

    async def pieces() -> AsyncIterator[bytes]:
        data = jpeg(3 * 1024 * 1024).data
        for at in range(0, len(data) - 1000, 500_000):
            await asyncio.sleep(0.01)
            seen.append([record.state for record in around.uploads.kept.values()])
            yield data[at : at + 500_000]
        raise ConnectionError

    _refused(await http.post(f"{UPLOADS}?user_id={USER}", content=pieces()), 500, "ERR_INTERNAL")
    assert seen[-1] == [UploadState.RECEIVING]
    assert not around.uploads.kept


async def test_a_record_that_was_swept_meanwhile_makes_the_upload_fail(
    http: httpx2.AsyncClient, around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    put: Callable[..., Any] = around.store.put

    async def put_and_lose(ref: str, chunks: AsyncIterator[bytes], *, content_type: str) -> int:
        size: int = await put(ref, chunks, content_type=content_type)
        around.uploads.kept.clear()
        return size

    monkeypatch.setattr(around.store, "put", put_and_lose)
    _refused(await http.post(f"{UPLOADS}?user_id={USER}", content=JPEG), 503, "ERR_UNAVAILABLE")


async def test_a_request_that_is_cancelled_leaves_nothing(around: Surroundings) -> None:
    stuck = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield jpeg(2 * 1024 * 1024).data[:-5]
        stuck.set()
        await asyncio.Event().wait()

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(around.app()), base_url="http://hub") as http:
        request = asyncio.create_task(http.post(f"{UPLOADS}?user_id={USER}", content=pieces()))
        await stuck.wait()
        await asyncio.sleep(0)
        assert len(around.uploads.kept) == 1
        request.cancel()
        await asyncio.wait({request})
    assert not around.uploads.kept


async def test_a_store_that_refuses_more_ends_the_upload_at_once(
    http: httpx2.AsyncClient, around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def put(ref: str, chunks: AsyncIterator[bytes], *, content_type: str) -> int:
        await anext(chunks)
        raise Unavailable("photo_store")

    monkeypatch.setattr(around.store, "put", put)
    body = _streamed(*[jpeg(5 * 1024 * 1024).data[:-2]] * 20)
    _refused(await http.post(f"{UPLOADS}?user_id={USER}", content=body), 503, "ERR_UNAVAILABLE")


async def test_a_long_upload_keeps_its_record(
    http: httpx2.AsyncClient, around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flickrhub_gateway.usecases.receive_upload.KEEP_SECONDS", 0.01)
    data = jpeg(2 * 1024 * 1024).data
    kept: list[timedelta] = []

    async def pieces() -> AsyncIterator[bytes]:
        yield data[: 1024 * 1024]
        for _ in range(3):
            around.clock.advance(200)
            await asyncio.sleep(0.05)
            kept.extend(record.expires_at - around.clock.now() for record in around.uploads.kept.values())
            assert await around.sweep_uploads()() == 0
        yield data[1024 * 1024 :]

    assert (await http.post(f"{UPLOADS}?user_id={USER}", content=pieces())).status_code == 201
    assert kept == [timedelta(minutes=5)] * 3
