"""HTTP clients: with ``upload_client.py`` the only module that names the driver (httpx2; docs/adr/0005-drivers.md).

``make_http_client`` is for places we configure (auth, Flickr); ``make_guarded_client`` for addresses that come from a
client. The guarded one resolves a name once, refuses it if any of its addresses isn't permitted, and dials the very
address it checked, while ``Host``, TLS name and certificate check stay those of the URL: so a second DNS answer can't
smuggle anything in.
"""

import asyncio
import ipaddress
import ssl
from collections.abc import Iterable, Iterator
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpcore2
import httpx2
from opentelemetry.instrumentation.utils import suppress_http_instrumentation

from flickrhub_common.addresses import REFUSED_ADDRESS, AddressPolicy, IpAddress, RefusedUrl, addresses_of
from flickrhub_common.lookups import Lookups
from flickrhub_common.telemetry import trace_headers

USER_AGENT = "FlickrHub/0.1"

HttpClient = httpx2.AsyncClient
HttpReply = httpx2.Response
HttpError = httpx2.HTTPError
ConnectFailure = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
"""Errors that say the request was never sent."""
InvalidUrl = httpx2.InvalidURL
"""A URL the driver can't make a request of; no ``HttpError``."""

GUARDED_REPLY_BYTES = 256 * 1024
"""What a guarded client takes from the wire up to the end of a reply's headers, and in all unless told otherwise: past
this no header storm is worth parsing."""


GUARDED_KEPT_SECONDS = 4.0
"""How long an idle connection is kept: less than the 5 s after which Node.js closes it, lest they meet on the way."""


class NameNotResolved(httpcore2.ConnectError):
    """DNS has no address for the host."""


_FAILURE_NAMES: tuple[tuple[type[BaseException], str], ...] = (
    (NameNotResolved, "dns_error"),
    (ssl.SSLError, "tls_error"),
    (ConnectionRefusedError, "connection_refused"),
    (httpx2.TimeoutException, "timeout"),
    (httpx2.ConnectError, "connection_failed"),
    (httpx2.NetworkError, "connection_reset"),
    (httpx2.ProtocolError, "protocol_error"),
)


def failure_name(error: BaseException) -> str:
    """A fixed word for why no reply came, from the error and its causes; it reveals no name or address.

    One of ``dns_error``, ``tls_error``, ``connection_refused``, ``timeout``, ``connection_failed``,
    ``connection_reset``, ``protocol_error``, ``transport_error``.
    """
    chain = list(_causes(error))
    for kind, name in _FAILURE_NAMES:
        if any(isinstance(cause, kind) for cause in chain):
            return name
    return "transport_error"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it comes from, members of groups included.

    Contexts count as well as causes: the driver's pool raises some of its errors ``from None``.
    """
    yield error
    for below in (*getattr(error, "exceptions", ()), error.__cause__ or error.__context__):
        if below is not None:
            yield from _causes(below)


def no_cookies() -> CookieJar:
    """A jar that keeps nothing: a cookie set for one user's request would go out with the next user's."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=()))


@cache
def tls_context() -> ssl.SSLContext:
    """What clients of configured addresses trust: the system's certificates, read once (that takes 30 ms)."""
    return ssl.create_default_context()


async def _add_trace(request: httpx2.Request) -> None:
    request.headers.update(trace_headers())


def as_sent(url: str) -> str:
    """A URL as it goes out: its host in IDNA, what isn't ASCII percent-encoded. Raises InvalidUrl."""
    return str(httpx2.URL(url))


def make_http_client(*, timeout_seconds: float, max_connections: int = 100, base_url: str = "") -> HttpClient:
    """A pooled client for configured addresses: no redirects, no proxies from the environment, the trace passed on."""
    return httpx2.AsyncClient(
        base_url=base_url,
        verify=tls_context(),
        timeout=httpx2.Timeout(timeout_seconds, connect=min(timeout_seconds, 5.0)),
        limits=httpx2.Limits(
            max_connections=max_connections, max_keepalive_connections=max_connections, keepalive_expiry=30
        ),
        follow_redirects=False,
        trust_env=False,
        headers={"User-Agent": USER_AGENT},
        cookies=no_cookies(),
        event_hooks={"request": [_add_trace]},
    )


