"""What becomes of a message after its handler: one pure decision, acted on in ``broker.py``.

Success is acknowledged. A message nobody can read is dead at once. A retryable error waits in the delay ladder without
counting. Any other error is a crash of ours: it is repeated a few times with growing waits, then the message is dead,
so that one poisonous message neither spins nor blocks the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flickrhub_common.errors import HubError

MAX_CRASHES = 5
LONGEST_WAIT_SECONDS = 16.0
WAITS_HEADER = "x-waits"
CRASHES_HEADER = "x-crashes"

Headers = dict[str, Any]


class Undecodable(ValueError):
    """A message nobody here can read; its text says why without repeating the content."""


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
    counter = WAITS_HEADER if isinstance(error, HubError) and error.retryable else CRASHES_HEADER
    count = _count(headers, counter)
    if counter == CRASHES_HEADER and count + 1 >= MAX_CRASHES:
        return Bury(f"its handler crashed {MAX_CRASHES} times: {type(error).__name__}", kept)
    return Postpone(min(2.0 ** min(count, 10), LONGEST_WAIT_SECONDS), {**kept, counter: count + 1})


def own_headers(headers: Mapping[str, Any]) -> Headers:
    """A message's headers without those the broker keeps for itself (``x-death`` and the like)."""
    return {k: v for k, v in headers.items() if not k.startswith("x-") or k in {WAITS_HEADER, CRASHES_HEADER}}


def _count(headers: Mapping[str, Any], name: str) -> int:
    value = headers.get(name, 0)
    return value if isinstance(value, int) and value > 0 else 0
