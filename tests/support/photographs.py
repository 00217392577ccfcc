"""Small photographs that any decoder reads, of any size, each with bytes of its own, whose sha256 is known."""

import hashlib
import secrets
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

LONGEST_COMMENT = 65_537
"""Bytes of a JPEG segment: its marker's two, and what its length field counts, up to 65,535."""
SMALL = 1200
"""Bytes of a photograph whose size doesn't matter."""

# One grey block of 8 by 8: a quantisation table of ones, the frame, two Huffman codes of one bit, the scan, its end.
_JPEG_START = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
_JPEG_IMAGE = (
    b"\xff\xdb\x00\x43\x00" + b"\x01" * 64
    + b"\xff\xc0\x00\x0b\x08\x00\x08\x00\x08\x01\x01\x11\x00"
    + b"\xff\xc4\x00\x14\x00\x01" + bytes(15) + b"\x00"
    + b"\xff\xc4\x00\x14\x10\x01" + bytes(15) + b"\x00"
    + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00\x3f\xff\xd9"
)  # fmt: skip


@dataclass(frozen=True)
class Photograph:
    """A file as a client has it."""

    data: bytes = field(repr=False)
    filename: str
    content_type: str

    @property
    def sha256(self) -> str:
        """What Flickr must have in the end."""
        return hashlib.sha256(self.data).hexdigest()

    def truncated(self, part: float = 0.5) -> bytes:
        """Its first bytes only."""
        return self.data[: int(len(self.data) * part)]


def jpeg(size: int = SMALL, filename: str = "harbour.jpg") -> Photograph:
    """A JPEG of just this many bytes (300 or more); what makes it large and unlike others is comments."""
    left = size - len(_JPEG_START) - len(_JPEG_IMAGE)
    segments = []
    while left:
        # What would leave less than the next segment's head needs is halved.
        length = left // 2 if LONGEST_COMMENT < left <= LONGEST_COMMENT + 8 else min(left, LONGEST_COMMENT)
        segments.append(b"\xff\xfe" + struct.pack(">H", length - 2) + _noise(length - 4))
        left -= length
    return Photograph(_JPEG_START + b"".join(segments) + _JPEG_IMAGE, filename, "image/jpeg")


def png(size: int = SMALL, filename: str = "chart.png") -> Photograph:
    """A PNG of one grey pixel, of just this many bytes (150 or more), most of them a text chunk."""
    start = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    end = _chunk(b"IDAT", zlib.compress(b"\x00\x80")) + _chunk(b"IEND", b"")
    keyword = b"Comment\x00"
    text = _chunk(b"tEXt", keyword + _noise(size - len(start) - len(end) - len(keyword) - 12))
    return Photograph(start + text + end, filename, "image/png")


def gif(filename: str = "blink.gif") -> Photograph:
    """A GIF of one pixel with a comment of its own."""
    screen = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff"
    comment = b"\x21\xfe\x20" + _noise(32) + b"\x00"
    image = b"\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b"
    return Photograph(screen + comment + image, filename, "image/gif")


def webp(filename: str = "pixel.webp") -> Photograph:
    """A lossless WebP of one pixel, with a chunk of its own behind it."""
    image = b"VP8L\x0d\x00\x00\x00\x2f\x00\x00\x00\x10\x07\x10\x11\x11\x88\x88\xfe\x07\x00"
    own = b"note" + struct.pack("<I", 32) + _noise(32)
    body = b"WEBP" + image + own
    return Photograph(b"RIFF" + struct.pack("<I", len(body)) + body, filename, "image/webp")


def mp4(size: int = SMALL, filename: str = "waves.mp4") -> Photograph:
    """An MP4 as far as its boxes go: a type, and media data that nobody plays."""
    kind = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp41"
    left = size - len(kind)
    return Photograph(kind + struct.pack(">I", left) + b"mdat" + _noise(left - 8), filename, "video/mp4")


KINDS: dict[str, Callable[[], Photograph]] = {"jpeg": jpeg, "png": png, "gif": gif, "webp": webp, "mp4": mp4}


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _noise(length: int) -> bytes:
    """Printable, so that it holds no marker, and unlike any other."""
    return secrets.token_hex(length // 2 + 1).encode()[:length]
