"""Calls to addresses that others chose, over the quick client (docs/adr/0011-the-guarded-client.md).

As in ``http_client.py``, a name is resolved once and refused if any of its addresses isn't permitted; what is dialled
is the very address that was judged, so a second DNS answer can't smuggle anything in.
"""

import ipaddress
import socket
import ssl
from typing import Any

from flickrhub_common.addresses import REFUSED_ADDRESS, AddressPolicy, IpAddress, RefusedUrl, addresses_of
from flickrhub_common.call_client import CallClient, Resolver, make_call_client
from flickrhub_common.http_client import GUARDED_KEPT_SECONDS, GuardedNames

MOST_CALL_REPLY_BYTES = 1024 * 1024
"""More than the driver may take at once before its reader, who wants much less, can stop it."""
HEADER_BYTES, HEADERS = 100 * 1024, 1000
"""What strangers' servers send, and more; all headers of a reply together are bounded by the client."""


def make_guarded_call_client(
    policy: AddressPolicy, *, timeout_seconds: float, max_connections: int = 100
) -> CallClient:
    """The quick client for addresses that others chose; it dials only what ``policy`` permits.

    A refused address raises RefusedUrl. The URL must have passed ``check_url``, and the caller reads the reply bounded,
    under a deadline for all of the exchange.
    """
    return make_call_client(
        timeout_seconds=timeout_seconds,
        connect_seconds=timeout_seconds,
        max_connections=max_connections,
        kept_seconds=GUARDED_KEPT_SECONDS,
        most_reply_bytes=MOST_CALL_REPLY_BYTES,
        most_header_bytes=HEADER_BYTES,
        most_headers=HEADERS,
        resolver=_PermittedNames(policy),
        make_socket=_Dialled(policy).socket,
        tls=ssl.create_default_context(),
    )


class _PermittedNames(Resolver):
    """The addresses of names, for the driver; the driver doesn't ask about addresses."""

    def __init__(self, policy: AddressPolicy) -> None:
        self._policy = policy
        self._names = GuardedNames(policy)

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[Any]:
        found = addresses_of(host, self._policy) or await self._found(host, port)
        return [_entry(host, port, address) for address in found]

    async def _found(self, host: str, port: int) -> tuple[IpAddress, ...]:
        try:
            found = await self._names.addresses(host, port)
        except RefusedUrl:  # a ValueError, too
            raise
        except ValueError as error:
            raise OSError("the name can't be resolved") from error
        if not found:
            raise OSError("the name has no address")
        return found

    async def close(self) -> None:
        """There is nothing to close."""


class _Dialled:
    """Judges once more what is about to be dialled, whoever found it: an address that the URL spells, too."""

    def __init__(self, policy: AddressPolicy) -> None:
        self._policy = policy

    def socket(self, entry: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, address = entry
        if not self._policy.permits(ipaddress.ip_address(address[0])):
            raise RefusedUrl(REFUSED_ADDRESS)
        return socket.socket(family=family, type=kind, proto=protocol)


def _entry(host: str, port: int, address: IpAddress) -> dict[str, Any]:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return {"hostname": host, "host": str(address), "port": port, "family": family, "proto": 0, "flags": numeric}
