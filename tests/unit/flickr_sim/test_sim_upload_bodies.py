"""Bodies of uploads: taken apart as they come, refused when they are broken, never kept."""

import contextlib
import hashlib
import tracemalloc
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers
from starlette.types import Message

from flickr_sim import receiving
from flickr_sim.credentials import AccessToken
from flickr_sim.errors import Unreadable
from flickr_sim.incoming import BODY_LIMIT, FIELDS_LIMIT
from flickr_sim.multipart import PART_HEADER_LIMIT, Multipart
from flickr_sim.recognition import HEAD_BYTES, media_of
from tests.unit.flickr_sim.caller import BASE, BOUNDARY, FORM, JPEG, MULTIPART, Caller, multipart

BROKEN = "The multipart body is broken."
CRLF_RICH = b"\r\n--" + BOUNDARY[:-1] + b"\r\n\r--\r\n--" + BOUNDARY + b"x\r\n" + bytes(range(256)) * 4


def uploaded(sim: Caller) -> int:
    return sum(photo.file is not None for photo in sim.simulator.world.photos.values())


@given(
    photo=st.one_of(st.binary(max_size=2000), st.just(CRLF_RICH)),
    cuts=st.lists(st.integers(min_value=1, max_value=400), min_size=1, max_size=8),
)
@settings(max_examples=150, deadline=None)
def test_however_a_body_is_cut_into_pieces_the_same_comes_out(photo: bytes, cuts: list[int]) -> None:
    body = multipart(("title", "ü"), ("tags", ""), ("a b.jpg", photo), ("after", "z" * 50))
    form = Multipart(BOUNDARY)
    sizes = iter(cuts * len(body))
    position = 0
    while position < len(body):
        size = next(sizes)
        form.take(body[position : position + size])
        position += size
    pairs, received = form.received()
    assert pairs == [("title", "ü"), ("tags", ""), ("after", "z" * 50)]
    assert received is not None
    assert (received.filename, received.size) == ("a b.jpg", len(photo))
    assert received.sha256 == hashlib.sha256(photo).hexdigest()
    assert received.head == photo[:HEAD_BYTES]


def pieces(*, megabytes: int) -> Iterator[Message]:
    """A body whose photo has so many megabytes, as the server hands it over."""
    start, end = multipart(("title", "t"), ("a.jpg", JPEG)).split(JPEG)
    yield {"type": "http.request", "body": start + JPEG, "more_body": True}
    for _ in range(megabytes * 4):
        yield {"type": "http.request", "body": bytes(262_144), "more_body": True}
    yield {"type": "http.request", "body": end, "more_body": False}


async def test_the_memory_stays_flat_however_large_the_photo_is() -> None:
    messages = pieces(megabytes=64)

    async def receive() -> Message:
        return next(messages)

    tracemalloc.start()
    try:
        pairs, photo = await receiving.receive_upload(Headers({"content-type": MULTIPART}), receive)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert pairs == [("title", "t")]
    assert photo is not None
    assert photo.size == len(JPEG) + 64 * 1024 * 1024
    assert most < 2 * 1024 * 1024


async def test_a_client_that_hangs_up_half_way_leaves_nothing() -> None:
    async def receive() -> Message:
        return messages.pop(0)

    body = multipart(("a.jpg", JPEG))
    messages: list[Message] = [
        {"type": "http.request", "body": body[:-10], "more_body": True},
        {"type": "http.disconnect"},
    ]
    with pytest.raises(Unreadable, match="ended early"):
        await receiving.receive_upload(Headers({"content-type": MULTIPART}), receive)


@pytest.mark.parametrize("token", [True, False])
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", BROKEN),
        (b"no multipart at all", BROKEN),
        (multipart(("a.jpg", JPEG))[:-8], BROKEN),
        (multipart(("a.jpg", JPEG)).partition(JPEG)[0] + JPEG, BROKEN),
        (multipart(("a.jpg", JPEG)).replace(b'name="photo"; ', b""), BROKEN),
        (multipart(("a.jpg", JPEG)).replace(b"Content-Disposition", b"X-Other"), BROKEN),
        (multipart(("a.jpg", JPEG)).replace(b"Content-Type", b"Content Type"), BROKEN),
        (multipart(("a.jpg", JPEG)).replace(b"image/jpeg", b"x" * (PART_HEADER_LIMIT + 1)), BROKEN),
        (multipart(("a.jpg", JPEG)).replace(b"Content-Type", b"\r\n".join([b"X: y"] * 20) + b"\r\nX"), BROKEN),
        (multipart(("a.jpg", JPEG), ("b.jpg", JPEG)), "The request has more than one file."),
        (multipart(("a.jpg", JPEG), ("a.jpg", b"")), "The request has more than one file."),
        (multipart(*[("x", "y")] * (FIELDS_LIMIT + 1), ("a.jpg", JPEG)), "The request has too many parameters."),
    ],
)
async def test_a_broken_body_is_refused_in_plain_words_and_stores_nothing(
    rough_sim: Caller, body: bytes, words: str, token: bool
) -> None:
    answer = await rough_sim.send(rough_sim.grant("write") if token else None, body, {})
    assert (answer.status_code, answer.text) == (400, words)
    assert uploaded(rough_sim) == 0


@pytest.mark.parametrize(
    "content_type",
    ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=" + "x" * 300],
)
async def test_a_multipart_without_a_boundary_is_refused(rough_sim: Caller, content_type: str) -> None:
    body = multipart(("a.jpg", JPEG))
    answer = await rough_sim.http.post("/services/upload/", content=body, headers={"Content-Type": content_type})
    assert (answer.status_code, answer.text) == (400, BROKEN)


