"""What an answer says of the endpoint it came from, and how long to wait for one that has no room: pure values."""

import hashlib
import math
from datetime import datetime
from urllib.parse import urlsplit

from flickrhub_common.retry import Backoff
from flickrhub_common.topology import DELAY_UNIT_SECONDS
from flickrhub_notifier.models import Answer, NoRoom, Report, Sign
from flickrhub_notifier.usecases.decide_next import THROTTLING, seconds_asked

STRAINED_STATUSES = frozenset({429, 502, 503, 504})
STRAINED_ERRORS = frozenset(
    {"timeout", "too_slow", "dns_error", "connection_refused", "connection_failed", "connection_reset"}
)
SILENT_ERRORS = frozenset({"refused_address", "invalid_url", "secret_unreadable", "secret_unusable", "internal_error"})
"""Failures that ended before the endpoint was asked, or that are our own."""

LONGEST_ASK_SECONDS = 3600.0
LONGEST_WAIT_SECONDS = 300.0
GROWING = Backoff(first=0.25, cap=LONGEST_WAIT_SECONDS)
STEPS = 16
"""A wait is rounded up to a multiple of a sixteenth of it or less, that has few binary digits: each is a hop in the
delay ladder, and a crowd that waits for minutes is looked at some forty times a second."""

DEFAULT_PORTS = {"http": 80, "https": 443}


def endpoint_key(user_id: str, url: str) -> str:
    """What slots and breaker are kept for: one user's use of one origin, so that nobody can trip another's."""
    return hashlib.sha256(f"{user_id}\n{_origin(url)}".encode()).hexdigest()[:32]


def _origin(url: str) -> str:
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{(parts.hostname or '').rstrip('.')}:{parts.port or DEFAULT_PORTS.get(parts.scheme)}"
    except ValueError:
        return "unreadable"


def judge_endpoint(answer: Answer, *, delivery_id: str, seconds: float, now: datetime) -> Report:
    """What to report of the endpoint after an attempt of this delivery that took so long."""
    if answer.error in SILENT_ERRORS:
        return Report(delivery_id, Sign.NONE, seconds)
    if answer.error not in STRAINED_ERRORS and answer.status not in STRAINED_STATUSES:
        return Report(delivery_id, Sign.WELL, seconds)
    asked = seconds_asked(answer.retry_after, now=now) if answer.status in THROTTLING else None
    return Report(delivery_id, Sign.STRAINED, seconds, min(asked or 0.0, LONGEST_ASK_SECONDS))


def decide_wait(room: NoRoom, *, waits: int, chance: float) -> float:
    """Seconds until a delivery that has waited so often asks for a slot again; ``chance`` is random in [0, 1).

    At its turn in the line, but each wait is longer than the one before, up to five minutes. A line longer than that
    has no turns: those in it look about every five minutes, the first time after any part of that, so that they spread
    over it. Nobody looks while nobody will be let in.
    """
    if room.turn_in - room.shut_for <= LONGEST_WAIT_SECONDS:
        return coarse(max(GROWING.wait(failed_attempts=waits + 1, chance=chance), room.turn_in))
    seconds = LONGEST_WAIT_SECONDS * (chance if waits == 0 else 0.8 + 0.4 * chance)
    return coarse(seconds if seconds >= room.shut_for else room.shut_for + LONGEST_WAIT_SECONDS * chance)


def coarse(seconds: float) -> float:
    """The same wait or a little longer, with at most five binary digits of the ladder's units."""
    units = max(1, math.ceil(seconds / DELAY_UNIT_SECONDS))
    step = max(1, (1 << units.bit_length() - 1) // STEPS)
    return math.ceil(units / step) * step * DELAY_UNIT_SECONDS
