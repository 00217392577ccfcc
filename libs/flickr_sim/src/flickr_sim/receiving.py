"""Take an upload's body in as a stream: text fields are kept, the photo is weighed and hashed and let go.

Memory stays flat however large the photo is; Starlette's own parser would write it to disk first.
"""

from contextlib import aclosing
from typing import Protocol

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers
from starlette.types import Receive

from flickr_sim.errors import Unreadable
from flickr_sim.incoming import BODY_LIMIT, Pairs, ReceivedPhoto, chunks_of, form_pairs
from flickr_sim.multipart import Multipart

UPLOAD_LIMIT = 4 * 1024**3  # what is merely above Flickr's limits is read to its end, and then answered with error 8

Received = tuple[Pairs, ReceivedPhoto | None]


async def receive_upload(headers: Headers, receive: Receive) -> Received:
    """Read a body to its end; return its text fields and its photo. Raises Unreadable for what is no whole form."""
    taker = _taker(headers)
    problem: Unreadable | None = None
    async for chunk in chunks_of(receive, most=UPLOAD_LIMIT):
        # A form that is broken is read to its end all the same: its sender looks at the answer only then.
        if problem is None:
            try:
                taker.take(chunk)
            except Unreadable as error:
                problem = error
    if problem is not None:
        raise problem
    return taker.received()


async def swallow(receive: Receive, at_least: int) -> None:
    """Read so many bytes of a body, or all of it when it is shorter."""
    seen = 0
    async with aclosing(chunks_of(receive, most=UPLOAD_LIMIT)) as chunks:
        async for chunk in chunks:
            seen += len(chunk)
            if seen >= at_least:
                return


class _Taker(Protocol):
    def take(self, chunk: bytes) -> None: ...

    def received(self) -> Received: ...


def _taker(headers: Headers) -> _Taker:
    content_type, options = parse_options_header(headers.get("content-type"))
    if content_type == b"multipart/form-data":
        return Multipart(options.get(b"boundary", b""))
    return _UrlEncoded() if content_type == b"application/x-www-form-urlencoded" else _Nothing()


class _Nothing:
    """A body of any other kind: not looked at."""

    def take(self, chunk: bytes) -> None:
        pass

    def received(self) -> Received:
        return [], None


class _UrlEncoded:
    """A form that can't hold a file."""

    def __init__(self) -> None:
        self._body = bytearray()

    def take(self, chunk: bytes) -> None:
        if len(self._body) + len(chunk) > BODY_LIMIT:
            raise Unreadable(413, "The request body is too large.")
        self._body += chunk

    def received(self) -> Received:
        return form_pairs(self._body.decode("utf-8", "replace")), None
