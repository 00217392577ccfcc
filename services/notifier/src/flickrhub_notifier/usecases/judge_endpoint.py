"""What an answer says of the endpoint it came from: pure values."""

import hashlib
from datetime import datetime
from urllib.parse import urlsplit

from flickrhub_notifier.models import Answer, Report, Sign
from flickrhub_notifier.usecases.decide_next import THROTTLING, seconds_asked

STRAINED_STATUSES = frozenset({429, 502, 503, 504})
STRAINED_ERRORS = frozenset(
    {"timeout", "too_slow", "dns_error", "connection_refused", "connection_failed", "connection_reset"}
)
SILENT_ERRORS = frozenset({"refused_address", "invalid_url", "secret_unreadable", "secret_unusable", "internal_error"})
"""Failures that ended before the endpoint was asked, or that are our own."""

LONGEST_ASK_SECONDS = 3600.0

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


def judge_endpoint(answer: Answer, *, delivery_id: str, now: datetime) -> Report:
    """What to report of the endpoint after an attempt of this delivery."""
    if answer.error in SILENT_ERRORS:
        return Report(delivery_id, Sign.NONE)
    if answer.error not in STRAINED_ERRORS and answer.status not in STRAINED_STATUSES:
        return Report(delivery_id, Sign.WELL)
    asked = seconds_asked(answer.retry_after, now=now) if answer.status in THROTTLING else None
    return Report(delivery_id, Sign.STRAINED, min(asked or 0.0, LONGEST_ASK_SECONDS))
