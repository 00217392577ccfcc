"""Photos by their first bytes, and whether their last ones are there, however the bytes are cut."""

import base64
import struct
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flickrhub_common.photo_formats import HEAD_BYTES, Completeness, PhotoFormat, recognise


def _ftyp(major: bytes, *compatible: bytes) -> bytes:
    brands = major + bytes(4) + b"".join(compatible)
    return struct.pack(">I", 8 + len(brands)) + b"ftyp" + brands + b"\0\0\0\x08mdat"


def _riff(form: bytes, body: bytes = b"VP8 \x04\0\0\0abcd") -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + form + body


def _bmp(header: int) -> bytes:
    return b"BM" + struct.pack("<IHHII", 70, 0, 0, 54, header) + bytes(50)


RECOGNISED = {
    "jpeg": (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "photo", "image/jpeg", "jpg"),
    "jpeg of a camera": (b"\xff\xd8\xff\xe1\x12\x34Exif\0", "photo", "image/jpeg", "jpg"),
    "png": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "photo", "image/png", "png"),
    "gif87": (b"GIF87a\1\0\1\0", "photo", "image/gif", "gif"),
    "gif89": (b"GIF89a\1\0\1\0", "photo", "image/gif", "gif"),
    "tiff, Intel": (b"II*\0\x08\0\0\0", "photo", "image/tiff", "tif"),
    "tiff, Motorola": (b"MM\0*\0\0\0\x08", "photo", "image/tiff", "tif"),
    "bmp": (_bmp(40), "photo", "image/bmp", "bmp"),
    "bmp of OS/2": (_bmp(12), "photo", "image/bmp", "bmp"),
    "webp": (_riff(b"WEBP"), "photo", "image/webp", "webp"),
    "heic": (_ftyp(b"heic", b"mif1", b"heic"), "photo", "image/heic", "heic"),
    "heic by a compatible brand": (_ftyp(b"mif1", b"mif1", b"heic"), "photo", "image/heic", "heic"),
    "heif": (_ftyp(b"mif1", b"mif1"), "photo", "image/heif", "heif"),
    "avif": (_ftyp(b"avif", b"mif1"), "photo", "image/avif", "avif"),
    "avif by a compatible brand": (_ftyp(b"mif1", b"miaf", b"avif"), "photo", "image/avif", "avif"),
    "mp4": (_ftyp(b"isom", b"mp42"), "video", "video/mp4", "mp4"),
    "mp4 of a brand nobody knows": (_ftyp(b"abcd"), "video", "video/mp4", "mp4"),
    "mov": (_ftyp(b"qt  "), "video", "video/quicktime", "mov"),
    "mov without ftyp": (b"\0\0\0\x08wide\0\0\x10\0mdat", "video", "video/quicktime", "mov"),
    "mov that begins with its index": (b"\0\0\x10\0moov\0\0\0\x6cmvhd", "video", "video/quicktime", "mov"),
    "3gp": (_ftyp(b"3gp5"), "video", "video/3gpp", "3gp"),
    "3g2": (_ftyp(b"3g2a"), "video", "video/3gpp2", "3g2"),
    "m4v": (_ftyp(b"M4V "), "video", "video/x-m4v", "m4v"),
    "avi": (_riff(b"AVI "), "video", "video/x-msvideo", "avi"),
    "mpeg program stream": (b"\0\0\x01\xba\x44\0", "video", "video/mpeg", "mpg"),
    "mpeg elementary stream": (b"\0\0\x01\xb3\x16\0", "video", "video/mpeg", "mpg"),
    "mpeg transport stream": ((b"G@\0\x10" + bytes(184)) * 3, "video", "video/mp2t", "ts"),
    "m2ts": ((b"\0\0\0\x01G@\0\x10" + bytes(184)) * 3, "video", "video/mp2t", "m2ts"),
    "wmv": (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), "video", "video/x-ms-wmv", "wmv"),
    "matroska": (b"\x1aE\xdf\xa3\x93B\x82\x88matroska", "video", "video/x-matroska", "mkv"),
    "webm": (b"\x1aE\xdf\xa3\x9fB\x82\x84webm", "video", "video/webm", "webm"),
    "ogg": (b"OggS\0\x02" + bytes(20) + b"\x80theora", "video", "video/ogg", "ogv"),
    "flv": (b"FLV\x01\x05", "video", "video/x-flv", "flv"),
}
UNKNOWN = {
    "nothing": b"",
    "text": b"Good morning.\n" * 40,
    "html": b"<!doctype html><html>" * 30,
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "pdf": b"%PDF-1.7\n",
    "zip": b"PK\x03\x04",
    "sound in riff": _riff(b"WAVE"),
    "sound in mp4": _ftyp(b"M4A ", b"isom"),
    "Canon's raw": _ftyp(b"crx ", b"isom"),
    "ftyp without a brand": b"\0\0\0\x08ftyp",
    "text that begins as a bitmap": b"BMX bikes and other things to ride",
    "half of a jpeg's mark": b"\xff\xd8",
    "a single packet of a transport stream": b"G@\0\x10" + bytes(184),
    "zeros": bytes(HEAD_BYTES),
}


@pytest.mark.parametrize("name", RECOGNISED)
def test_a_format_is_known_by_its_first_bytes(name: str) -> None:
    head, media, content_type, extension = RECOGNISED[name]
    assert recognise(head) == PhotoFormat(media, content_type, extension)  # type: ignore[arg-type]
    assert recognise(head + b"\xa5" * HEAD_BYTES) == recognise(head)


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_neither_photo_nor_video_is_not_recognised(name: str) -> None:
    assert recognise(UNKNOWN[name]) is None


