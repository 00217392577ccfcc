"""The HTTP client for what every job does: Flickr's REST calls and callbacks (docs/adr/0023).

An exchange costs an eighth of what it does with httpx2, which stays for what is rare. As there: no redirects, no
cookies, no proxies from the environment, the URL and the body sent exactly as given, and nothing sent twice.

    async with asyncio.timeout(15), client.call("GET", url, headers=headers) as reply:
        body = await reply.whole(most_bytes=MAX_REPLY_BYTES, unpack=True)

Two errors say what is known: ``NotSent``, and ``BrokenOff`` when the far side may have acted.
"""

import asyncio
import select
import socket
import ssl
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError, RawResponseMessage
from multidict import CIMultiDictProxy
from yarl import URL

from flickrhub_common.http_client import USER_AGENT, tls_context
from flickrhub_common.telemetry import trace_headers

CONNECT_SECONDS = 5.0
KEPT_SECONDS = 30.0
HEAD_BYTES = 256 * 1024
"""What is taken of a reply up to the end of its headers, interim replies included."""

HEADER_BYTES, HEADERS = 8190, 128
"""What is taken of one header, and how many: the driver's own bounds."""

Resolver = AbstractResolver
MakeSocket = Callable[[tuple[Any, ...]], socket.socket]

Reason = Literal[
    "dns_error",
    "tls_error",
    "connection_refused",
    "timeout",
    "connection_failed",
    "connection_reset",
    "protocol_error",
]


class CallFailure(Exception):
    """No whole reply came. ``reason`` is a fixed word for why; it reveals no name or address."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


class NotSent(CallFailure):
    """There was no connection: nothing was sent."""


class BrokenOff(CallFailure):
    """The connection broke, or the reply was no HTTP: the request may have been read."""


class ReplyTooLong(Exception):
    """The reply has more bytes than its reader takes."""


_FAILED: tuple[type[BaseException], ...] = (aiohttp.ClientError, HttpProcessingError, OSError)

_REASONS: tuple[tuple[type[BaseException], Reason], ...] = (
    (aiohttp.ClientConnectorDNSError, "dns_error"),
    (ssl.SSLError, "tls_error"),
    (ConnectionRefusedError, "connection_refused"),
    (TimeoutError, "timeout"),
)
_AFTERWARDS: frozenset[Reason] = frozenset({"connection_reset", "protocol_error"})


def make_call_client(
    *,
    timeout_seconds: float,
    max_connections: int = 100,
    kept_seconds: float = KEPT_SECONDS,
    connect_seconds: float = CONNECT_SECONDS,
    most_reply_bytes: int = HEAD_BYTES,
    most_header_bytes: int = HEADER_BYTES,
    most_headers: int = HEADERS,
    resolver: Resolver | None = None,
    make_socket: MakeSocket | None = None,
    tls: ssl.SSLContext | None = None,
) -> "CallClient":
    """Make a client, within a running loop; its owner closes it (``async with``).

    ``connect_seconds`` is what a connection may take at most, with the wait for a free place, DNS and TLS. For the
    exchange the caller sets the deadline. Connections are kept open for ``kept_seconds`` of idleness. ``resolver``
    is asked for every name (never for an address), and ``make_socket`` makes the socket for each address that is
    dialled, as in ``socket.getaddrinfo``; what they raise that is no OSError goes to the caller as it is.
    A reply of which more than ``most_reply_bytes`` come over the wire, headers and framing included, is broken off.
    """
    seconds = min(timeout_seconds, connect_seconds)
    connector = _Connector(
        most_reply_bytes=most_reply_bytes,
        limit=max_connections,
        keepalive_timeout=kept_seconds,
        ssl=tls or tls_context(),
        resolver=resolver or aiohttp.ThreadedResolver(),
        socket_factory=make_socket,
        use_dns_cache=False,
    )
    session = aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None, connect=seconds, sock_connect=seconds),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": USER_AGENT, "Accept": "*/*"},
        skip_auto_headers=("Content-Type",),
        auto_decompress=False,
        max_line_size=most_header_bytes,
        max_field_size=most_header_bytes,
        max_headers=most_headers,
        trust_env=False,
        middlewares=(_never_again,),
    )
    return CallClient(session)


class CallClient:
    """Makes calls over kept connections."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def __aenter__(self) -> "CallClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    def call(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None) -> "_Call":
        """One request, to be entered (``async with``): the reply when its headers have come.

        The current trace goes with it. Without an ``Accept-Encoding`` among the headers, none is taken. Raises NotSent
        or BrokenOff, and ValueError if the URL or a header can't be sent.
        """
        return _Call(self._session, method, url, {"Accept-Encoding": "identity", **headers, **trace_headers()}, body)


