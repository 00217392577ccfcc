"""What becomes of a message after its handler: one pure decision, acted on in ``broker.py``.

Success is acknowledged. A message that nobody can read is dead at once, as is one of which nothing can come, and one
that outlived its consumer again and again (shortly before the broker's own delivery limit, so that somebody can still
be told). A retryable error waits in the delay ladder without counting. Any other error is a crash of ours: it is
repeated a few times with growing waits, then the message is dead, so that one poisonous message neither spins nor
blocks the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from flickrhub_common.errors import HubError

MAX_CRASHES = 5
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 16.0
WAITS_HEADER = "x-waits"
CRASHES_HEADER = "x-crashes"
MAX_HEADERS = 32
MOST_COUNTED = 2**31 - 1
"""A count goes no further: somebody else's may be at the end of what AMQP can carry."""
MAX_HEADER_CHARACTERS = 512

Headers = dict[str, Any]


class Undecodable(ValueError):
    """A message nobody here can read; its text says why without repeating the content."""


class Futile(Exception):
    """A message that can be read, but of which nothing can come, now or later; its text says why, publicly."""


class BroughtBackTooOften(Exception):
    """A message that came back again and again: whoever took it died or lost its connection each time."""


@dataclass(frozen=True)
class Done:
    """Acknowledge."""


@dataclass(frozen=True)
class Postpone:
    """Send it round through the delay ladder, then acknowledge."""

    seconds: float
    headers: Headers


@dataclass(frozen=True)
class Bury:
    """Send it to the dead letters with this reason, then acknowledge."""

    reason: str
    headers: Headers


def decide(error: Exception | None, headers: Mapping[str, Any]) -> Done | Postpone | Bury:
    """Decide from the handler's error, if any, and the message's headers."""
    if error is None:
        return Done()
    kept = own_headers(headers)
    if isinstance(error, Undecodable):
        return Bury(f"unreadable: {error}", kept)
    if isinstance(error, Futile):
        return Bury(f"futile: {error}", kept)
    if isinstance(error, BroughtBackTooOften):
        return Bury("brought back too often: its consumer ended every time", kept)
    counter = WAITS_HEADER if isinstance(error, HubError) and error.retryable else CRASHES_HEADER
    count = _count(headers, counter)
    if counter == CRASHES_HEADER and count + 1 >= MAX_CRASHES:
        return Bury(f"its handler crashed {MAX_CRASHES} times: {type(error).__name__}", kept)
    wait = min(FIRST_WAIT_SECONDS * 2 ** min(count, 10), LONGEST_WAIT_SECONDS)
    return Postpone(wait, {**kept, counter: min(count + 1, MOST_COUNTED)})


def own_headers(headers: Mapping[str, Any]) -> Headers:
    """A message's headers as they may travel on.

    Without those the broker keeps for itself (``x-death`` and the like), and without what nobody of us writes: long
    texts, more than 32 besides our counts, and all types but text and whole numbers. The driver can't send again all
    that it can read (double floats, bytes), and all headers share one AMQP frame: one too large costs the connection.
    """
    small = {name: value for name, value in headers.items() if _is_small(value)}
    counts = {name: small[name] for name in (WAITS_HEADER, CRASHES_HEADER) if name in small}
    others = ((name, value) for name, value in small.items() if not name.startswith("x-"))
    return counts | dict(islice(others, MAX_HEADERS))


def _is_small(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_HEADER_CHARACTERS
    return isinstance(value, int) and -(2**63) <= value < 2**63


def _count(headers: Mapping[str, Any], name: str) -> int:
    value = headers.get(name, 0)
    return value if isinstance(value, int) and value > 0 else 0
