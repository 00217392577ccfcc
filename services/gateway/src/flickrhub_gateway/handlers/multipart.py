"""Multipart bodies with one file, as a stream: the only module that names the parser (python-multipart)."""

import logging
from collections.abc import Iterable

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from flickrhub_common.errors import InvalidRequest
from flickrhub_gateway.uploads import MAX_FILENAME, Arriving, FileBegins, UserNamed, wrong_photo

MAX_HEADER_BYTES = 16 * 1024
MAX_FIELD_BYTES = 512
MAX_NAME_SHOWN = 64
USER_FIELD = "user_id"
UNREADABLE = "The multipart body can't be read."

_silent = logging.Logger("multipart", logging.CRITICAL)
"""A client's mistake is told to the client; the parser would log each one, with bytes of the body."""


def boundary_of(content_type: str) -> bytes | None:
    """The boundary of a multipart/form-data body; None for any other. Raises InvalidRequest if it has none."""
    kind, options = parse_options_header(content_type)
    if kind.strip() != b"multipart/form-data":
        return None
    if not options.get(b"boundary"):
        raise InvalidRequest("The Content-Type of a multipart body must name its boundary.")
    return options[b"boundary"]


class MultipartPieces:
    """Turns chunks of a multipart body into what arrives: the user_id, where a file begins, its bytes.

    Anything else in the body is refused as soon as it is seen. ``around`` counts the bytes that aren't the file's.
    """

    def __init__(self, boundary: bytes, *, filename: str | None, at_least: int) -> None:
        self._fallback_name = filename
        self._at_least = at_least
        self._found: list[Arriving] = []
        self._header = (bytearray(), bytearray())
        self._disposition: dict[bytes, bytes] = {}
        self._field: bytearray | None = None
        self._files = 0
        self._ended = False
        self._file_bytes = self._all_bytes = 0
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
                    "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_part_end": self._on_part_end,
                    "on_end": self._on_end,
                },
                max_header_size=MAX_HEADER_BYTES,
            )
        except FormParserError as error:
            raise InvalidRequest(UNREADABLE) from error
        self._parser.logger = _silent

    @property
    def around(self) -> int:
        """How many bytes so far aren't the file's."""
        return self._all_bytes - self._file_bytes

    def of(self, chunk: bytes) -> Iterable[Arriving]:
        """What a chunk brings. Raises InvalidRequest."""
        self._all_bytes += len(chunk)
        self._found = []
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise InvalidRequest(UNREADABLE) from error
        return self._found

    def end(self) -> None:
        """The body is over. Raises InvalidRequest unless it was complete and held a file."""
        if not self._ended:
            raise InvalidRequest("The multipart body ended before its end.")
        if not self._files:
            raise wrong_photo("is required, as a part with a filename")

    def _on_part_begin(self) -> None:
        self._disposition = {}
        self._field = None

    def _on_header_end(self) -> None:
        name, value = (bytes(part) for part in self._header)
        self._header = (bytearray(), bytearray())
        if name.lower() == b"content-disposition":
            _, self._disposition = parse_options_header(value.decode("latin-1"))

    def _on_headers_finished(self) -> None:
        name = self._disposition.get(b"name", b"").decode("utf-8", "replace")
        filename = self._disposition.get(b"filename")
        if filename is not None:
            self._on_file(filename.decode("utf-8", "replace"))
        elif name == USER_FIELD:
            self._field = bytearray()
        else:
            shown = name[:MAX_NAME_SHOWN] + "…" * (len(name) > MAX_NAME_SHOWN) or "a part without a name"
            raise InvalidRequest(details=[f"{shown}: isn't a field of this call; a file's part needs a filename"])

    def _on_file(self, filename: str) -> None:
        self._files += 1
        if self._files > 1:
            raise wrong_photo("must be one file only")
        if len(filename) > MAX_FILENAME:
            raise InvalidRequest(details=[f"filename: must have at most {MAX_FILENAME} characters"])
        self._found.append(FileBegins(filename or self._fallback_name, at_least=self._at_least))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._field is None:
            self._file_bytes += end - start
            self._found.append(data if end - start == len(data) else memoryview(data)[start:end])
            return
        self._field += data[start:end]
        if len(self._field) > MAX_FIELD_BYTES:
            raise InvalidRequest(details=[f"{USER_FIELD}: must have at most {MAX_FIELD_BYTES} characters"])

    def _on_part_end(self) -> None:
        if self._field is not None:
            self._found.append(UserNamed(self._field.decode("utf-8", "replace")))
            self._field = None

    def _on_end(self) -> None:
        self._ended = True
