"""Where files end by their own telling, one class a format (see ``photo_formats.Completeness``)."""

import re
from typing import Literal, Protocol


class End(Protocol):
    """Whether the end has been seen, of a file that is fed piece by piece."""

    whole: bool

    def feed(self, chunk: bytes) -> None: ...


class NoEnd:
    """A format that doesn't say where it ends."""

    whole = True

    def feed(self, chunk: bytes) -> None:
        pass


class RiffEnd:
    """The size after the first four bytes says how many follow it; 0 and all ones are a recorder's "unknown"."""

    def __init__(self) -> None:
        self.whole = False
        self._head = b""
        self._seen = 0

    def feed(self, chunk: bytes) -> None:
        self._head += chunk[: 8 - len(self._head)]
        self._seen += len(chunk)
        if len(self._head) == 8:
            size = int.from_bytes(self._head[4:], "little")
            self.whole = size in {0, 0xFFFFFFFF} or self._seen >= 8 + size


class _Blocks:
    """Walks a file from block to block. A header cut by the border of a chunk is kept for the next one.

    A file of millions of tiny blocks, which no camera makes, would hold the event loop: it counts as whole.
    """

    _MOST = 1_000_000

    def __init__(self, start: int) -> None:
        self.whole = False
        self._at = start
        self._kept = b""
        self._steps = 0

    def feed(self, chunk: bytes) -> None:
        data = self._kept + chunk if self._kept else chunk
        at, self._kept = self._at, b""
        while at < len(data) and not self.whole:
            after = self._step(data, at)
            if after == at:
                self._kept = data[at:]
                break
            at = after
            self._steps += 1
            self.whole = self.whole or self._steps > self._MOST
        self._at = max(0, at - len(data))

    def _step(self, data: bytes, at: int) -> int:
        """Where the next block begins; ``at`` itself when more bytes are needed to know."""
        raise NotImplementedError


class JpegEnd(_Blocks):
    """Segments up to the first scan, so that a thumbnail's end isn't taken for the photo's; then the first EOI.

    A regular expression searches three times as fast as ``bytes.find`` (3.0 against 1.06 GiB/s, CPython 3.11).
    """

    _MARKER = re.compile(rb"\xff[^\xff\x00]")
    _EOI = re.compile(rb"\xff\xd9")
    _ALONE = frozenset((0x01, *range(0xD0, 0xD9)))

    def __init__(self) -> None:
        super().__init__(start=2)
        self._scanning = False

    def _step(self, data: bytes, at: int) -> int:
        marker = (self._EOI if self._scanning else self._MARKER).search(data, at)
        if marker is None:
            return max(at, len(data) - data.endswith(b"\xff"))
        at, kind = marker.start(), data[marker.end() - 1]
        if kind == 0xD9:
            self.whole = True
            return marker.end()
        if kind in self._ALONE:
            return marker.end()
        if len(data) < at + 4:
            return at
        self._scanning = kind == 0xDA
        return at + 2 + int.from_bytes(data[at + 2 : at + 4])


class PngEnd(_Blocks):
    """Chunks up to IEND and its checksum. What isn't a chunk has no end."""

    def __init__(self) -> None:
        super().__init__(start=8)
        self._lost = False

    def _step(self, data: bytes, at: int) -> int:
        if self._lost:
            return len(data)
        if len(data) < at + 8:
            return at
        length, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        if kind == b"IEND":
            self.whole = len(data) >= at + 12
            return at + 12 if self.whole else at
        self._lost = not kind.isalpha()
        return at + 12 + length


class GifEnd(_Blocks):
    """The screen, then images and extensions with their runs of sub-blocks, up to the trailer."""

    def __init__(self) -> None:
        super().__init__(start=10)
        self._state: Literal["screen", "block", "run"] = "screen"

    def _step(self, data: bytes, at: int) -> int:
        if self._state == "run":
            return self._run(data, at)
        if self._state == "screen":
            self._state = "block"
            return at + 3 + _colour_table(data[at])
        return self._block(data, at)

    def _block(self, data: bytes, at: int) -> int:
        kind = data[at]
        if kind == 0x3B:
            self.whole = True
            return at + 1
        if kind == 0x21:
            self._state = "run"
            return at + 2
        if kind != 0x2C:  # decoders pass over stray bytes
            return at + 1
        if len(data) < at + 10:
            return at
        self._state = "run"
        return at + 11 + _colour_table(data[at + 9])

    def _run(self, data: bytes, at: int) -> int:
        size, most = len(data), self._MOST - self._steps + 1
        for taken in range(most):  # noqa: B007 - counted below
            if at >= size:
                break
            length = data[at]
            at += length + 1
            if not length:
                self._state = "block"
                break
        self._steps += taken
        return at


def _colour_table(flags: int) -> int:
    """Bytes of the colour table that a GIF's flags announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0