def make_guarded_client(
    policy: AddressPolicy,
    *,
    timeout_seconds: float,
    max_connections: int = 100,
    most_reply_bytes: int = GUARDED_REPLY_BYTES,
) -> HttpClient:
    """A client for addresses that others chose; it dials only what ``policy`` permits.

    A reply of which more than ``most_reply_bytes`` come over the wire, headers included, ends in an HttpError.
    A refused address raises RefusedUrl. The caller sets the deadline of the whole exchange and reads the reply as a
    stream, bounded; the body is never decompressed (``Accept-Encoding: identity`` and raw reading). The caller also
    makes the span: the automatic one would hold the whole URL, whose query may hold a secret of its owner's.
    """
    return httpx2.AsyncClient(
        transport=_GuardedTransport(policy, max_connections, most_reply_bytes),
        timeout=httpx2.Timeout(timeout_seconds),
        follow_redirects=False,
        trust_env=False,
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity", "Accept": "*/*"},
        cookies=no_cookies(),
    )


class _GuardedTransport(httpx2.AsyncHTTPTransport):
    """httpx2's transport over a connection pool whose connections are made by the guard.

    ``_pool`` is the parent's own name for it: pinned below httpx2 3, and a test fails if the seam moves.
    """

    def __init__(self, policy: AddressPolicy, max_connections: int, most_reply_bytes: int) -> None:
        self._most = most_reply_bytes
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=max_connections,
            max_keepalive_connections=max_connections,
            keepalive_expiry=GUARDED_KEPT_SECONDS,
            network_backend=_GuardedBackend(policy),
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        with suppress_http_instrumentation():
            reply = await super().handle_async_request(request)
        stream = reply.extensions.get("network_stream")
        if isinstance(stream, _BoundedStream):
            stream.expect_body(self._most)
        return reply


class GuardedNames:
    """Finds the addresses of names that others chose, and judges them."""

    _DIALLED = 4

    def __init__(self, policy: AddressPolicy) -> None:
        self._policy = policy
        self._lookups = Lookups()

    async def addresses(self, host: str, port: int) -> tuple[IpAddress, ...]:
        """The first few addresses of a name, in the resolver's order, without repetitions.

        Raises RefusedUrl if any of them all isn't permitted, and OSError or ValueError if the name isn't found.
        """
        found = await self._lookups.addresses(host, port)
        addresses = tuple(dict.fromkeys(ipaddress.ip_address(text.partition("%")[0]) for text in found))
        if not self._policy.permits_all(addresses):
            raise RefusedUrl(REFUSED_ADDRESS)
        return addresses[: self._DIALLED]


class _GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Resolves, judges, dials."""

    _SECONDS_EACH = 4.0

    def __init__(self, policy: AddressPolicy) -> None:
        self._policy = policy
        self._dialler = httpcore2.AnyIOBackend()
        self._names = GuardedNames(policy)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the driver's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        addresses = addresses_of(host, self._policy) or await self._resolved(host, port)
        if len(addresses) > 1:  # a silent one leaves time for the next
            timeout = min(timeout or self._SECONDS_EACH, self._SECONDS_EACH)
        failure: Exception = NameNotResolved("the name has no address")
        for address in addresses:
            try:
                stream = await self._dialler.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
            else:
                return _BoundedStream(stream)
        raise failure

    async def connect_unix_socket(self, path: str, *_: object, **__: object) -> httpcore2.AsyncNetworkStream:
        raise RefusedUrl("must be http or https")

    async def _resolved(self, host: str, port: int) -> tuple[IpAddress, ...]:
        try:
            return await self._names.addresses(host, port)
        except RefusedUrl:  # a ValueError, too
            raise
        except (OSError, ValueError) as error:
            raise NameNotResolved("the name can't be resolved") from error


class _BoundedStream(httpcore2.AsyncNetworkStream):
    """A connection that gives up on a reply longer than the limit, so that endless headers and interim replies end.

    The count starts anew with every write, that is with every request; the limit of bodies holds from the end of the
    headers. It reads up to 256 KiB where the driver asks for 64: a photo takes a quarter less CPU time.
    """

    _READ_BYTES = 256 * 1024

    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream
        self._read = 0
        self._most = GUARDED_REPLY_BYTES

    def expect_body(self, most_reply_bytes: int) -> None:
        """The headers are over: from here on this is the limit of the whole reply."""
        self._most = most_reply_bytes

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        if self._read >= self._most:
            raise httpcore2.RemoteProtocolError("the reply is too long")
        data = await self._stream.read(max(max_bytes, min(self._READ_BYTES, self._most - self._read)), timeout)
        self._read += len(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        self._read, self._most = 0, GUARDED_REPLY_BYTES
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore2.AsyncNetworkStream:
        try:
            return _BoundedStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))
        except asyncio.CancelledError:
            # The driver closes after an error, but not when a deadline ends a handshake: the socket would stay open.
            await self._stream.aclose()
            raise

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
