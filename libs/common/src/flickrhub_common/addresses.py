"""Which addresses the hub may call on a client's behalf: pure decisions, the same at enqueue and at send.

The ranges and traps are those of facts/webhooks.md section 4 (Svix, smokescreen and Python's own ``is_global``, which
lets NAT64, 6to4 and multicast through).
"""

import ipaddress
import re
import socket
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_URL_LENGTH = 2048
REFUSED_ADDRESS = "its address isn't public"

_NEVER = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.88.99.0/24",
        "192.0.0.0/24",
        "168.63.129.16/32",
        "2002::/16",
        "fec0::/10",
        "3fff::/20",
        "5f00::/16",
        "64:ff9b:1::/48",
        "::/96",
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_OTHER_DOTS = str.maketrans(dict.fromkeys("\u3002\uff0e\uff61", "."))
_ODD_LITERAL = re.compile(r"(0[xX][0-9a-fA-F]*|\d+)(\.(0[xX][0-9a-fA-F]*|\d+)){0,3}")


class RefusedUrl(ValueError):
    """A URL the hub won't call; the message is a fixed phrase that reveals no address."""


@dataclass(frozen=True)
class AddressPolicy:
    """Public addresses, and what ``allowed`` lists besides."""

    allowed: tuple[IpNetwork, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "AddressPolicy":
        """Read a comma-separated list of CIDRs. Raises ValueError, also for a ``/0``, which would allow everything."""
        try:
            networks = tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
        except ValueError:
            raise ValueError("must be a comma-separated list of networks such as 10.0.0.0/8") from None
        if any(network.prefixlen == 0 for network in networks):
            raise ValueError("a /0 would allow every address")
        return cls(networks)

    def permits(self, address: IpAddress) -> bool:
        """Whether this very address may be dialled."""
        inner = _unwrap(address)
        if any(inner in network or address in network for network in self.allowed):
            return True
        return _is_public(inner)

    def permits_all(self, addresses: Iterable[IpAddress]) -> bool:
        """Whether a name with these addresses may be called: one bad address spoils it."""
        return all(self.permits(address) for address in addresses)


def check_url(url: str, policy: AddressPolicy) -> None:
    """Refuse what can be refused without asking DNS. Raises RefusedUrl with a phrase such as "needs a host"."""
    if len(url) > MAX_URL_LENGTH:
        raise RefusedUrl(f"is longer than {MAX_URL_LENGTH} characters")
    if any(ch <= " " or ch == "\x7f" or ch == "\\" for ch in url):
        raise RefusedUrl("holds a space, control character or backslash")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise RefusedUrl("isn't a URL") from error
    if parts.scheme not in {"http", "https"}:
        raise RefusedUrl("must be http or https")
    if parts.username is not None or parts.password is not None:
        raise RefusedUrl("must not carry a user name or password")
    if not host or port == 0:
        raise RefusedUrl("needs a host and a valid port")
    literal = literal_address(host)
    if literal is not None and not policy.permits(literal):
        raise RefusedUrl(REFUSED_ADDRESS)


def literal_address(host: str) -> IpAddress | None:
    """The address a host spells out, also in the odd forms resolvers take (``127.1``, ``0x7f.1``, ``2130706433``).

    Compatibility digits and the dots that IDNA reads as dots (``127\u30020\u30020\u30021``) count as the plain ones.
    """
    name = unicodedata.normalize("NFKC", host.translate(_OTHER_DOTS)).rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return ipaddress.IPv4Address("127.0.0.1")
    try:
        return ipaddress.ip_address(name.strip("[]").partition("%")[0])
    except ValueError:
        pass
    if _ODD_LITERAL.fullmatch(name):
        try:
            return ipaddress.IPv4Address(socket.inet_aton(name))
        except OSError:
            return None
    return None


def _unwrap(address: IpAddress) -> IpAddress:
    """The IPv4 address that an IPv6 form carries inside, where it carries one."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_public(address: IpAddress) -> bool:
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    return not any(address in network for network in _NEVER if network.version == address.version)
