"""A multipart form taken apart while it comes: fields are kept, a file only weighed and hashed."""

import hashlib

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from flickr_sim.errors import Unreadable
from flickr_sim.incoming import BODY_LIMIT, FIELDS_LIMIT, Pairs, ReceivedPhoto
from flickr_sim.recognition import HEAD_BYTES

PART_HEADER_LIMIT = 16_384


class Multipart:
    """A multipart form while it comes: a part with a file name is a file, and the one called `photo` is the photo."""

    def __init__(self, boundary: bytes) -> None:
        self._boundary = boundary
        self._parser: MultipartParser | None = None
        self._pairs: Pairs = []
        self._room = BODY_LIMIT
        self._file: _FilePart | None = None
        self._part: _TextPart | _FilePart | None = None
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._disposition = b""
        self._ended = False

    def take(self, chunk: bytes) -> None:
        """Take the next bytes. Raises Unreadable when they break the form or are more than is kept."""
        try:
            if self._parser is None:
                self._parser = self._new_parser()
            self._parser.write(chunk)
        except FormParserError as error:
            raise _broken() from error

    def received(self) -> tuple[Pairs, ReceivedPhoto | None]:
        """Return the fields and the photo. Raises Unreadable unless the form has its end."""
        if not self._ended:
            raise _broken()
        photo = self._file.photo() if self._file is not None and self._file.name == "photo" else None
        return self._pairs, photo

    def _new_parser(self) -> MultipartParser:
        if not self._boundary:
            raise _broken()
        return MultipartParser(
            self._boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._begin_data,
                "on_part_data": self._take_data,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
            max_header_size=PART_HEADER_LIMIT,
        )

    def _begin_part(self) -> None:
        self._disposition = b""

    def _end_header(self) -> None:
        name, value = self._header
        if name.lower() == b"content-disposition":
            self._disposition = bytes(value)
        self._header = (bytearray(), bytearray())

    def _begin_data(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"name" not in options:
            raise _broken()
        name = options[b"name"].decode("utf-8", "replace")
        filename = options.get(b"filename")
        if filename is None:
            self._part = _TextPart(name, self._room)
            return
        self._part = file = _FilePart(name, filename.decode("utf-8", "replace"))
        if filename == b"":
            return  # a form's file field in which nothing was chosen
        if self._file is not None:
            raise Unreadable(400, "The request has more than one file.")
        self._file = file

    def _take_data(self, data: bytes, start: int, end: int) -> None:
        if self._part is not None:
            self._part.take(data, start, end)

    def _end_part(self) -> None:
        if isinstance(self._part, _TextPart):
            self._room -= len(self._part.value)
            self._pairs.append((self._part.name, self._part.value.decode("utf-8", "replace")))
            if len(self._pairs) > FIELDS_LIMIT:
                raise Unreadable(400, "The request has too many parameters.")
        self._part = None

    def _end(self) -> None:
        self._ended = True


class _TextPart:
    """A text field while it comes."""

    def __init__(self, name: str, room: int) -> None:
        self.name = name
        self.value = bytearray()
        self._room = room

    def take(self, data: bytes, start: int, end: int) -> None:
        if len(self.value) + end - start > self._room:
            raise Unreadable(413, "The request's text fields are too large.")
        self.value += data[start:end]


class _FilePart:
    """A file while it comes: nothing of it is kept but its first bytes."""

    def __init__(self, name: str, filename: str) -> None:
        self.name = name
        self._filename = filename
        self._size = 0
        self._hash = hashlib.sha256()
        self._head = b""

    def take(self, data: bytes, start: int, end: int) -> None:
        if self._size < HEAD_BYTES:
            self._head += data[start : min(end, start + HEAD_BYTES - self._size)]
        self._size += end - start
        self._hash.update(memoryview(data)[start:end])

    def photo(self) -> ReceivedPhoto:
        return ReceivedPhoto(self._filename, self._size, self._hash.hexdigest(), self._head)


def _broken() -> Unreadable:
    return Unreadable(400, "The multipart body is broken.")
