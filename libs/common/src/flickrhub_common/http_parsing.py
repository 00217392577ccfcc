"""What a client may send: uvicorn's parsing, with an end to heads, lines, chunks and requests that wait."""

import math
import re
from collections.abc import Sequence
from typing import Any, NoReturn

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from flickrhub_common import errors
from flickrhub_common.errors import HubError
from flickrhub_common.http_limits import ConnectionLimits

FRAMING_A_BYTE = 8
"""How much a client may send around each byte of a chunked body: one in chunks of a byte takes six or so."""
MOST_FRAMING = 2
"""And in any case, in limits of a head."""
NOT_IN_A_BODY = -math.inf
HOST = re.compile(rb"[\w.:%\[\]!$&'()*+,;=~-]*", re.ASCII)

Headers = Sequence[tuple[bytes, bytes]]


def what_is_wrong(headers: Headers, *, version: str, upgrades: bool) -> str | None:
    """What is wrong with a head that the parser takes, but another server may read in another way (RFC 9112).

    ``headers`` have lower-case names. An upgrade may be ignored, but the parser stops at it, and would take the body
    for the next request.
    """
    hosts = [value for name, value in headers if name == b"host"]
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if version not in ("1.0", "1.1"):
        return "This server speaks HTTP/1.1."
    if len(hosts) > 1 or (not hosts and version == "1.1") or not all(HOST.fullmatch(host) for host in hosts):
        return "A request has one `Host` (RFC 9112, section 3.2)."
    if codings and ([coding.strip().lower() for coding in codings] != [b"chunked"] or version == "1.0"):
        return "The only transfer coding that is understood is `chunked`, with HTTP/1.1."
    lengths = [value for name, value in headers if name == b"content-length"]
    if upgrades and (codings or any(length.strip(b"0 ") for length in lengths)):
        return "This server speaks HTTP/1.1 only: send a body without `Connection: Upgrade`."
    return None


class BoundedParsing(HttpToolsProtocol):
    """Ends the parsing by ``refuse``, once, when a client sends what is no HTTP or more than it may."""

    limits = ConnectionLimits()

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.refused = False
        self._parsed = False
        self._wrong: HubError | None = None
        self._head_bytes = self._silent_bytes = 0
        self._framing_bytes = NOT_IN_A_BODY

    def refuse(self, error: HubError) -> None:
        """Answer with this, and take nothing more."""
        raise NotImplementedError

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless the client was refused already."""
        if self.refused or self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self._parsed = False
        self._framing_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # to nothing we speak: the request has no body, is answered as it stands, and ends the connection
        except httptools.HttpParserError:
            self.refuse(self._wrong or errors.InvalidRequest("This isn't valid HTTP."))
            return
        # Of a line without end (a header, a trailer, a chunk's size) the parser tells nothing, and keeps it all.
        self._silent_bytes = 0 if self._parsed else self._silent_bytes + len(data)
        if self._silent_bytes > self.limits.head_bytes:
            self.refuse(errors.HeadTooLarge())
        elif self._framing_bytes > MOST_FRAMING * self.limits.head_bytes:
            self.refuse(errors.InvalidRequest("The body's chunks are mostly something else."))

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._parsed, self._head_bytes = True, 0

    def on_url(self, url: bytes) -> None:
        """Count it."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count it, be it a header or a trailer."""
        self._count(len(name) + len(value) + 4)
        if len(self.headers) >= self.limits.head_fields:
            self._count(self.limits.head_bytes)
        super().on_header(name, value)

    def _count(self, more: int) -> None:
        self._parsed = True
        self._head_bytes += more
        if self._head_bytes > self.limits.head_bytes:
            self._end(errors.HeadTooLarge())

    def on_headers_complete(self) -> None:
        """The head is whole; a body may follow."""
        self._parsed = True
        upgrades = bool(self.parser.should_upgrade())
        wrong = what_is_wrong(self.headers, version=self.parser.get_http_version(), upgrades=upgrades)
        if wrong is not None:
            self._end(errors.InvalidRequest(wrong))
        super().on_headers_complete()  # which raises for a URL that can't be read
        self._framing_bytes = 0
        if upgrades:
            self.cycle.keep_alive = False
        if len(self.pipeline) > self.limits.waiting:  # each takes far more memory than it has bytes
            self._end(errors.InvalidRequest("Too many requests wait on this connection."))

    def _end(self, wrong: HubError) -> NoReturn:
        self._wrong = wrong
        raise ValueError("ends the parsing")

    def on_chunk_header(self) -> None:
        """A chunk begins."""
        self._parsed = True

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._parsed = True
        self._framing_bytes -= (1 + FRAMING_A_BYTE) * len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._parsed, self._framing_bytes = True, NOT_IN_A_BODY
        super().on_message_complete()
