"""Deliveries that are replayed from the dead letters, and those of replayed jobs."""

import json

import pytest
from standardwebhooks import Webhook

from flickrhub_common.contracts import CallbackDue
from flickrhub_common.errors import Unavailable
from flickrhub_notifier.models import Answer, Delivery, DeliveryState, Room
from tests.unit.notifier.notifier_on_fakes import JOB, SECRET, Notifier, an_event


async def given_up(notifier: Notifier) -> None:
    """Let the delivery fail three times."""
    notifier.receiver.answers = [Answer(500)] * 3
    await notifier.event()
    await notifier.next_due()
    await notifier.next_due()
    assert notifier.delivery.state is DeliveryState.FAILED


async def test_a_replay_sends_the_same_bytes_under_the_same_id(notifier: Notifier) -> None:
    await given_up(notifier)
    await notifier.due(1, replay=1)
    posts = notifier.receiver.posts
    assert len(posts) == 4
    assert len({(post.body, post.headers["webhook-id"]) for post in posts}) == 1
    assert notifier.statuses[-1] == (4, 200, None)
    assert (notifier.delivery.state, notifier.delivery.replays) == (DeliveryState.DELIVERED, 1)


async def test_a_replay_has_all_its_attempts_and_is_buried_again_with_its_number(notifier: Notifier) -> None:
    await given_up(notifier)
    notifier.receiver.answers = [Answer(503)] * 3
    await notifier.due(1, replay=1)
    await notifier.next_due()
    await notifier.next_due()
    assert [number for number, _, _ in notifier.statuses] == [1, 2, 3, 4, 5, 6]
    assert [sent.seconds for sent in notifier.messaging.all("later")] == [1.0, 2.0, 1.0, 2.0]
    first, second = notifier.messaging.all("dead")
    assert (first.message, first.headers["replays"]) == (CallbackDue(job_id=JOB, attempt=3), 0)
    assert (second.message, second.headers["replays"]) == (CallbackDue(job_id=JOB, attempt=6, replay=1), 1)
    assert (second.headers["reason"], second.headers["attempts"]) == ("http_503", 6)
    assert notifier.delivery.dead_lettered_at == notifier.clock.now()


async def test_a_second_copy_of_a_replay_has_no_effect_neither_before_nor_after_its_end(notifier: Notifier) -> None:
    await given_up(notifier)
    notifier.receiver.answers = [Answer(410)]
    copies: list[Delivery] = []
    notifier.receiver.during = lambda: copies.append(notifier.delivery)
    await notifier.due(1, replay=1)
    ended = notifier.delivery
    for replay in (1, 1, 0):
        await notifier.due(1, replay=replay)
    assert notifier.delivery == ended
    assert (len(notifier.receiver.posts), len(notifier.messaging.all("dead"))) == (4, 2)
    notifier.deliveries.stored[JOB] = copies[-1]  # while its first attempt is under way
    await notifier.due(1, replay=1)
    assert len(notifier.receiver.posts) == 4
    assert notifier.messaging.sent[-1].message == CallbackDue(job_id=JOB, attempt=4, replay=1)


async def test_what_was_delivered_is_not_sent_again_however_often_it_is_replayed(notifier: Notifier) -> None:
    await notifier.event()
    await notifier.due(1, replay=1)
    await notifier.due(1, replay=7)
    assert len(notifier.receiver.posts) == 1
    assert notifier.messaging.sent == []


async def test_a_replay_waits_for_its_endpoint_and_has_its_time_anew(notifier: Notifier) -> None:
    await given_up(notifier)
    notifier.clock.advance(100 * 3600)
    notifier.endpoints.rooms, notifier.endpoints.room = [Room(shut_for=20)], Room(shut_for=20)
    await notifier.due(1, replay=2)
    sent = len(notifier.messaging.sent)
    await notifier.lines.find()
    assert len(notifier.messaging.sent) == sent, "it is as young as its replay"
    notifier.endpoints.room = Room(free=1)
    await notifier.lines.look()
    assert notifier.messaging.sent[-1].message == CallbackDue(job_id=JOB, attempt=4, replay=2)
    await notifier.next_due()
    assert notifier.delivery.state is DeliveryState.DELIVERED


async def test_a_replay_that_fell_between_reopening_and_attempt_goes_on_when_its_message_comes_again(
    notifier: Notifier,
) -> None:
    await given_up(notifier)
    notifier.deliveries.away = {"claim"}
    with pytest.raises(Unavailable):
        await notifier.due(1, replay=1)
    await notifier.due(1, replay=1)
    await notifier.next_due()
    assert notifier.delivery.state is DeliveryState.DELIVERED
    assert len(notifier.receiver.posts) == 4


async def test_the_outcome_of_a_replayed_job_is_delivered_once_under_an_id_of_its_own(notifier: Notifier) -> None:
    await notifier.event(an_event(failed=True))
    again = an_event().model_copy(update={"replay": 1})
    notifier.receiver.answers = [Answer(500)]
    await notifier.event(again)
    await notifier.event(again)
    await notifier.next_due()
    await notifier.event(again)
    assert [post.headers["webhook-id"] for post in notifier.receiver.posts] == [JOB, f"{JOB}-r1", f"{JOB}-r1"]
    assert [json.loads(post.body)["state"] for post in notifier.receiver.posts] == ["failed", "completed", "completed"]
    assert {json.loads(post.body)["job_id"] for post in notifier.receiver.posts} == {JOB}
    last = notifier.receiver.posts[-1]
    expected = Webhook(SECRET).sign(f"{JOB}-r1", notifier.clock.now(), last.body.decode())
    assert last.headers["webhook-signature"] == expected
    assert notifier.deliveries.stored[f"{JOB}-r1"].state is DeliveryState.DELIVERED
