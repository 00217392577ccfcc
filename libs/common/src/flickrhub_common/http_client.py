"""HTTP clients: the only module that names the driver (httpx2; docs/adr/0005-drivers.md).

``make_http_client`` is for places we configure (auth, Flickr); ``make_guarded_client`` for addresses that come from a
client. The guarded one resolves a name once, refuses it if any of its addresses isn't permitted, and dials the very
address it checked, while ``Host``, TLS name and certificate check stay those of the URL: so a second DNS answer can't
smuggle anything in.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Iterable

import httpcore2
import httpx2

from flickrhub_common.addresses import REFUSED_ADDRESS, AddressPolicy, IpAddress, RefusedUrl, literal_address
from flickrhub_common.telemetry import trace_headers

USER_AGENT = "FlickrHub/0.1"

HttpClient = httpx2.AsyncClient
HttpError = httpx2.HTTPError
ConnectFailure = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
"""Errors that say the request was never sent."""


async def _add_trace(request: httpx2.Request) -> None:
    request.headers.update(trace_headers())


def make_http_client(*, timeout_seconds: float, max_connections: int = 100, base_url: str = "") -> HttpClient:
    """A pooled client for configured addresses: no redirects, no proxies from the environment, the trace passed on."""
    return httpx2.AsyncClient(
        base_url=base_url,
        timeout=httpx2.Timeout(timeout_seconds, connect=min(timeout_seconds, 5.0)),
        limits=httpx2.Limits(
            max_connections=max_connections, max_keepalive_connections=max_connections, keepalive_expiry=30
        ),
        follow_redirects=False,
        trust_env=False,
        headers={"User-Agent": USER_AGENT},
        event_hooks={"request": [_add_trace]},
    )


def make_guarded_client(policy: AddressPolicy, *, timeout_seconds: float, max_connections: int = 100) -> HttpClient:
    """A client for addresses that others chose; it dials only what ``policy`` permits.

    A refused address raises RefusedUrl. The caller sets the deadline of the whole exchange and reads the reply as a
    stream, bounded; the body is never decompressed (``Accept-Encoding: identity`` and raw reading).
    """
    return httpx2.AsyncClient(
        transport=_GuardedTransport(policy, max_connections),
        timeout=httpx2.Timeout(timeout_seconds),
        follow_redirects=False,
        trust_env=False,
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity", "Accept": "*/*"},
    )


class _GuardedTransport(httpx2.AsyncHTTPTransport):
    """httpx2's transport over a connection pool whose connections are made by the guard.

    ``_pool`` is the parent's own name for it: pinned below httpx2 3, and a test fails if the seam moves.
    """

    def __init__(self, policy: AddressPolicy, max_connections: int) -> None:
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=max_connections,
            max_keepalive_connections=max_connections,
            keepalive_expiry=15,
            network_backend=_GuardedBackend(policy),
        )


class _GuardedBackend(httpcore2.AsyncNetworkBackend):
    def __init__(self, policy: AddressPolicy) -> None:
        self._policy = policy
        self._dialler = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the driver's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        addresses = await _resolve(host, port)
        if not self._policy.permits_all(addresses):
            raise RefusedUrl(REFUSED_ADDRESS)
        failure: Exception = httpcore2.ConnectError("the name has no address")
        for address in addresses:
            try:
                return await self._dialler.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure

    async def connect_unix_socket(self, path: str, *_: object, **__: object) -> httpcore2.AsyncNetworkStream:
        raise RefusedUrl("must be http or https")


async def _resolve(host: str, port: int) -> list[IpAddress]:
    """All addresses of a host, in the resolver's order, without repetitions."""
    literal = literal_address(host)
    if literal is not None and not host.rstrip(".").lower().endswith("localhost"):
        return [literal]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore2.ConnectError("the name can't be resolved") from error
    return list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))