async def test_text_that_is_too_large_is_refused_in_one_field_or_in_many(rough_sim: Caller) -> None:
    half = "x" * (BODY_LIMIT // 2 + 1)
    for fields in ([("a", half + half)], [("a", half), ("b", half)]):
        answer = await rough_sim.send(None, multipart(*fields, ("a.jpg", JPEG)), {})
        assert (answer.status_code, answer.text) == (413, "The request's text fields are too large.")
    answer = await rough_sim.http.post(
        "/services/upload/", content=b"a=" + half.encode() * 2, headers={"Content-Type": FORM}
    )
    assert (answer.status_code, answer.text) == (413, "The request body is too large.")


async def test_a_body_far_above_every_limit_is_refused(rough_sim: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "UPLOAD_LIMIT", 1000)
    answer = await rough_sim.send(None, multipart(("a.jpg", bytes(1000))), {})
    assert (answer.status_code, answer.text) == (413, "The request body is too large.")


async def test_a_broken_body_is_read_to_its_end_before_it_is_refused(rough_sim: Caller) -> None:
    taken = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(20):
            taken += 1
            yield b"no multipart" * 100

    assert (await rough_sim.send(None, body(), {})).status_code == 400
    assert taken == 20


async def test_a_file_name_of_10000_bytes_makes_a_title_of_255(sim: Caller) -> None:
    answer = await sim.upload(sim.grant("write"), filename="ü" * 5000 + ".jpg")
    assert 'stat="ok"' in answer.text
    (title,) = [photo.title for photo in sim.simulator.world.photos.values() if photo.file is not None]
    assert title == "ü" * 255


@pytest.mark.parametrize(
    "filename", ["../../etc/passwd", "C:\\\\photos\\\\a.jpg", ".jpg", "..", "%00", "\x01\x7f", "\\"]
)
async def test_a_file_name_is_nothing_but_text(sim: Caller, filename: str) -> None:
    assert 'stat="ok"' in (await sim.upload(sim.grant("write"), filename=filename)).text
    assert uploaded(sim) == 1


async def test_fields_count_before_and_after_the_file(sim: Caller) -> None:
    token = sim.grant("write")
    body = multipart(("title", "before"), ("a.jpg", JPEG), ("description", "after"))
    answer = await sim.send(token, body, {"title": "before", "description": "after"})
    assert 'stat="ok"' in answer.text
    (photo,) = [one for one in sim.simulator.world.photos.values() if one.file is not None]
    assert (photo.title, photo.description) == ("before", "after")


async def test_fields_in_the_query_count_too(sim: Caller) -> None:
    token = sim.grant("write")
    url, headers, _ = sim.client(token).sign(f"{BASE}/services/upload/?title=of%20the%20query", "POST")
    answer = await sim.http.post(url, content=multipart(("a.jpg", JPEG)), headers=headers | {"Content-Type": MULTIPART})
    assert 'stat="ok"' in answer.text
    assert any(photo.title == "of the query" for photo in sim.simulator.world.photos.values())


@pytest.mark.parametrize("content_type", [FORM, "image/jpeg", ""])
async def test_a_body_of_another_kind_has_no_photo(world_sim: Caller, content_type: str) -> None:
    token: AccessToken = world_sim.grant("write")
    url, headers, _ = world_sim.client(token).sign(f"{BASE}/services/upload/", "POST")
    headers |= {"Content-Type": content_type} if content_type else {}
    answer = await world_sim.http.post(url, content=b"" if content_type == FORM else JPEG, headers=headers)
    assert '<err code="2" msg="No photo specified" />' in answer.text


@pytest.mark.parametrize(
    ("head", "media"),
    [
        (b"\xff\xd8\xff\xe0", "photo"),
        (b"\x89PNG\r\n\x1a\n", "photo"),
        (b"GIF89a", "photo"),
        (b"II*\0", "photo"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "photo"),
        (b"BM\0\0\0\0\0\0\0\0", "photo"),
        (b"\0\0\0\x18ftypheic", "photo"),
        (b"\0\0\0\x18ftypmif1", "photo"),
        (b"\0\0\0\x18ftypisom", "video"),
        (b"\0\0\0\x14ftypqt  ", "video"),
        (b"\0\0\0\x08moov", "video"),
        (b"RIFF\0\0\0\0AVI LIST", "video"),
        (b"\0\0\x01\xba", "video"),
        (b"OggS\0", "video"),
        (b"\x1aE\xdf\xa3", "video"),
        (b"G" + b"\n" * 187 + b"G" + b"\n" * 187 + b"G", "video"),
        (b"\0\0\0\x18ftypM4A ", None),
        (b"RIFF\0\0\0\0WAVEfmt ", None),
        (b"%PDF-1.7", None),
        (b"<html>", None),
        (b"\xff\xd8", None),
        (b"", None),
    ],
)
def test_photos_and_videos_are_told_by_their_first_bytes(head: bytes, media: str | None) -> None:
    assert media_of(head) == media


SCRAPS = [
    *[b"--" + BOUNDARY, b"--" + BOUNDARY + b"--", b"--", b"\r\n", b"\r", b"\n", b":", b'"', b";", b"\0\xff", b" \t"],
    *[b"Content-Disposition: form-data; ", b'name="photo"', b'; filename="', b"name=\xff", b"x" * 50, b"=", b"\\"],
]


@given(scraps=st.lists(st.one_of(st.sampled_from(SCRAPS), st.binary(max_size=5)), max_size=40))
@settings(max_examples=300, deadline=None)
def test_whatever_comes_is_taken_or_refused(scraps: list[bytes]) -> None:
    form = Multipart(BOUNDARY)
    with contextlib.suppress(Unreadable):
        form.take(b"--" + BOUNDARY + b"\r\n")
        for scrap in scraps:
            form.take(scrap)
        form.received()
