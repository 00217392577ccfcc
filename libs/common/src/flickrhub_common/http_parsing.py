"""What a client may send: uvicorn's parsing, with an end to heads, lines and requests that wait."""

from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from flickrhub_common import errors
from flickrhub_common.errors import HubError
from flickrhub_common.http_limits import ConnectionLimits


class BoundedParsing(HttpToolsProtocol):
    """Ends the parsing by ``refuse``, once, when a client sends what is no HTTP or more than it may."""

    limits = ConnectionLimits()

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.refused = False
        self._parsed = self._too_large = False
        self._head_bytes = self._silent_bytes = 0

    def refuse(self, error: HubError) -> None:
        """Answer with this, and take nothing more."""
        raise NotImplementedError

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless the client was refused already."""
        if self.refused or self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self._parsed = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # to nothing we speak: the request is answered as it stands
        except httptools.HttpParserError:
            unreadable = errors.InvalidRequest("This isn't valid HTTP.")
            self.refuse(errors.HeadTooLarge() if self._too_large else unreadable)
            return
        # Of a line without end (a header, a trailer, a chunk's size) the parser tells nothing, and keeps it all.
        self._silent_bytes = 0 if self._parsed else self._silent_bytes + len(data)
        if self._silent_bytes > self.limits.head_bytes:
            self.refuse(errors.HeadTooLarge())

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
            self._too_large = True
            raise ValueError("too large")  # ends the parsing

    def on_headers_complete(self) -> None:
        """The head is whole; a body may follow."""
        self._parsed = True
        super().on_headers_complete()  # which raises for a URL that can't be read
        if len(self.pipeline) > self.limits.waiting:  # each takes far more memory than it has bytes
            raise ValueError("too many")  # ends the parsing

    def on_chunk_header(self) -> None:
        """A chunk begins."""
        self._parsed = True

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._parsed = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._parsed = True
        super().on_message_complete()