@given(head=st.binary(max_size=HEAD_BYTES), start=st.sampled_from([b"", *(row[0][:12] for row in RECOGNISED.values())]))
def test_any_bytes_can_be_asked_about(head: bytes, start: bytes) -> None:
    recognise(start + head)


def test_flickrs_limits_are_those_of_photos_and_videos() -> None:
    assert PhotoFormat("photo", "image/jpeg", "jpg").most_bytes == 200 * 1024**2
    assert PhotoFormat("video", "video/mp4", "mp4").most_bytes == 1024**3


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _jpeg(*, thumbnail: bytes = b"", scans: int = 1) -> bytes:
    scan = _segment(0xDA, b"\x01\x01\0\0\x3f\0") + b"\x12\xff\0\xd9\x34\xff\xd0\x56\xff\0" * 5
    segments = _segment(0xE1, b"Exif\0\0" + thumbnail) + b"\xff" + _segment(0xDB, bytes(65)) + _segment(0xC0, bytes(9))
    return b"\xff\xd8" + segments + b"".join(_segment(0xC4, bytes(20)) + scan for _ in range(scans)) + b"\xff\xd9"


def _png() -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    pixels = zlib.compress(b"\0" + b"IEND" * 8)
    header = struct.pack(">IIBBBBB", 8, 1, 8, 6, 0, 0, 0)
    rows = [chunk(b"IHDR", header), chunk(b"IDAT", pixels[:9]), chunk(b"IDAT", pixels[9:]), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(rows)


GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_GIF_IMAGE = b"!\xf9\x04\0\0\0;\0" + b",\0\0\0\0\x01\0\x01\0\x80;;;;;;\x02" + b"\x02;\x01\x01;\0"
ANIMATED_GIF = b"GIF89a\x01\0\x01\0\x80\0\0;;;;;;!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0" + _GIF_IMAGE * 3 + b";"
WHOLE = {
    "jpeg": _jpeg(),
    "jpeg with a thumbnail": _jpeg(thumbnail=_jpeg()),
    "progressive jpeg": _jpeg(scans=3),
    "png": _png(),
    "gif": GIF,
    "animated gif": ANIMATED_GIF,
    "webp": _riff(b"WEBP"),
    "avi": _riff(b"AVI "),
}


def _whole(photo: bytes, pieces: list[bytes]) -> bool:
    found = recognise(photo[:HEAD_BYTES])
    assert found is not None
    end = Completeness(found)
    for piece in pieces:
        end.feed(piece)
    return end.whole


@pytest.mark.parametrize("name", WHOLE)
def test_a_photo_is_whole_with_its_last_byte_and_not_before(name: str) -> None:
    photo = WHOLE[name]
    assert _whole(photo, [photo])
    truncated = [length for length in range(len(photo)) if _whole(photo, [photo[:length]])]
    assert truncated == []


@pytest.mark.parametrize("trailer", [b"\0" * 100, b"\xff", _ftyp(b"mp42") + bytes(100), b"SEFH", _jpeg()])
@pytest.mark.parametrize("name", WHOLE)
def test_what_follows_the_end_changes_nothing(name: str, trailer: bytes) -> None:
    photo = WHOLE[name]
    assert _whole(photo, [photo + trailer])
    assert _whole(photo, [photo, trailer, trailer])


@given(name=st.sampled_from(sorted(WHOLE)), cut=st.integers(0, 400), borders=st.lists(st.integers(0, 400), max_size=8))
def test_the_borders_of_chunks_make_no_difference(name: str, cut: int, borders: list[int]) -> None:
    photo = WHOLE[name]
    sent = photo[: len(photo) - cut] if cut < len(photo) else photo
    at = [0, *sorted(min(border, len(sent)) for border in borders), len(sent)]
    pieces = [sent[start:stop] for start, stop in pairwise(at)]
    assert _whole(photo, pieces) is (sent == photo)


@pytest.mark.parametrize("name", WHOLE)
def test_a_photo_that_comes_byte_by_byte_is_whole(name: str) -> None:
    photo = WHOLE[name]
    assert _whole(photo, [bytes([byte]) for byte in photo])


@given(name=st.sampled_from(sorted(WHOLE)), junk=st.lists(st.binary(max_size=300), max_size=6))
def test_any_bytes_may_follow_the_head_in_any_pieces(name: str, junk: list[bytes]) -> None:
    head = WHOLE[name][:20]
    assert _whole(head, [head, *junk]) is _whole(head, [head + b"".join(junk)])


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_a_film_whose_recorder_never_knew_its_size_is_whole(size: int) -> None:
    film = b"RIFF" + struct.pack("<I", size) + b"AVI LIST"
    assert _whole(film, [film])


@pytest.mark.parametrize("name", ["tiff, Intel", "bmp", "heic", "mp4", "mov", "mpeg program stream", "matroska"])
def test_a_format_that_does_not_say_where_it_ends_is_whole(name: str) -> None:
    assert _whole(RECOGNISED[name][0], [])


@pytest.mark.parametrize(
    ("start", "block"),
    [
        (_jpeg()[:2] + b"\xff", b"\xff\xe1\0\x02"),
        (_png()[:8], b"\0\0\0\0tEXt\0\0\0\0"),
        (b"GIF89a\x01\0\x01\0\0\0\0!\xf9", b"\x01;"),
    ],
)
def test_blocks_without_end_are_walked_for_a_while_only(
    start: bytes, block: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flickrhub_common.photo_ends._Blocks._MOST", 10_000)
    assert not _whole(start, [start, *[block * 900] * 10])
    assert _whole(start, [start, *[block * 900] * 20])
