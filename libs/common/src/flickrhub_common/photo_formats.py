"""What a photo or video is by its first bytes, and whether its last ones are there: pure, fed piece by piece.

Only what Flickr takes is recognised (facts/flickr.md section 3). A truncated photo is found where the format says so
itself: JPEG, PNG, GIF and RIFF (WebP, AVI); the others count as whole, and Flickr judges them.
"""

from dataclasses import dataclass
from typing import Literal

from flickrhub_common.photo_ends import End, GifEnd, JpegEnd, NoEnd, PngEnd, RiffEnd

HEAD_BYTES = 512
"""Enough to recognise: MPEG-TS is told by the sync bytes of its first three packets, the last of them at 388."""
MAX_PHOTO_BYTES = 209_715_200
MAX_VIDEO_BYTES = 1_073_741_824


@dataclass(frozen=True)
class PhotoFormat:
    """A format Flickr takes."""

    media: Literal["photo", "video"]
    content_type: str
    extension: str

    @property
    def most_bytes(self) -> int:
        """Flickr's limit for this kind, in bytes."""
        return MAX_PHOTO_BYTES if self.media == "photo" else MAX_VIDEO_BYTES


def _photo(extension: str, content_type: str) -> PhotoFormat:
    return PhotoFormat("photo", content_type, extension)


def _video(extension: str, content_type: str) -> PhotoFormat:
    return PhotoFormat("video", content_type, extension)


_JPEG, _PNG, _GIF = _photo("jpg", "image/jpeg"), _photo("png", "image/png"), _photo("gif", "image/gif")
_TIFF, _BMP, _WEBP = _photo("tif", "image/tiff"), _photo("bmp", "image/bmp"), _photo("webp", "image/webp")
_HEIC, _HEIF, _AVIF = _photo("heic", "image/heic"), _photo("heif", "image/heif"), _photo("avif", "image/avif")
_MP4, _MOV, _M4V = _video("mp4", "video/mp4"), _video("mov", "video/quicktime"), _video("m4v", "video/x-m4v")
_3GP, _3G2, _AVI = _video("3gp", "video/3gpp"), _video("3g2", "video/3gpp2"), _video("avi", "video/x-msvideo")
_MPEG, _TS, _M2TS = _video("mpg", "video/mpeg"), _video("ts", "video/mp2t"), _video("m2ts", "video/mp2t")
_WMV, _OGG, _FLV = _video("wmv", "video/x-ms-wmv"), _video("ogv", "video/ogg"), _video("flv", "video/x-flv")
_MKV, _WEBM = _video("mkv", "video/x-matroska"), _video("webm", "video/webm")

_STARTS: tuple[tuple[bytes, PhotoFormat], ...] = (
    (b"\xff\xd8\xff", _JPEG),
    (b"\x89PNG\r\n\x1a\n", _PNG),
    (b"GIF87a", _GIF),
    (b"GIF89a", _GIF),
    (b"II*\0", _TIFF),
    (b"MM\0*", _TIFF),
    (b"\0\0\x01\xba", _MPEG),
    (b"\0\0\x01\xb3", _MPEG),
    (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), _WMV),
    (b"OggS\0", _OGG),
    (b"FLV\x01", _FLV),
)
_BMP_HEADERS = {12, 40, 52, 56, 64, 108, 124}
_BARE_ATOMS = {b"moov", b"mdat", b"wide", b"free", b"skip"}
_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), _AVIF),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), _HEIC),
    **dict.fromkeys((b"mif1", b"mif2", b"msf1", b"miaf"), _HEIF),
    **dict.fromkeys((b"M4V ", b"M4VH", b"M4VP"), _M4V),
    b"qt  ": _MOV,
}
_NEITHER = {b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B ", b"crx "}
"""Sound and Canon's raw photos share the container."""


def recognise(head: bytes) -> PhotoFormat | None:
    """The format of a file that begins so; None if it is neither photo nor video.

    ``head`` is its first HEAD_BYTES, or all of a shorter file; what follows them doesn't matter.
    """
    for start, found in _STARTS:
        if head.startswith(start):
            return found
    if head[:4] == b"RIFF":
        return {b"WEBP": _WEBP, b"AVI ": _AVI}.get(head[8:12])
    if head[:2] == b"BM" and head[6:10] == bytes(4) and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return _BMP
    if head[:4] == b"\x1aE\xdf\xa3":
        return _WEBM if b"webm" in head[:64] else _MKV
    if head[4:8] == b"ftyp":
        return _by_brand(head)
    if head[4:8] in _BARE_ATOMS:
        return _MOV
    return _transport_stream(head)


def _by_brand(head: bytes) -> PhotoFormat | None:
    """ISO base media: the major brand, then the compatible ones, say whether it is a photo."""
    major = head[8:12]
    if len(major) < 4 or major in _NEITHER:
        return None
    if major[:3] in {b"3gp", b"3g2"}:
        return _3GP if major[:3] == b"3gp" else _3G2
    found = _BRANDS.get(major, _MP4)
    if found is _HEIF:
        size = min(int.from_bytes(head[:4]), len(head))
        listed = {head[at : at + 4] for at in range(16, size, 4)}
        return next((_BRANDS[brand] for brand in (b"avif", b"avis", b"heic", b"heix") if brand in listed), found)
    return found


def _transport_stream(head: bytes) -> PhotoFormat | None:
    """Three packets in a row begin with a sync byte: of 188 bytes, or of 192 with a time before it."""
    if [head[at : at + 1] for at in (0, 188, 376)] == [b"G"] * 3:
        return _TS
    if [head[at : at + 1] for at in (4, 196, 388)] == [b"G"] * 3:
        return _M2TS
    return None


_ENDS: dict[PhotoFormat, type[End]] = {_JPEG: JpegEnd, _PNG: PngEnd, _GIF: GifEnd, _WEBP: RiffEnd, _AVI: RiffEnd}


class Completeness:
    """Whether a file of this format has its end, as far as the format tells; fed with all its bytes in order."""

    def __init__(self, format: PhotoFormat) -> None:  # noqa: A002 - the field's own word
        self._end = _ENDS.get(format, NoEnd)()

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes, however few."""
        self._end.feed(chunk)

    @property
    def whole(self) -> bool:
        """Whether the end has been seen; what follows it (a trailer, a motion photo's film) changes nothing."""
        return self._end.whole
