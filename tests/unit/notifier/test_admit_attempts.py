"""Endpoints without room, and Redis away: what waits, what it costs, and what it doesn't."""

from dataclasses import replace

import pytest

from flickrhub_common.contracts import CallbackDue
from flickrhub_common.errors import Unavailable
from flickrhub_notifier.models import Answer, DeliveryState, NoRoom, Sign
from flickrhub_notifier.usecases.admit_attempt import Visit
from tests.unit.notifier.behaviour_of_deliveries import a_delivery
from tests.unit.notifier.notifier_on_fakes import JOB, Notifier


async def test_a_first_attempt_without_room_is_stored_unclaimed_and_waits_in_the_ladder(notifier: Notifier) -> None:
    notifier.endpoints.room = [NoRoom(0, 20)]
    await notifier.event()
    assert notifier.receiver.posts == []
    assert (notifier.delivery.state, notifier.delivery.claimed_until) == (DeliveryState.PENDING, None)
    [sent] = notifier.messaging.sent
    assert (sent.message, sent.seconds) == (CallbackDue(job_id=JOB, attempt=1, waits=1), 20)
    await notifier.next_due()
    assert notifier.statuses == [(1, 200, None)]
    assert notifier.endpoints.under_way == 0


async def test_waiting_costs_no_attempt_and_is_counted_in_the_message(notifier: Notifier) -> None:
    notifier.endpoints.room = [NoRoom(0, 20)] * 5
    notifier.receiver.answers = [Answer(500), Answer(500)]
    await notifier.event()
    for _ in range(7):
        await notifier.next_due()
    assert notifier.statuses == [(1, 500, None), (2, 500, None), (3, 200, None)]
    messages = [sent.message for sent in notifier.messaging.all("later")]
    assert [(m.attempt, m.waits) for m in messages if isinstance(m, CallbackDue)] == [
        *((1, waits) for waits in (1, 2, 3, 4, 5)),
        *((2, 0), (3, 0)),
    ]


async def test_an_endpoint_hears_of_every_attempt_what_it_says_of_it(notifier: Notifier) -> None:
    notifier.receiver.answers = [Answer(503, retry_after="7"), Answer(error="secret_unreadable")]
    await notifier.event()
    await notifier.next_due()
    await notifier.next_due()
    assert [(r.delivery_id, r.sign, r.asked) for r in notifier.endpoints.reports] == [
        (JOB, Sign.STRAINED, 7),
        (JOB, Sign.NONE, 0),
        (JOB, Sign.WELL, 0),
    ]
    assert len(set(notifier.endpoints.entered)) == 1


async def test_a_slot_is_given_back_whatever_happens(notifier: Notifier) -> None:
    notifier.deliveries.away = {"open"}
    with pytest.raises(Unavailable):
        await notifier.event()
    await notifier.event()
    await notifier.event()  # a copy of what is there: it takes a slot for nothing
    assert notifier.endpoints.under_way == 0
    assert [report.sign for report in notifier.endpoints.reports] == [Sign.NONE, Sign.WELL, Sign.NONE]


async def test_what_is_early_finished_or_of_another_number_asks_for_no_slot(notifier: Notifier) -> None:
    notifier.receiver.answers = [Answer(500)]
    await notifier.event()
    await notifier.due(2)
    await notifier.due(1)
    await notifier.next_due()
    await notifier.due(2)
    assert len(notifier.endpoints.entered) == 2


async def test_a_delivery_that_waits_too_long_is_given_up_without_an_attempt(notifier: Notifier) -> None:
    notifier.endpoints.room = [NoRoom(0, 20)] * 1000
    await notifier.event()
    notifier.clock.advance(71.9999 * 3600)
    await notifier.due(1)
    assert notifier.messaging.sent[-1].seconds == pytest.approx(0.36)
    await notifier.next_due()
    assert (notifier.delivery.state, notifier.delivery.reason) == (DeliveryState.FAILED, "expired")
    [dead] = notifier.messaging.all("dead")
    assert (dead.headers["reason"], dead.headers["attempts"]) == ("expired", 0)
    assert notifier.receiver.posts == []
    await notifier.due(1)
    assert len(notifier.messaging.all("dead")) == 1


async def test_without_redis_each_process_lets_as_many_pass_on_its_own(notifier: Notifier) -> None:
    notifier.endpoints.away = True
    first = await notifier.admit(a_delivery())
    second = await notifier.admit(a_delivery())
    assert isinstance(first, Visit)
    assert isinstance(second, Visit)
    assert isinstance(await notifier.admit(a_delivery()), NoRoom)
    assert isinstance(await notifier.admit(replace(a_delivery(), user_id="another")), Visit)
    async with first:
        pass
    assert isinstance(await notifier.admit(a_delivery()), Visit)


async def test_without_redis_a_callback_is_delivered_and_redis_is_not_asked_for_each(notifier: Notifier) -> None:
    notifier.endpoints.away = True
    await notifier.event()
    assert notifier.delivery.state is DeliveryState.DELIVERED
    notifier.endpoints.away = False
    await notifier.event()  # right after: Redis could still be silent, and each question cost seconds
    assert notifier.endpoints.entered == []


async def test_redis_that_goes_during_an_attempt_spoils_nothing(notifier: Notifier) -> None:
    def go() -> None:
        notifier.endpoints.away = True

    notifier.receiver.during = go
    await notifier.event()
    assert notifier.delivery.state is DeliveryState.DELIVERED
