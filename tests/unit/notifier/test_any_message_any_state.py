"""From any stored state any message does no harm, and any answer is decided."""

import math
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from flickrhub_common.retry import Backoff
from flickrhub_notifier.models import Answer, Bury, Delivered, Delivery, DeliveryState, GiveUp, Nothing, Retry, Wait
from flickrhub_notifier.usecases.decide_next import decide_follow_up, decide_verdict
from tests.unit.notifier.behaviour_of_deliveries import NOW, a_delivery

moments = st.timedeltas(timedelta(days=-40), timedelta(days=40)).map(lambda away: NOW + away)
deliveries = st.builds(
    lambda state, number, due, claimed, buried: replace(
        a_delivery("job-1"),
        state=state,
        next_attempt=number,
        next_attempt_at=due,
        claimed_until=claimed,
        dead_lettered_at=buried,
    ),
    st.sampled_from(DeliveryState),
    st.integers(1, 50),
    moments,
    st.none() | moments,
    st.none() | moments,
)
answers = st.builds(
    Answer,
    status=st.none() | st.integers(100, 999),
    error=st.none() | st.sampled_from(["timeout", "refused_address", "connection_failed", "invalid_url"]),
    retry_after=st.none() | st.text() | st.integers().map(str) | st.datetimes().map(str),
)


@given(delivery=deliveries, now=moments)
def test_a_message_never_sends_what_is_over_or_not_yet_due(delivery: Delivery, now: datetime) -> None:
    follow_up = decide_follow_up(delivery, now=now)
    if delivery.state is not DeliveryState.PENDING:
        buried = delivery.state is DeliveryState.DELIVERED or delivery.dead_lettered_at is not None
        assert follow_up == (Nothing() if buried else Bury())
        return
    assert isinstance(follow_up, Wait)
    assert follow_up.attempt == delivery.next_attempt
    due = now + timedelta(seconds=follow_up.seconds + 1e-3)
    assert due >= delivery.next_attempt_at
    assert delivery.claimed_until is None or due >= delivery.claimed_until


@given(answer=answers, number=st.integers(1, 60), most=st.integers(1, 60), chance=st.floats(0, 1, exclude_max=True))
def test_any_answer_is_decided_within_bounds(answer: Answer, number: int, most: int, chance: float) -> None:
    backoff = Backoff(first=1)
    verdict = decide_verdict(answer, number=number, max_attempts=most, backoff=backoff, chance=chance, now=NOW)
    if answer.succeeded:
        assert verdict == Delivered()
    elif number >= most:
        assert isinstance(verdict, GiveUp)
    elif isinstance(verdict, Retry):
        seconds = (verdict.at - NOW).total_seconds()
        assert math.isfinite(seconds)
        assert 0 < seconds <= 3600 * 1.2
    else:
        assert isinstance(verdict, GiveUp)
        assert answer.status == 410 or answer.error in {"refused_address", "invalid_url"}