class CallReply:
    """A reply whose headers are there: ``status``, ``headers`` and, to be read once, the body."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status: int = response.status
        self.headers: CIMultiDictProxy[str] = response.headers

    async def whole(self, *, most_bytes: int, unpack: bool = False) -> bytes:
        """All of the body. ``unpack``: of gzip and deflate, if it says so.

        Raises ReplyTooLong when it has more than ``most_bytes``, also unpacked, and BrokenOff.
        """
        body = await self._read(most_bytes)
        if len(body) > most_bytes:
            raise ReplyTooLong
        return _unpacked(body, self.headers.get("Content-Encoding", ""), most_bytes) if unpack else body

    async def beginning(self, *, most_bytes: int) -> bytes:
        """The body as it came, or its first ``most_bytes``; the rest is left with the connection. Raises BrokenOff."""
        return (await self._read(most_bytes))[:most_bytes]

    async def _read(self, most_bytes: int) -> bytes:
        """Up to the end, or to the piece that is one byte too many at the least."""
        content = self._response.content
        with _broken_off(self._response):
            parts = [await content.readany()]
            size = len(parts[0])
            while size <= most_bytes and not content.at_eof():
                parts.append(await content.readany())
                size += len(parts[-1])
        return b"".join(parts)


class _Call:
    """Closes the connection of a reply that wasn't read to its end; else it is kept."""

    def __init__(
        self, session: aiohttp.ClientSession, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> None:
        self._session = session
        self._asked = (method, url, headers, body)
        self._response: aiohttp.ClientResponse | None = None

    async def __aenter__(self) -> CallReply:
        method, url, headers, body = self._asked
        self._response = await self._session.request(
            method, URL(url, encoded=True), headers=headers, data=body, allow_redirects=False
        )
        return CallReply(self._response)

    async def __aexit__(self, *_: object) -> None:
        if self._response is not None:
            self._response.close()


async def _never_again(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keeps the driver from sending a GET anew when its connection ends unanswered: it does so after its own errors."""
    with _broken_off():
        return await handler(request)


@contextmanager
def _broken_off(response: aiohttp.ClientResponse | None = None) -> Iterator[None]:
    """The driver's errors, after the connection was there, as BrokenOff."""
    try:
        yield
    except _FAILED as error:
        raise BrokenOff(_reason(error, response)) from error


def _reason(error: BaseException, response: aiohttp.ClientResponse | None) -> Reason:
    chain = [*_causes(error)]
    if response is not None and response.connection is not None and response.connection.protocol is not None:
        # of a body that was reset the driver says only that it isn't whole
        chain += _causes(response.connection.protocol.exception())
    known = next((name for kind, name in _REASONS if any(isinstance(cause, kind) for cause in chain)), None)
    return known or ("connection_reset" if any(isinstance(cause, OSError) for cause in chain) else "protocol_error")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


class _Connector(aiohttp.TCPConnector):
    """Whatever goes wrong in here, nothing was sent.

    ``_factory``, which makes the protocol of each connection, is the parent's own name: pinned below aiohttp 4, and a
    test fails if the seam moves.
    """

    def __init__(self, *, most_reply_bytes: int, **named: Any) -> None:
        super().__init__(**named)
        loop = asyncio.get_running_loop()
        self._factory: Callable[[], _BoundedReplies] = partial(_BoundedReplies, most_reply_bytes, loop)  # type: ignore[assignment]

    async def connect(self, *args: Any, **named: Any) -> Connection:
        """A kept connection on which nothing has happened since, or a new one."""
        try:
            connection = await super().connect(*args, **named)
            while _is_spent(connection):
                connection.close()
                await asyncio.sleep(0)  # the loop sees what else has ended meanwhile
                connection = await super().connect(*args, **named)
        except _FAILED as error:
            reason = _reason(error, None)
            raise NotSent("connection_failed" if reason in _AFTERWARDS else reason) from error
        return connection


class _BoundedReplies(ResponseHandler):
    """The driver's protocol of a connection, which ends a reply that goes on and on, be it in interim ones."""

    def __init__(self, most_reply_bytes: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._most_reply_bytes = most_reply_bytes
        self._taken = 0
        self._has_headers = False
        self.used = False

    def set_response_params(self, **named: Any) -> None:
        """A request is about to go out."""
        self._taken, self._has_headers, self.used = 0, False, True
        super().set_response_params(**named)

    def feed_data(self, data: tuple[RawResponseMessage, aiohttp.StreamReader], size: int = 0) -> None:
        """The headers of a reply are there."""
        self._has_headers = self._has_headers or data[0].code >= 200
        super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        """Some of a reply has come."""
        self._taken += len(data)
        super().data_received(data)
        most = self._most_reply_bytes if self._has_headers else min(HEAD_BYTES, self._most_reply_bytes)
        if self._taken > most and self.transport is not None:
            self.transport.abort()
            self.set_exception(HttpProcessingError(message="the reply is too long"))


def _is_spent(connection: Connection) -> bool:
    """Whether a kept connection has ended, or something came over it that nobody asked for.

    A request on it would be lost, and a write be in doubt; or it would get the answer to another.
    """
    protocol = connection.protocol
    if not isinstance(protocol, _BoundedReplies) or not protocol.used:
        return False
    kept = connection.transport.get_extra_info("socket") if connection.transport is not None else None
    if kept is None or protocol.should_close:
        return True
    unseen = select.poll()  # by the loop, which may be busy
    unseen.register(kept.fileno(), select.POLLIN)
    return bool(unseen.poll(0))


def _unpacked(body: bytes, coding: str, most_bytes: int) -> bytes:
    """What was compressed; as it is if it wasn't, or in a way nobody asked for."""
    coding = coding.strip().lower()
    if not body or coding not in {"gzip", "x-gzip", "deflate"}:
        return body
    # Of deflate there are two readings: with zlib's header, which is right, and without.
    windows = [zlib.MAX_WBITS, -zlib.MAX_WBITS] if coding == "deflate" else [16 + zlib.MAX_WBITS]
    for window in windows:
        unpacking = zlib.decompressobj(window)
        try:
            unpacked = unpacking.decompress(body, most_bytes + 1)
        except zlib.error:
            continue
        if len(unpacked) > most_bytes:
            raise ReplyTooLong
        if unpacking.eof:
            return unpacked
    raise BrokenOff("protocol_error")
