"""Endpoints without room, and Redis away: what waits, what it costs, and what it doesn't."""

import asyncio
import uuid
from collections import deque
from dataclasses import replace

import pytest

from flickrhub_common.contracts import CallbackDue
from flickrhub_common.errors import Unavailable
from flickrhub_notifier.models import Answer, DeliveryState, Room, Sign
from flickrhub_notifier.usecases.admit_attempt import Place, Visit
from tests.unit.notifier.behaviour_of_deliveries import a_delivery
from tests.unit.notifier.notifier_on_fakes import JOB, Notifier, an_event

NOBODY = Room(shut_for=20)


def shut(notifier: Notifier) -> None:
    """Let nobody in from now on."""
    notifier.endpoints.rooms, notifier.endpoints.room = [NOBODY] * 1000, NOBODY


def open_again(notifier: Notifier) -> None:
    """Let everybody in."""
    notifier.endpoints.rooms, notifier.endpoints.room = [], Room(free=8)


async def test_a_first_attempt_without_room_waits_unclaimed_in_line_and_is_called_when_there_is_room(
    notifier: Notifier,
) -> None:
    shut(notifier)
    await notifier.event()
    assert (notifier.delivery.state, notifier.delivery.claimed_until) == (DeliveryState.PENDING, None)
    for _ in range(3):
        await notifier.lines.look()
    assert (notifier.receiver.posts, notifier.messaging.sent) == ([], [])
    assert list(notifier.endpoints.looks.values()) == [20]
    open_again(notifier)
    await notifier.lines.look()
    await notifier.next_due()
    assert notifier.statuses == [(1, 200, None)]
    assert notifier.endpoints.under_way == 0
    await notifier.lines.look()
    assert notifier.endpoints.looks == {}, "the line is empty"


async def test_waiting_costs_no_attempt(notifier: Notifier) -> None:
    notifier.receiver.answers = [Answer(500), Answer(500)]
    shut(notifier)
    await notifier.event()
    for _ in range(3):
        open_again(notifier)
        await notifier.lines.look()
        await notifier.next_due()  # the attempt, which is refused
        shut(notifier)
        if notifier.delivery.state is DeliveryState.PENDING:
            await notifier.next_due()  # its next one, which finds no room
    assert notifier.statuses == [(1, 500, None), (2, 500, None), (3, 200, None)]


async def test_whoever_leaves_calls_the_next_in_line(notifier: Notifier) -> None:
    shut(notifier)
    await notifier.event()
    open_again(notifier)
    await notifier.event(an_event(None).model_copy(update={"job_id": str(uuid.uuid4())}))
    [sent] = notifier.messaging.sent
    assert (sent.message, sent.seconds) == (CallbackDue(job_id=JOB, attempt=1), 0)


async def test_who_is_called_and_finds_no_room_is_in_line_again(notifier: Notifier) -> None:
    shut(notifier)
    await notifier.event()
    open_again(notifier)
    await notifier.lines.look()
    shut(notifier)
    await notifier.next_due()
    assert notifier.delivery.line is not None
    open_again(notifier)
    await notifier.lines.look()
    assert len(notifier.messaging.sent) == 2


async def test_a_line_that_redis_has_forgotten_is_found(notifier: Notifier) -> None:
    shut(notifier)
    await notifier.event()
    notifier.endpoints.line.clear()
    notifier.endpoints.looks.clear()
    open_again(notifier)
    await notifier.lines.look()
    assert notifier.messaging.sent == []
    await notifier.lines.find()
    await notifier.next_due()
    assert notifier.delivery.state is DeliveryState.DELIVERED


async def test_without_redis_a_line_goes_on_one_by_one(notifier: Notifier) -> None:
    shut(notifier)
    await notifier.event()
    notifier.endpoints.away = True
    await notifier.lines.find()
    await notifier.next_due()
    assert notifier.delivery.state is DeliveryState.DELIVERED


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
    shut(notifier)
    await notifier.event()
    notifier.clock.advance(71.9999 * 3600)
    await notifier.lines.find()
    assert notifier.messaging.sent == []
    notifier.clock.advance(0.36)
    await notifier.lines.find()
    await notifier.next_due()
    assert (notifier.delivery.state, notifier.delivery.reason) == (DeliveryState.FAILED, "expired")
    [dead] = notifier.messaging.all("dead")
    assert (dead.headers["reason"], dead.headers["attempts"]) == ("expired", 0)
    assert notifier.receiver.posts == []
    await notifier.due(1)
    await notifier.lines.find()
    assert len(notifier.messaging.all("dead")) == 1


async def test_without_redis_each_process_lets_as_many_pass_on_its_own(notifier: Notifier) -> None:
    notifier.endpoints.away = True
    first = await notifier.admit(a_delivery())
    second = await notifier.admit(a_delivery())
    assert isinstance(first, Visit)
    assert isinstance(second, Visit)
    waiting = asyncio.create_task(notifier.admit(a_delivery()))
    assert isinstance(await notifier.admit(replace(a_delivery(), user_id="another")), Visit)
    assert not waiting.done()
    async with first:
        pass
    assert isinstance(await waiting, Visit), "it was at the door"


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


FULL = Room()


async def test_at_the_door_the_first_is_let_in_first_as_soon_as_one_leaves(notifier: Notifier) -> None:
    inside = await notifier.admit(a_delivery())
    assert isinstance(inside, Visit)
    notifier.endpoints.rooms = [FULL, FULL]
    first, second = [asyncio.create_task(notifier.admit(a_delivery())) for _ in range(2)]
    await asyncio.sleep(0)
    async with inside:
        await inside.end(Answer(200))
        visit = await first
        assert isinstance(visit, Visit)
        assert not second.done()
    async with visit:
        pass
    assert isinstance(await second, Visit)


async def test_nobody_is_at_the_door_of_an_endpoint_that_is_shut(notifier: Notifier) -> None:
    notifier.endpoints.rooms = [NOBODY]
    assert isinstance(await notifier.admit(a_delivery()), str)


async def test_a_door_is_short_as_long_as_nobody_knows_how_fast_the_endpoint_is(notifier: Notifier) -> None:
    inside = await notifier.admit(a_delivery())
    assert isinstance(inside, Visit)
    notifier.endpoints.rooms = [FULL] * 3
    at_the_door = [asyncio.create_task(notifier.admit(a_delivery())) for _ in range(2)]
    await asyncio.sleep(0)
    assert isinstance(await notifier.admit(a_delivery()), str)
    for task in at_the_door:
        task.cancel()


@pytest.mark.parametrize(
    ("pace", "waiting", "room"), [(None, 7, True), (None, 8, False), (0.01, 700, True), (15, 0, False)]
)
def test_who_may_stand_at_the_door(pace: float | None, waiting: int, room: bool) -> None:
    loop = asyncio.new_event_loop()
    place = Place(pace=pace, door=deque(loop.create_future() for _ in range(waiting)))
    assert place.room_at_the_door(8) is room
    loop.close()


async def test_door_and_line_take_turns() -> None:
    loop = asyncio.get_running_loop()
    place = Place(door=deque(loop.create_future() for _ in range(4)))
    assert [place.let_one_in(line=line) for line in (True, True, True, False, False, False)] == [
        *(True, False, True, True, True, False)
    ]


async def test_nothing_is_kept_of_an_endpoint_that_nobody_is_at(notifier: Notifier) -> None:
    notifier.endpoints.rooms = [NOBODY]
    await notifier.event()
    await notifier.event(an_event(None).model_copy(update={"job_id": str(uuid.uuid4())}))
    assert not notifier.admit._places
