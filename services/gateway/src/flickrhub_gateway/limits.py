"""How many requests a client may make, as values and one pure decision."""

import ipaddress
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

from flickrhub_common.addresses import IpAddress, IpNetwork

MINUTE = 60.0
_ROUNDING = 1e-4
"""Seconds, and thousandths of a request: what adding up thousands of fractions may be off by."""
_LONGEST_ADDRESS = 64
"""Characters of an address as proxies write it, with brackets, a zone and a port. What is longer isn't kept: it is
whatever a client wrote."""
_CLOCKS = 1.0
"""Seconds a clock may go back before what was noted by it is forgotten."""


class Whose(StrEnum):
    """What a limit goes by."""

    ADDRESS = "address"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Bucket:
    """One limit of one client: ``name`` is its address or user_id, ``per_minute`` what may follow at once, too."""

    whose: Whose
    name: str
    per_minute: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a client stands with the limit that is nearest; times are seconds.

    ``full_in`` is how long until all of the limit may follow at once again, ``wait`` how long until one more may; 0 if
    this one was let in.
    """

    bucket: Bucket
    remaining: int
    full_in: float
    wait: float = 0.0

    @property
    def retry_after(self) -> int | None:
        """Whole seconds for ``Retry-After``; None for a request that was let in."""
        return max(1, math.ceil(self.wait)) if self.wait else None

    def after(self, seconds: float) -> "Standing":
        """The same refusal, a moment later."""
        return replace(self, wait=max(self.wait - seconds, _ROUNDING), full_in=max(self.full_in - seconds, 0.0))


def decide(buckets: Sequence[Bucket], full_at: Sequence[float], *, now: float) -> Standing:
    """Whether one more request is let in by all its buckets, which are full again at these moments.

    This is GCRA: a bucket empties by a share of a minute for each request and fills up as time goes by, so that one
    number says it all. The Lua script of ``adapters/request_counts.py`` does the same.
    """
    standings = [_standing(bucket, noted(at, now) - now) for bucket, at in zip(buckets, full_at, strict=True)]
    refused = [standing for standing in standings if standing.wait]
    return max(refused, key=lambda one: one.wait) if refused else min(standings, key=lambda one: one.remaining)


def noted(full_at: float, now: float) -> float:
    """When a bucket is full again. A moment that no request can have left, as the clock went back, says nothing."""
    return max(full_at, now) if full_at <= now + MINUTE + _CLOCKS else now


def _standing(bucket: Bucket, full_in: float) -> Standing:
    share = MINUTE / bucket.per_minute
    wait = full_in + share - MINUTE
    if wait > _ROUNDING:
        return Standing(bucket=bucket, remaining=0, full_in=full_in, wait=wait)
    remaining = math.floor((MINUTE - full_in) / share - 1 + 10 * _ROUNDING)
    return Standing(bucket=bucket, remaining=remaining, full_in=full_in + share)


def client_address(peer: str | None, forwarded: Iterable[str], trusted: Sequence[IpNetwork]) -> str:
    """Whom a request is counted for: the peer, or whom trusted proxies name; IPv6 by its /64.

    ``forwarded`` are the values of X-Forwarded-For. It is read from the right, as far as each word is a trusted
    proxy's: what stands left of the first other address may be anybody's invention.
    """
    found = _address(peer or "")
    hops = [hop for value in forwarded for hop in value.split(",")]
    while found is not None and hops and any(found in network for network in trusted):
        named = _address(hops.pop())
        if named is None:
            break
        found = named
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(found) >> 64 << 64, 64)))
    return str(found or "unknown")


def _address(text: str) -> IpAddress | None:
    """An address with or without a port, as proxies write it."""
    text = text.strip()
    return _read(text) if len(text) <= _LONGEST_ADDRESS else _read.__wrapped__(text)


@lru_cache(maxsize=4096)
def _read(text: str) -> IpAddress | None:
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, ipaddress.IPv6Address) else found
