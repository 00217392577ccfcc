"""What follows from an answer, and from a delivery as it stands: tables."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from flickrhub_notifier.usecases.decide_next import decide_follow_up, decide_verdict, seconds_asked
from tests.unit.notifier.behaviour_of_deliveries import LATER, NOW, a_delivery

HALF = 0.5  # the chance that adds no jitter


def verdict(answer: Answer, *, number: int = 1, max_attempts: int = 3, chance: float = HALF) -> Verdict:
    return decide_verdict(
        answer, number=number, max_attempts=max_attempts, backoff=Backoff(first=1), chance=chance, now=NOW
    )


def after(seconds: float, reason: str) -> Retry:
    return Retry(NOW + timedelta(seconds=seconds), reason)


FAILED = DeliveryState.FAILED
IN_90_S = "Thu, 01 Jan 2026 12:01:30 GMT"

TABLE: list[tuple[Answer, int, Verdict]] = [
    (Answer(200), 1, Delivered()),
    (Answer(204), 3, Delivered()),
    (Answer(299), 2, Delivered()),
    (Answer(101), 1, after(1, "http_101")),
    (Answer(199), 1, after(1, "http_199")),
    (Answer(300), 1, after(1, "http_300")),
    (Answer(302), 1, after(1, "http_302")),
    (Answer(304), 1, after(1, "http_304")),
    (Answer(400), 1, after(1, "http_400")),
    (Answer(404), 2, after(2, "http_404")),
    (Answer(500), 1, after(1, "http_500")),
    (Answer(500), 2, after(2, "http_500")),
    (Answer(500), 3, GiveUp(FAILED, "http_500")),
    (Answer(500), 4, GiveUp(FAILED, "http_500")),
    (Answer(410), 1, GiveUp(DeliveryState.GONE, "http_410")),
    (Answer(410), 3, GiveUp(DeliveryState.GONE, "http_410")),
    (Answer(429, retry_after="30"), 1, after(30, "http_429")),
    (Answer(503, retry_after="30"), 2, after(30, "http_503")),
    (Answer(503, retry_after=IN_90_S), 1, after(90, "http_503")),
    (Answer(429, retry_after="86400"), 1, after(3600, "http_429")),
    (Answer(429, retry_after="0"), 1, after(1, "http_429")),
    (Answer(429, retry_after="soon"), 1, after(1, "http_429")),
    (Answer(429, retry_after="30"), 3, GiveUp(FAILED, "http_429")),
    (Answer(500, retry_after="30"), 1, after(1, "http_500")),
    (Answer(301, retry_after="30"), 1, after(1, "http_301")),
    (Answer(error="timeout"), 1, after(1, "timeout")),
    (Answer(200, "too_slow"), 1, after(1, "too_slow")),
    (Answer(410, "too_slow"), 1, GiveUp(DeliveryState.GONE, "http_410")),
    (Answer(error="dns_error"), 3, GiveUp(FAILED, "dns_error")),
    (Answer(error="secret_unreadable"), 1, after(1, "secret_unreadable")),
    (Answer(error="refused_address"), 1, GiveUp(FAILED, "refused_address")),
    (Answer(error="invalid_url"), 1, GiveUp(FAILED, "invalid_url")),
    (Answer(error="secret_unusable"), 1, GiveUp(FAILED, "secret_unusable")),
]


@pytest.mark.parametrize(("answer", "number", "expected"), TABLE)
def test_an_answer_has_its_verdict(answer: Answer, number: int, expected: Verdict) -> None:
    assert verdict(answer, number=number) == expected


def test_a_single_attempt_is_the_last() -> None:
    assert verdict(Answer(500), max_attempts=1) == GiveUp(FAILED, "http_500")


@given(number=st.integers(1, 19), chance=st.floats(0, 1, exclude_max=True))
def test_a_wait_doubles_within_a_fifth_up_to_an_hour(number: int, chance: float) -> None:
    decided = verdict(Answer(500), number=number, max_attempts=20, chance=chance)
    assert isinstance(decided, Retry)
    plain = min(2.0 ** (number - 1), 3600)
    assert plain * 0.799999 <= (decided.at - NOW).total_seconds() <= plain * 1.200001


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        (" 120 ", 120),
        ("0", 0),
        (IN_90_S, 90),
        ("Thursday, 01-Jan-26 12:01:30 GMT", 90),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0),
        ("9" * 5000, 999999999999),
        ("Thu, 01 Jan 2026 12:01:30 -0000", None),
        ("-5", None),
        ("1.5", None),
        ("\uff11\uff12", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(header: str | None, seconds: float | None) -> None:
    assert seconds_asked(header, now=NOW) == seconds


@given(st.text())
def test_no_retry_after_can_do_harm(header: str) -> None:
    asked = seconds_asked(header, now=NOW)
    assert asked is None or asked >= 0


PENDING = replace(a_delivery("job-1"), claimed_until=None)
CLAIMED = replace(PENDING, claimed_until=LATER)
WAITING = replace(PENDING, next_attempt=2, next_attempt_at=NOW + timedelta(seconds=3))

FOLLOW_UPS: list[tuple[Delivery, FollowUp]] = [
    (replace(PENDING, state=DeliveryState.DELIVERED), Nothing()),
    (replace(PENDING, state=DeliveryState.FAILED), Bury()),
    (replace(PENDING, state=DeliveryState.GONE), Bury()),
    (replace(PENDING, state=DeliveryState.FAILED, dead_lettered_at=NOW), Nothing()),
    (replace(PENDING, state=DeliveryState.GONE, dead_lettered_at=NOW), Nothing()),
    (PENDING, Wait(1, 0)),
    (CLAIMED, Wait(1, 25)),
    (replace(CLAIMED, claimed_until=NOW - timedelta(seconds=1)), Wait(1, 0)),
    (WAITING, Wait(2, 3)),
    (replace(WAITING, next_attempt_at=NOW - timedelta(days=1)), Wait(2, 0)),
]


@pytest.mark.parametrize(("delivery", "expected"), FOLLOW_UPS)
def test_a_delivery_as_it_stands_has_its_follow_up(delivery: Delivery, expected: FollowUp) -> None:
    assert decide_follow_up(delivery, now=NOW) == expected
