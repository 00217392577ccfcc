"""Endpoints without room, and Redis away: what waits, what it costs, and what it doesn't."""

import asyncio
import time
import uuid
from collections import deque
from dataclasses import replace
from typing import Any

import pytest

from flickrhub_common.contracts import CallbackDue
from flickrhub_common.errors import Unavailable
from flickrhub_notifier.models import Answer, Delivery, DeliveryState, Report, Room, Sign, Slot
from flickrhub_notifier.usecases.admit_attempt import Visit
from flickrhub_notifier.usecases.places import KEPT, Place, Places, Waiting
from tests.unit.notifier.behaviour_of_deliveries import a_delivery
from tests.unit.notifier.notifier_on_fakes import JOB, URL, Notifier, an_event, later

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
    await notifier.event()  # a copy of what is there
    assert [report.sign for report in notifier.endpoints.reports] == [Sign.WELL]
    notifier.clock.advance(1)
    stored = replace(a_delivery(JOB), claimed_until=None, next_attempt_at=notifier.clock.now())
    notifier.deliveries.stored[JOB] = stored
    notifier.deliveries.away = {"claim"}
    with pytest.raises(Unavailable):
        await notifier.due(1)
    assert [report.sign for report in notifier.endpoints.reports] == [Sign.WELL, Sign.NONE]
    assert notifier.endpoints.under_way == 0


async def test_a_first_attempt_is_stored_before_it_asks_for_a_slot_so_that_no_slot_is_held_meanwhile(
    notifier: Notifier,
) -> None:
    stored: list[bool] = []
    enter = notifier.endpoints.enter

    async def watched(endpoint: str, *, owner: str, has_none: bool = False) -> Slot | Room:
        stored.append(JOB in notifier.deliveries.stored)
        return await enter(endpoint, owner=owner)

    notifier.endpoints.enter = watched  # type: ignore[method-assign]
    await notifier.event()
    assert stored == [True]
    assert notifier.statuses == [(1, 200, None)]


async def test_where_nobody_is_let_in_as_far_as_is_known_those_who_come_are_stored_in_line_by_one_write(
    notifier: Notifier,
) -> None:
    shut(notifier)
    await notifier.event()
    assert (notifier.delivery.claimed_until, notifier.delivery.claims) == (None, 0)
    notifier.deliveries.away = {"step_back"}  # would fail
    await notifier.event(an_event(None).model_copy(update={"job_id": "another"}))
    waiting = notifier.deliveries.stored["another"]
    assert (waiting.claimed_until, waiting.line) == (None, notifier.delivery.line)


async def test_an_attempt_isnt_begun_that_its_claim_may_not_outlast(notifier: Notifier) -> None:
    enter = notifier.endpoints.enter

    async def slow(endpoint: str, *, owner: str, has_none: bool = False) -> Slot | Room:
        notifier.clock.advance(8)
        return await enter(endpoint, owner=owner)

    notifier.endpoints.enter = slow  # type: ignore[method-assign]
    await notifier.event()
    assert (notifier.receiver.posts, notifier.endpoints.under_way) == ([], 0)
    assert notifier.messaging.sent == [later(1, 15.0)], "when the claim is over"


async def test_nor_is_it_where_the_slot_is_asked_for_first(notifier: Notifier) -> None:
    shut(notifier)
    await notifier.admit(replace(a_delivery(), user_id=an_event().user_id, url=URL))  # from now it is known to be shut
    open_again(notifier)
    opened = notifier.deliveries.open

    async def slow(delivery: Delivery) -> Delivery | None:
        assert notifier.endpoints.under_way == 1
        notifier.clock.advance(8)
        return await opened(delivery)

    notifier.deliveries.open = slow  # type: ignore[method-assign]
    await notifier.event()
    assert (notifier.receiver.posts, notifier.endpoints.under_way) == ([], 0)
    assert notifier.messaging.sent == [later(1, 15.0)], "when the claim is over"


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


async def at_the_door(notifier: Notifier, count: int) -> tuple[Visit, list[asyncio.Task[Visit | str]]]:
    """The two slots taken, one of them by the visit; so many wait."""
    inside = [await notifier.admit(a_delivery()) for _ in range(2)]
    waiting = [asyncio.create_task(notifier.admit(a_delivery())) for _ in range(count)]
    await asyncio.sleep(0)
    assert isinstance(inside[0], Visit)
    return inside[0], waiting


async def test_who_leaves_hands_the_slot_to_the_first_at_the_door_who_asks_nobody(notifier: Notifier) -> None:
    visit, [first, second] = await at_the_door(notifier, 2)
    asked, notifier.endpoints.room = len(notifier.endpoints.entered), Room(free=1)
    async with visit:
        await visit.end(Answer(200))
        found = await first
        assert isinstance(found, Visit)
        assert found.slot.shared
        assert notifier.endpoints.entered[asked:] == [found.slot.endpoint]
        assert not second.done()
    async with found:
        pass
    assert isinstance(await second, Visit)


