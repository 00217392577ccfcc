"""What follows from an answer, and from a delivery as it stands: pure values."""

from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from flickrhub_common.retry import Backoff
from flickrhub_notifier.models import (
    Answer,
    Bury,
    Delivered,
    Delivery,
    DeliveryState,
    FollowUp,
    GiveUp,
    Nothing,
    Retry,
    Verdict,
    Wait,
)

HOPELESS = frozenset({"refused_address", "invalid_url", "secret_unusable"})
"""Failures that the same request would meet again: they burn no retries."""
THROTTLING = frozenset({429, 503})
GONE = 410


def decide_verdict(
    answer: Answer, *, number: int, max_attempts: int, backoff: Backoff, chance: float, now: datetime
) -> Verdict:
    """Decide from the answer to attempt ``number`` (from 1); ``chance`` is a random number in [0, 1)."""
    if answer.succeeded:
        return Delivered()
    if answer.status == GONE:
        return GiveUp(DeliveryState.GONE, f"http_{GONE}")
    if answer.error in HOPELESS or number >= max_attempts:
        return GiveUp(DeliveryState.FAILED, answer.reason)
    asked = seconds_asked(answer.retry_after, now=now) if answer.status in THROTTLING else None
    seconds = backoff.wait(failed_attempts=number, chance=chance, asked=asked)
    return Retry(now + timedelta(seconds=seconds), answer.reason)


def decide_follow_up(delivery: Delivery, *, now: datetime) -> FollowUp:
    """Decide from the stored delivery alone, so that any message about it, in any order and number, does no harm.

    What a crash left undone is found here: a retry whose message was never sent, a dead letter that may be missing,
    an attempt whose maker died and whose claim will end.
    """
    if delivery.state is DeliveryState.DELIVERED:
        return Nothing()
    if delivery.state is not DeliveryState.PENDING:
        return Nothing() if delivery.dead_lettered_at else Bury()
    return Wait(delivery.next_attempt, max(0.0, (delivery.free_at() - now).total_seconds()))


def can_begin(delivery: Delivery, *, attempt: int, now: datetime) -> bool:
    """Whether this attempt is the next one and due, and nobody is at it."""
    waits = delivery.state is DeliveryState.PENDING and delivery.free_at() <= now
    return waits and delivery.next_attempt == attempt


def has_expired(delivery: Delivery, *, now: datetime, after: timedelta) -> bool:
    """Whether a delivery that waits has been trying for so long that it isn't worth another attempt."""
    waits = delivery.state is DeliveryState.PENDING and delivery.free_at() <= now
    return waits and now - delivery.began_at >= after


def seconds_asked(retry_after: str | None, *, now: datetime) -> float | None:
    """The wait a ``Retry-After`` asks for, given in seconds or as an HTTP date (RFC 9110, 10.2.3); None if neither."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        moment = parsedate_to_datetime(text)
        return max(0.0, (moment - now).total_seconds()) if moment.tzinfo else None
    except (ValueError, TypeError, OverflowError):
        return None
