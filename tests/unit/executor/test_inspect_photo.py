"""A photo on its way: what is found before anything is sent, and what before its end."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import replace

import pytest

from flickrhub_common.photo_formats import MAX_PHOTO_BYTES, MAX_VIDEO_BYTES
from flickrhub_executor.errors import CallFailed, PermanentFailure, TransientFailure
from flickrhub_executor.models import Photo
from flickrhub_executor.usecases.inspect_photo import inspected
from tests.support.photographs import jpeg

DATA = jpeg(5000).data
MP4 = b"\0\0\0\x18ftypmp42" + bytes(4096)


class Source:
    """Pieces of a photo, and how many of them were asked for."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.given = 0
        self.closed = False
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            for piece in self._pieces:
                self.given += 1
                yield piece
        finally:
            self.closed = True


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


async def read(found: Photo, into: bytearray) -> None:
    async for chunk in found.chunks:
        into += chunk


def photo(source: Source, size: int, filename: str = "a.jpg") -> Photo:
    return Photo(size, filename, "application/octet-stream", aiter(source))


@pytest.mark.parametrize("size", [1, 3, 511, 512, 513, 4999, 5000, 9000])
async def test_the_photo_passes_unchanged_however_its_pieces_are_cut(size: int) -> None:
    async with inspected(photo(Source(cut(DATA, size)), len(DATA))) as found:
        assert b"".join([chunk async for chunk in found.chunks]) == DATA
        assert (found.size, found.content_type) == (len(DATA), "image/jpeg")


async def test_it_is_recognised_by_its_first_bytes_before_more_is_asked_for() -> None:
    source = Source(cut(DATA, 600))
    async with inspected(photo(source, len(DATA))):
        assert source.given == 1


async def test_one_piece_is_always_held_back() -> None:
    source = Source(cut(DATA, 600))
    passed = 0
    async with inspected(photo(source, len(DATA))) as found:
        async for _ in found.chunks:
            passed += 1
            assert passed == min(source.given - 1, 9) or source.closed
    assert passed == 9


@pytest.mark.parametrize(
    ("data", "size", "kind", "code"),
    [
        (b"", 0, PermanentFailure, "ERR_PHOTO_EMPTY"),
        (b"<html>" * 200, 1200, PermanentFailure, "ERR_PHOTO_NOT_RECOGNISED"),
        (b"x", 1, PermanentFailure, "ERR_PHOTO_NOT_RECOGNISED"),
        (b"\xff", 1, PermanentFailure, "ERR_PHOTO_NOT_RECOGNISED"),
        (DATA, MAX_PHOTO_BYTES + 1, PermanentFailure, "ERR_PHOTO_TOO_LARGE"),
        (MP4, MAX_VIDEO_BYTES + 1, PermanentFailure, "ERR_PHOTO_TOO_LARGE"),
        (b"", 5000, TransientFailure, "ERR_PHOTO_UNREACHABLE"),
        (DATA[:100], 5000, TransientFailure, "ERR_PHOTO_UNREACHABLE"),
    ],
    ids=(
        "empty",
        "a page",
        "a letter",
        "a byte of a JPEG",
        "large photo",
        "large video",
        "nothing comes",
        "little comes",
    ),
)
async def test_what_flickr_wouldn_t_take_is_refused_before_anything_is_sent(
    data: bytes, size: int, kind: type[CallFailed], code: str
) -> None:
    with pytest.raises(kind) as raised:
        async with inspected(photo(Source(cut(data, 600)), size)):
            pytest.fail("it was let through")
    assert raised.value.code == code


@pytest.mark.parametrize(
    ("data", "size"), [(DATA, MAX_PHOTO_BYTES), (MP4, MAX_PHOTO_BYTES + 1), (MP4, MAX_VIDEO_BYTES)]
)
async def test_photos_and_videos_have_limits_of_their_own(data: bytes, size: int) -> None:
    async with inspected(photo(Source(cut(data, 600)), size)) as found:
        assert found.size == size


@pytest.mark.parametrize(
    ("data", "size", "kind", "code"),
    [
        (DATA[:-10], len(DATA) - 10, PermanentFailure, "ERR_PHOTO_TRUNCATED"),
        (DATA[:600], 600, PermanentFailure, "ERR_PHOTO_TRUNCATED"),
        (DATA, len(DATA) + 1, TransientFailure, "ERR_PHOTO_UNREACHABLE"),
        (DATA, len(DATA) - 1, TransientFailure, "ERR_PHOTO_UNREACHABLE"),
        (DATA + DATA, len(DATA), TransientFailure, "ERR_PHOTO_UNREACHABLE"),
        (DATA[:600], 300, TransientFailure, "ERR_PHOTO_UNREACHABLE"),
    ],
)
@pytest.mark.parametrize("piece", [100, 600, 100_000])
async def test_a_photo_that_isn_t_whole_never_passes_to_its_end(
    data: bytes, size: int, kind: type[CallFailed], code: str, piece: int
) -> None:
    passed = bytearray()
    async with inspected(photo(Source(cut(data, piece)), size)) as found:
        with pytest.raises(kind) as raised:
            await read(found, passed)
    assert raised.value.code == code
    assert len(passed) < size


async def test_a_photo_known_to_be_whole_is_not_looked_at_to_its_end_again() -> None:
    cut_off = DATA[:-10]
    async with inspected(replace(photo(Source(cut(cut_off, 600)), len(cut_off)), whole=True)) as found:
        assert b"".join([chunk async for chunk in found.chunks]) == cut_off


async def test_an_endless_source_is_read_no_further_than_its_length() -> None:
    source = Source(iter(lambda: DATA[:600], b""))
    async with inspected(photo(source, 6000)) as found:
        with pytest.raises(TransientFailure):
            await read(found, bytearray())
    assert source.given == 11


async def test_what_its_source_raises_comes_through_as_it_is() -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield DATA[:600]
        yield DATA[600:1200]
        raise ConnectionResetError

    async with inspected(Photo(5000, "a", "", breaks())) as found:
        with pytest.raises(ConnectionResetError):
            await read(found, bytearray())


@pytest.mark.parametrize(
    ("filename", "sent"),
    [
        ("harbour.jpg", "harbour.jpg"),
        ("harbour.JPEG", "harbour.JPEG"),
        ("harbour", "harbour.jpg"),
        ("v1.2 of it", "v1.2 of it.jpg"),
        ("", "photo.jpg"),
        ("photo", "photo.jpg"),
        (".jpg", ".jpg.jpg"),
    ],
)
async def test_a_name_without_an_extension_gets_one(filename: str, sent: str) -> None:
    async with inspected(photo(Source(cut(DATA, 600)), len(DATA), filename)) as found:
        assert found.filename == sent