async def test_who_was_cut_off_while_another_process_wanted_the_slot_isnt_at_the_door_any_more(
    notifier: Notifier,
) -> None:
    visit, [waiting] = await at_the_door(notifier, 1)
    leave = notifier.endpoints.leave

    async def slow(slot: Slot, report: Report, *, follower: str | None = None) -> Room:
        waiting.cancel()
        await asyncio.sleep(0)
        return replace(await leave(slot, report), wanted=True)

    notifier.endpoints.leave = slow  # type: ignore[method-assign]
    async with visit:
        pass
    await asyncio.wait({waiting})
    assert not any(place.door for place in notifier.admit._places.values())


async def test_a_slot_that_was_handed_to_someone_cut_off_meanwhile_is_given_back(notifier: Notifier) -> None:
    visit, [waiting] = await at_the_door(notifier, 1)
    leave = notifier.endpoints.leave

    async def slow(slot: Slot, report: Report, *, follower: str | None = None) -> Room:
        waiting.cancel()
        await asyncio.sleep(0)
        return await leave(slot, report, follower=follower)

    notifier.endpoints.leave = slow  # type: ignore[method-assign]
    async with visit:
        pass
    await asyncio.wait({waiting})
    assert notifier.endpoints.under_way == 1
    assert [place.inside for place in notifier.admit._places.values()] == [1]


async def test_a_slot_that_was_handed_to_someone_cut_off_right_after_is_given_back(notifier: Notifier) -> None:
    visit, [waiting] = await at_the_door(notifier, 1)
    async with visit:
        await visit.end(Answer(200))
        waiting.cancel()
    await asyncio.wait({waiting})
    assert waiting.cancelled()
    assert notifier.endpoints.under_way == 1
    assert [place.inside for place in notifier.admit._places.values()] == [1]


async def test_a_slot_that_another_process_wants_is_left_to_it_and_who_was_next_stays_so(notifier: Notifier) -> None:
    visit, [first, second] = await at_the_door(notifier, 2)
    leave, wanted = notifier.endpoints.leave, [True, False]

    async def by_another(slot: Slot, report: Report, *, follower: str | None = None) -> Room:
        if wanted.pop(0):
            return replace(await leave(slot, report), wanted=True)
        return await leave(slot, report, follower=follower)

    notifier.endpoints.leave = by_another  # type: ignore[method-assign]
    asked, notifier.endpoints.room = len(notifier.endpoints.entered), Room(free=1)
    async with visit:
        await visit.end(Answer(200))
    for _ in range(10):
        await asyncio.sleep(0)
    assert (notifier.endpoints.entered[asked:], first.done(), second.done()) == ([], False, False)
    other = Visit(notifier.admit, replace(visit.slot, owner="the other who is in"), visit.delivery)
    async with other:
        await other.end(Answer(200))
        assert isinstance(await first, Visit)
        assert not second.done()
    second.cancel()


@pytest.mark.parametrize(("waiting", "asked"), [(1, [False]), (2, [])])
async def test_who_comes_while_a_slot_is_being_handed_on_doesnt_say_they_have_none_and_overtakes_nobody_at_the_door(
    notifier: Notifier, waiting: int, asked: list[bool]
) -> None:
    visit, [first, *others] = await at_the_door(notifier, waiting)
    notifier.admit._places.of(visit.slot.endpoint).inside = 1
    said: list[bool] = []
    enter, leave = notifier.endpoints.enter, notifier.endpoints.leave

    async def watched(endpoint: str, *, owner: str, has_none: bool = False) -> Slot | Room:
        said.append(has_none)
        return await enter(endpoint, owner=owner)

    async def slow(slot: Slot, report: Report, *, follower: str | None = None) -> Room:
        others.append(asyncio.create_task(notifier.admit(a_delivery())))
        await asyncio.sleep(0)
        return await leave(slot, report, follower=follower)

    notifier.endpoints.enter = watched  # type: ignore[method-assign]
    notifier.endpoints.leave = slow  # type: ignore[method-assign]
    notifier.endpoints.room = Room(free=1)
    await Visit(notifier.admit, visit.slot, visit.delivery).end(Answer(200))
    assert isinstance(await first, Visit)
    assert said == asked
    for one in others:
        one.cancel()


async def test_who_is_first_at_the_door_while_only_other_processes_are_in_asks_now_and_then(notifier: Notifier) -> None:
    notifier.endpoints.rooms = [FULL] * 4
    first, second = [asyncio.create_task(notifier.admit(a_delivery())) for _ in range(2)]
    visit = await first
    assert isinstance(visit, Visit)
    assert (notifier.endpoints.rooms, second.done()) == ([], False)
    async with visit:
        pass
    assert isinstance(await second, Visit)


async def test_who_isnt_handed_the_slot_tries_and_is_told_that_the_endpoint_is_shut(notifier: Notifier) -> None:
    visit, [waiting] = await at_the_door(notifier, 1)
    shut(notifier)
    async with visit:
        await visit.end(Answer(503))
    assert isinstance(await waiting, str)


