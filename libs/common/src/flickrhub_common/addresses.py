"""Which addresses the hub may call on a client's behalf: pure decisions, the same at enqueue and at send.

The ranges and traps are those of facts/webhooks.md section 4 (Svix, smokescreen and Python's own ``is_global``, which
lets NAT64, 6to4 and multicast through). A URL has to keep to a form so narrow that no two parsers can read it
differently: what is judged here is what the driver dials, and a test compares the two over thousands of odd ones.
"""

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass

import idna

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_URL_LENGTH = 2048
WIDEST = {4: 8, 6: 7}
"""Prefix lengths: 10.0.0.0/8 and fc00::/7 are the largest networks that anybody has to himself."""
MAX_HOST_LENGTH = 253
REFUSED_ADDRESS = "its address isn't public"
NO_HOST = "needs a host and a valid port"
NO_NAME = "needs a host that is a name of the DNS or an address"
ODD_ADDRESS = "must write its address in the usual form"

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
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_LOOPBACK = (ipaddress.IPv4Address("127.0.0.1"), ipaddress.IPv6Address("::1"))
_URL = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]*)(?:[/?#].*)?", re.IGNORECASE | re.DOTALL)
_AUTHORITY = re.compile(r"(?P<host>\[[^\[\]]*\]|[^\[\]:]*)(?::(?P<port>[0-9]{0,5}))?")
_LABEL = re.compile(r"[a-z0-9_-]{1,63}")
_NUMBER = r"(?:0[xX][0-9a-fA-F]*|[0-9]+)"
_ODD_LITERAL = re.compile(rf"{_NUMBER}(?:\.{_NUMBER}){{0,3}}")
_ENDS_IN_NUMBER = re.compile(rf"(?:.*\.)?{_NUMBER}\.?")


class RefusedUrl(ValueError):
    """A URL the hub won't call; the message is a fixed phrase that reveals no address."""


@dataclass(frozen=True)
class AddressPolicy:
    """Public addresses, and what ``allowed`` lists besides."""

    allowed: tuple[IpNetwork, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "AddressPolicy":
        """Read a comma-separated list of CIDRs. Raises ValueError, also for networks wider than any private one."""
        try:
            networks = tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
        except ValueError:
            raise ValueError("must be a comma-separated list of networks such as 10.0.0.0/8") from None
        if any(network.prefixlen < WIDEST[network.version] for network in networks):
            raise ValueError("a network wider than a /8 (of IPv6 a /7) would allow too much")
        if any(
            network.overlaps(inside) for network in networks if network.version == 6 for inside in (_MAPPED, _NAT64)
        ):
            raise ValueError("networks of IPv4 must be written as such, 10.0.0.0/8 and not ::ffff:10.0.0.0/104")
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
    addresses_of(host_of(url), policy)


def host_of(url: str) -> str:
    """The host that a client dials for this URL: IDNA in lower case, or an address without brackets.

    Raises RefusedUrl for everything but the plain form ``http(s)://<name or address>[:port][/…]``.
    """
    if len(url) > MAX_URL_LENGTH:
        raise RefusedUrl(f"is longer than {MAX_URL_LENGTH} characters")
    if any(ch <= " " or ch == "\x7f" or ch == "\\" for ch in url):
        raise RefusedUrl("holds a space, control character or backslash")
    if any("\ud800" <= ch <= "\udfff" for ch in url):
        raise RefusedUrl("isn't text")
    if not re.match("https?:", url, re.IGNORECASE):
        raise RefusedUrl("must be http or https")
    whole = _URL.fullmatch(url)
    if whole is None:
        raise RefusedUrl(NO_HOST)
    if "@" in whole["authority"]:
        raise RefusedUrl("must not carry a user name or password")
    parts = _AUTHORITY.fullmatch(whole["authority"])
    if parts is None or not parts["host"] or not 1 <= int(parts["port"] or 80) <= 65535:
        raise RefusedUrl(NO_HOST)
    return _ipv6_of(parts["host"]) if parts["host"].startswith("[") else _name_of(parts["host"])


def addresses_of(host: str, policy: AddressPolicy) -> tuple[IpAddress, ...] | None:
    """What a host stands for that needs no DNS; None for a name. Raises RefusedUrl if it isn't permitted.

    ``localhost`` and what ends so is loopback whatever a resolver says (RFC 6761).
    """
    if re.fullmatch(r"(.*\.)?localhost\.?", host):
        permitted = tuple(address for address in _LOOPBACK if policy.permits(address))
        if not permitted:
            raise RefusedUrl(REFUSED_ADDRESS)
        return permitted
    literal = literal_address(host)
    if literal is not None and not policy.permits(literal):
        raise RefusedUrl(REFUSED_ADDRESS)
    if ":" not in host and _ENDS_IN_NUMBER.fullmatch(host) and host != str(literal):
        raise RefusedUrl(ODD_ADDRESS)
    return None if literal is None else (literal,)


def literal_address(host: str) -> IpAddress | None:
    """The address a host spells out, also in the odd forms resolvers take (``127.1``, ``0x7f.1``, ``2130706433``)."""
    name = host.rstrip(".")
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


def _ipv6_of(bracketed: str) -> str:
    text, zone, _ = bracketed[1:-1].partition("%")
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        raise RefusedUrl(NO_HOST) from None
    if zone:  # only addresses of one link have one
        raise RefusedUrl(REFUSED_ADDRESS)
    return text


def _name_of(text: str) -> str:
    name = text.lower()
    if len(name) <= MAX_HOST_LENGTH + 1 and (not text.isascii() or re.search(r"(^|\.)xn--", name)):
        try:
            name = idna.encode(name).decode("ascii")
        except UnicodeError:  # of which the package's own errors are
            raise RefusedUrl(NO_NAME) from None
    bare = name.removesuffix(".")
    if len(bare) > MAX_HOST_LENGTH or not all(_LABEL.fullmatch(label) for label in bare.split(".")):
        raise RefusedUrl(NO_NAME)
    return name


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