async def test_redis_that_goes_while_somebody_is_at_the_door_lets_them_in_by_this_process_alone(
    notifier: Notifier,
) -> None:
    visit, [waiting] = await at_the_door(notifier, 1)
    notifier.endpoints.away = True
    async with visit:
        pass
    found = await waiting
    assert isinstance(found, Visit)
    assert not found.slot.shared


def a_place(*, waiting: int, **known: Any) -> Place:
    loop = asyncio.new_event_loop()
    place = Place(door=deque(Waiting("o", loop.create_future()) for _ in range(waiting)), **known)
    loop.close()
    return place


@pytest.mark.parametrize(
    ("pace", "waiting", "silent", "room"),
    [
        (None, 31, 0.0, True),  # as many as a fast endpoint's first callbacks may be
        (None, 32, 0.0, False),
        (None, 11, 1.0, True),
        (None, 12, 1.0, False),  # nobody has left for a second: it isn't as fast
        (0.01, 1000, 0.0, True),
        (0.01, 11, 1.0, True),
        (0.01, 12, 1.0, False),  # it was fast, and hangs now
        (15, 0, 0.0, False),
    ],
)
def test_who_may_stand_at_the_door(pace: float | None, waiting: int, silent: float, room: bool) -> None:
    place = a_place(waiting=waiting, pace=pace, inside=8, moved_at=100.0)
    assert place.room_at_the_door(8, now=100.0 + silent) is room


@pytest.mark.parametrize(("waiting", "refused_for", "room"), [(1000, 0.0, True), (11, 1.0, True), (12, 1.0, False)])
def test_where_only_other_processes_are_in_who_let_nobody_in_it_isnt_as_fast_as_it_was(
    waiting: int, refused_for: float, room: bool
) -> None:
    place = a_place(waiting=0, pace=0.01)
    place.refuse(FULL, now=100.0)
    place.refuse(FULL, now=100.0 + refused_for)
    place.door.extend(a_place(waiting=waiting).door)
    assert place.room_at_the_door(8, now=100.0 + refused_for) is room
    assert place.patience == a_place(waiting=0).patience
    place.enter(now=102.0)
    assert place.room_at_the_door(8, now=102.0)
    assert place.patience > a_place(waiting=0).patience


async def test_a_crowd_for_an_endpoint_whose_slots_others_hold_holds_no_place_of_this_process_for_long(
    notifier: Notifier,
) -> None:
    visit = await notifier.admit(a_delivery())
    assert isinstance(visit, Visit)
    async with visit:
        await visit.end(Answer(200))  # at once: its pace is known
    notifier.endpoints.rooms = [FULL] * 1000
    crowd = [asyncio.create_task(notifier.admit(a_delivery())) for _ in range(64)]
    _, waiting = await asyncio.wait(crowd, timeout=1.5)
    for task in waiting:
        task.cancel()
    assert len(waiting) == 0
    began = time.monotonic()
    later = await asyncio.gather(*(notifier.admit(a_delivery()) for _ in range(64)))
    assert (len(set(later)), time.monotonic() - began < 1.5) == (1, True)


def test_as_long_as_an_endpoints_pace_is_unknown_nobody_waits_long_at_its_door() -> None:
    assert a_place(waiting=0).patience < a_place(waiting=0, pace=0.01).patience


async def test_door_and_line_take_turns() -> None:
    place = a_place(waiting=4)
    turns = []
    for line in (True, True, True, False, False, False):
        place.line = line
        turns.append(place.next_at_the_door() is not None)
    assert turns == [True, False, True, True, True, False]


async def test_of_those_who_leave_while_some_are_at_the_door_and_some_in_line_every_second_one_calls_the_line(
    notifier: Notifier,
) -> None:
    visit, waiting = await at_the_door(notifier, 8)
    notifier.endpoints.room = Room(free=1)
    notifier.endpoints.line[visit.slot.endpoint] = 1
    rooms = []
    for number in range(8):
        left = Visit(notifier.admit, replace(visit.slot, owner=str(number)), visit.delivery)
        await left.end(Answer(200))
        assert left.room is not None
        rooms.append(left.room.free)
        for _ in range(3):
            await asyncio.sleep(0)
        notifier.admit._places.of(visit.slot.endpoint).inside = 2
    assert (sum(task.done() for task in waiting), sum(rooms)) == (4, 4)
    for task in waiting:
        task.cancel()


async def test_who_was_called_from_the_line_isnt_sent_to_the_end_of_the_door(notifier: Notifier) -> None:
    visit, [waiting] = await at_the_door(notifier, 1)
    notifier.admit._places.of(visit.slot.endpoint).inside = 1
    assert isinstance(await notifier.admit(replace(a_delivery(), line=visit.slot.endpoint)), Visit)
    assert not waiting.done()
    waiting.cancel()


async def test_what_is_kept_of_endpoints_is_bounded_and_of_those_where_somebody_is_nothing_is_lost() -> None:
    places = Places()
    busy = places.of("busy")
    busy.inside = 1
    for number in range(3 * KEPT):
        places.of(str(number))
    assert len(places) <= 2 * KEPT
    assert places.of("busy") is busy
    assert str(3 * KEPT - 1) in places
