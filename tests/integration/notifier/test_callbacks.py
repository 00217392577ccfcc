"""Callbacks on real parts: from the event to a signature that the reference library accepts, and every other end."""

import asyncio
import hashlib
import hmac
import time
import uuid
from collections.abc import Mapping

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from pydantic import SecretStr
from standardwebhooks import Webhook

from flickrhub_common.broker import Messaging
from flickrhub_common.contracts import CallbackDue
from flickrhub_common.errors import Unavailable
from flickrhub_common.health import Check
from flickrhub_common.mongo import Database, Document
from flickrhub_common.topology import CALLBACK_DLQ, NOTIFIER_CALLBACKS_DUE, NOTIFIER_JOB_EVENTS
from flickrhub_notifier.settings import NotifierSettings
from tests.integration.notifier import nasty as receivers
from tests.integration.notifier.nasty import nasty
from tests.integration.notifier.running import SECRET, RunNotifier, an_ended_job
from tests.support.callback_receiver import CallbackReceiver, Reply
from tests.support.rabbit_admin import Letter, RabbitAdmin
from tests.support.samples import a_completion
from tests.support.waiting import eventually, never


@pytest.fixture
def settings(notifier_settings: NotifierSettings) -> NotifierSettings:
    """The settings of this test's notifiers."""
    return notifier_settings


async def stored(database: Database, job_id: str, state: str, *, within: float = 10) -> Document:
    """A job's delivery, once it is in this state and no longer claimed."""

    async def look() -> Document | None:
        return await database["deliveries"].find_one({"_id": job_id, "state": state, "claimed_until": None})

    return await eventually(look, within=within, what=f"the delivery in state {state}")


async def dead_letters(admin: RabbitAdmin, count: int = 1) -> list[Letter]:
    """What lies in the dead-letter queue, once there are so many."""

    async def enough() -> bool:
        return await admin.depth(CALLBACK_DLQ) >= count

    await eventually(enough, what=f"{count} dead letters")
    return await admin.peek(CALLBACK_DLQ)


async def settled(admin: RabbitAdmin) -> None:
    """Wait until the notifier's queues are empty and nothing of them is unacknowledged."""

    async def empty() -> bool:
        return not any([await admin.depth(queue) for queue in (NOTIFIER_JOB_EVENTS, NOTIFIER_CALLBACKS_DUE)])

    await eventually(empty, what="empty queues")


async def test_a_callback_arrives_signed_and_the_reference_library_accepts_it(
    run: RunNotifier, settings: NotifierSettings, sender: Messaging, receiver: CallbackReceiver, database: Database
) -> None:
    await run()
    event = an_ended_job(settings, receiver.url("/in"))
    await sender.send_event(event)
    [request] = await receiver.received(1, "/in")
    body = Webhook(SECRET).verify(request.body, request.headers)
    assert request.headers["x-signature"] == hmac.new(SECRET.encode(), request.body, hashlib.sha256).hexdigest()
    assert request.headers["webhook-id"] == event.job_id == body["job_id"]
    assert request.headers["content-type"] == "application/json"
    assert '"result":{"stat":"ok","title":"Hà Nội 🌸","ratio":1.10},'.encode() in request.body
    document = await stored(database, event.job_id, "delivered")
    assert bytes(document["body"]) == request.body
    assert [(entry["number"], entry["status"]) for entry in document["attempts"]] == [(1, 200)]


async def test_retries_wait_in_the_ladder_and_send_the_same_bytes_until_one_is_taken(
    run: RunNotifier, settings: NotifierSettings, sender: Messaging, receiver: CallbackReceiver, database: Database
) -> None:
    await run()
    receiver.script("/in", Reply(500, body=b"not now"), Reply(drop=True))
    event = an_ended_job(settings, receiver.url("/in"))
    await sender.send_event(event)
    requests = await receiver.received(3, "/in")
    assert len({request.body for request in requests}) == 1
    assert {request.headers["webhook-id"] for request in requests} == {event.job_id}
    for request in requests:
        Webhook(SECRET).verify(request.body, request.headers)
    first, second, third = (request.at for request in requests)
    assert second - first >= 0.8 * 0.25
    assert third - second >= 0.8 * 0.5
    document = await stored(database, event.job_id, "delivered")
    assert [entry["number"] for entry in document["attempts"]] == [1, 2, 3]
    assert document["attempts"][0]["response"] == "not now"
    assert document["attempts"][1]["error"] in {"connection_reset", "protocol_error"}


async def test_after_the_last_attempt_there_is_one_dead_letter_with_its_reason_and_no_secret(
    run: RunNotifier,
    settings: NotifierSettings,
    sender: Messaging,
    receiver: CallbackReceiver,
    database: Database,
    rabbit_admin: RabbitAdmin,
) -> None:
    await run()
    receiver.always(Reply(503))
    event = an_ended_job(settings, receiver.url("/in?key=query-secret"), "a-client-secret")
    await sender.send_event(event)
    [letter] = await dead_letters(rabbit_admin)
    ids = {"job_id": event.job_id, "trace_id": event.trace_id}
    expected = {"reason": "http_503", "attempts": 3, "replays": 0, **ids}
    assert {name: letter.headers.get(name) for name in expected} == expected
    assert letter.type == "callback.due"
    assert CallbackDue.model_validate_json(letter.body) == CallbackDue(job_id=event.job_id, attempt=3)
    assert len(receiver.requests) == 3
    document = await stored(database, event.job_id, "failed")
    assert document["reason"] == "http_503"
    await eventually(lambda: _buried(database, event.job_id), what="the note of the dead letter")
    everything = repr(letter) + repr({name: value for name, value in document.items() if name != "url"})
    assert "a-client-secret" not in everything
    assert "query-secret" not in everything
    assert await rabbit_admin.depth(CALLBACK_DLQ) == 1


async def _buried(database: Database, job_id: str) -> bool:
    document = await database["deliveries"].find_one({"_id": job_id})
    return document is not None and document["dead_lettered_at"] is not None


async def test_a_dead_letter_is_replayed_once_however_often_it_is_sent_again(
    run: RunNotifier,
    settings: NotifierSettings,
    sender: Messaging,
    receiver: CallbackReceiver,
    database: Database,
    rabbit_admin: RabbitAdmin,
) -> None:
    await run(callback_retry_attempts=1)
    await run(callback_retry_attempts=1)
    receiver.script("/in", Reply(503))
    event = an_ended_job(settings, receiver.url("/in"))
    await sender.send_event(event)
    [letter] = await dead_letters(rabbit_admin)
    replay = CallbackDue.model_validate_json(letter.body).model_copy(update={"attempt": 1, "replay": 1})
    await asyncio.gather(*(sender.send_later(replay, queue=NOTIFIER_CALLBACKS_DUE, seconds=0) for _ in range(6)))
    document = await stored(database, event.job_id, "delivered")
    await sender.send_later(replay.model_copy(update={"replay": 2}), queue=NOTIFIER_CALLBACKS_DUE, seconds=0)
    await sender.send_event(event.model_copy(update={"replay": 1}))  # the job itself, run again: a callback of its own
    await stored(database, f"{event.job_id}-r1", "delivered")
    await settled(rabbit_admin)
    first, second, third = receiver.requests
    assert first.body == second.body == bytes(document["body"])
    assert [request.headers["webhook-id"] for request in receiver.requests] == [
        *(event.job_id, event.job_id),
        f"{event.job_id}-r1",
    ]
    Webhook(SECRET).verify(third.body, third.headers)
    assert [(entry["number"], entry["status"]) for entry in document["attempts"]] == [(1, 503), (2, 200)]
    assert document["replays"] == 1


async def test_a_gone_receiver_and_a_refused_address_are_dead_at_once(
    run: RunNotifier,
    settings: NotifierSettings,
    sender: Messaging,
    receiver: CallbackReceiver,
    rabbit_admin: RabbitAdmin,
) -> None:
    await run()
    receiver.always(Reply(410))
    await sender.send_event(an_ended_job(settings, receiver.url("/gone")))
    await sender.send_event(an_ended_job(settings, "http://169.254.169.254/latest/meta-data"))
    letters = await dead_letters(rabbit_admin, 2)
    assert sorted(letter.headers["reason"] for letter in letters) == ["http_410", "refused_address"]
    assert {letter.headers["attempts"] for letter in letters} == {1}
    assert len(receiver.requests) == 1
    assert "169.254" not in repr(letters)


async def test_copies_of_an_event_and_of_a_due_message_end_in_one_post_each(
    run: RunNotifier, settings: NotifierSettings, sender: Messaging, receiver: CallbackReceiver, database: Database
) -> None:
    await run()
    await run()  # two notifiers share the queues
    receiver.script("/in", Reply(500, delay=0.2), Reply(200, delay=0.2))
    event = an_ended_job(settings, receiver.url("/in"))
    await asyncio.gather(*(sender.send_event(event) for _ in range(6)))
    await receiver.received(1, "/in")
    due = CallbackDue(job_id=event.job_id, attempt=2)
    await asyncio.gather(*(sender.send_later(due, queue=NOTIFIER_CALLBACKS_DUE, seconds=0.5) for _ in range(6)))
    await stored(database, event.job_id, "delivered")
    await never(lambda: len(receiver.requests) > 2, during=1.0, what="a third post")
    document = await stored(database, event.job_id, "delivered")
    assert [(entry["number"], entry["status"]) for entry in document["attempts"]] == [(1, 500), (2, 200)]


async def test_hanging_receivers_hold_up_others_for_no_longer_than_the_deadline(
    run: RunNotifier, settings: NotifierSettings, sender: Messaging, receiver: CallbackReceiver
) -> None:
    await run(callback_concurrency=4)
    async with nasty(receivers.silent) as hanging:
        await asyncio.gather(*(sender.send_event(an_ended_job(settings, hanging.url)) for _ in range(4)))
        await eventually(lambda: hanging.connections >= 4, what="four held places")
        began = time.monotonic()
        await sender.send_event(an_ended_job(settings, receiver.url("/in")))
        await receiver.received(1, "/in")
        assert time.monotonic() - began < settings.callback_timeout_seconds + 0.5


async def test_repeated_attempts_have_places_of_their_own(
    run: RunNotifier, settings: NotifierSettings, sender: Messaging, receiver: CallbackReceiver, database: Database
) -> None:
    await run(callback_concurrency=1, callback_timeout_seconds=5)
    receiver.script("/in", Reply(500))
    event = an_ended_job(settings, receiver.url("/in"))
    async with nasty(receivers.silent) as hanging:
        await sender.send_event(event)
        await receiver.received(1, "/in")
        await sender.send_event(an_ended_job(settings, hanging.url))
        await eventually(lambda: hanging.connections == 1, what="the one place for first attempts held")
        await receiver.received(2, "/in", within=3)


async def test_an_event_without_a_callback_is_acknowledged_and_leaves_nothing(
    run: RunNotifier, settings: NotifierSettings, sender: Messaging, receiver: CallbackReceiver, database: Database
) -> None:
    await run()
    await sender.send_event(a_completion())
    event = an_ended_job(settings, receiver.url("/in"), None)
    await sender.send_event(event)
    [request] = await receiver.received(1, "/in")
    assert not {"x-signature", "webhook-signature"} & set(request.headers)
    await stored(database, event.job_id, "delivered")
    assert await database["deliveries"].count_documents({}) == 1


async def test_with_callbacks_off_events_are_acknowledged_and_what_is_due_waits(
    run: RunNotifier,
    settings: NotifierSettings,
    sender: Messaging,
    receiver: CallbackReceiver,
    database: Database,
    rabbit_admin: RabbitAdmin,
) -> None:
    await run()
    receiver.script("/in", Reply(429, {"retry-after": "2"}))
    before = an_ended_job(settings, receiver.url("/in"))
    await sender.send_event(before)
    await receiver.received(1, "/in")
    await stored(database, before.job_id, "pending")
    await run.stop()
    await run(callback_enabled=False)
    await sender.send_event(an_ended_job(settings, receiver.url("/off")))

    async def waits() -> bool:
        return await rabbit_admin.depth(NOTIFIER_CALLBACKS_DUE) == 1

    await eventually(waits, what="the due callback in its queue")
    assert await rabbit_admin.depth(NOTIFIER_JOB_EVENTS) == 0
    await run.stop()
    await run()
    await receiver.received(2, "/in")
    assert receiver.at("/off") == []
    assert await database["deliveries"].count_documents({}) == 1


async def test_garbage_in_the_queue_is_a_dead_letter_and_the_next_event_is_delivered(
    run: RunNotifier,
    settings: NotifierSettings,
    sender: Messaging,
    receiver: CallbackReceiver,
    rabbit_admin: RabbitAdmin,
) -> None:
    await run()
    await rabbit_admin.publish(b"\x00garbage", key=NOTIFIER_JOB_EVENTS, type="job.completed")
    await sender.send_event(an_ended_job(settings, receiver.url("/in")))
    await receiver.received(1, "/in")
    [letter] = await dead_letters(rabbit_admin)
    assert letter.body == b"\x00garbage"
    assert letter.headers["reason"].startswith("unreadable")


async def test_one_trace_leads_from_the_event_through_the_retry_to_the_receiver(
    run: RunNotifier,
    settings: NotifierSettings,
    sender: Messaging,
    receiver: CallbackReceiver,
    database: Database,
    spans: InMemorySpanExporter,
) -> None:
    await run()
    receiver.script("/in", Reply(500))
    event = an_ended_job(settings, receiver.url("/in"))
    await sender.send_event(event)
    requests = await receiver.received(2, "/in")
    await stored(database, event.job_id, "delivered")

    for request in requests:
        _, trace_id, span_id, _ = request.headers["traceparent"].split("-")
        post = await ended_span(spans, int(span_id, 16))
        assert post.kind is SpanKind.CLIENT
        assert post.parent is not None
        consumer = await ended_span(spans, post.parent.span_id)
        assert consumer.kind is SpanKind.CONSUMER
        assert consumer.context is not None
        assert f"{consumer.context.trace_id:032x}" == trace_id
    assert len({request.headers["traceparent"].split("-")[1] for request in requests}) == 1


async def ended_span(spans: InMemorySpanExporter, span_id: int) -> ReadableSpan:
    """The span of this id, once it has ended."""

    def look() -> ReadableSpan | None:
        ended = spans.get_finished_spans()
        return next((span for span in ended if span.context is not None and span.context.span_id == span_id), None)

    return await eventually(look, what=f"the span {span_id:016x}")


async def test_readiness_names_what_is_away(run: RunNotifier) -> None:
    nowhere = SecretStr("mongodb://127.0.0.1:9/?directConnection=true&serverSelectionTimeoutMS=300")
    assert await verdicts(await run()) == {"rabbitmq": True, "mongo": True, "redis": True}
    assert await verdicts(await run(mongo_url=nowhere)) == {"rabbitmq": True, "mongo": False, "redis": True}
    no_rabbit = await run(rabbit_url=SecretStr("amqp://guest:guest@127.0.0.1:9/"))
    assert await verdicts(no_rabbit) == {"rabbitmq": False, "mongo": True, "redis": True}
    no_redis = await run(redis_url=SecretStr("redis://127.0.0.1:9/"))
    assert await verdicts(no_redis) == {"rabbitmq": True, "mongo": True, "redis": False}


async def test_without_redis_callbacks_go_on(
    run: RunNotifier, settings: NotifierSettings, sender: Messaging, receiver: CallbackReceiver
) -> None:
    await run(redis_url=SecretStr("redis://127.0.0.1:9/"))
    for _ in range(20):
        await sender.send_event(an_ended_job(settings, receiver.url("/in")))
    await receiver.received(20, "/in", within=5)


async def verdicts(checks: Mapping[str, Check]) -> dict[str, bool]:
    """Which checks pass."""
    passed = {}
    for name, check in checks.items():
        try:
            await check()
        except Unavailable:
            passed[name] = False
        else:
            passed[name] = True
    return passed


async def test_a_killed_notifier_loses_no_callback_and_repeats_only_what_was_under_way(
    run: RunNotifier,
    settings: NotifierSettings,
    sender: Messaging,
    receiver: CallbackReceiver,
    database: Database,
) -> None:
    receiver.always(Reply(200, delay=0.1))
    process = await run.process()
    events = [an_ended_job(settings, receiver.url("/in")) for _ in range(60)]
    await asyncio.gather(*(sender.send_event(event) for event in events))
    await receiver.received(20, "/in")
    process.kill()
    await process.wait()
    sent_before = len(receiver.requests)
    await run()

    async def all_delivered() -> bool:
        return await database["deliveries"].count_documents({"state": "delivered"}) == len(events)

    await eventually(all_delivered, within=40, what="every callback delivered")
    by_job: dict[str, set[bytes]] = {event.job_id: set() for event in events}
    for request in receiver.requests:
        by_job[request.headers["webhook-id"]].add(request.body)
    assert all(len(bodies) == 1 for bodies in by_job.values())
    assert len(receiver.requests) <= len(events) + settings.callback_concurrency
    assert sent_before < len(events)


async def test_a_stopped_notifier_finishes_its_posts_and_exits_with_0(
    run: RunNotifier, settings: NotifierSettings, sender: Messaging, receiver: CallbackReceiver, database: Database
) -> None:
    receiver.always(Reply(200, delay=0.5))
    process = await run.process()
    event = an_ended_job(settings, receiver.url(f"/{uuid.uuid4().hex}?key=query-secret"), "a-client-secret")
    await sender.send_event(event)
    await eventually(lambda: len(receiver.requests) == 1, what="a post under way")
    process.terminate()
    output, _ = await asyncio.wait_for(process.communicate(), 8)
    assert process.returncode == 0
    assert (await stored(database, event.job_id, "delivered"))["attempts"][0]["status"] == 200
    assert b"callback_attempted" in output
    assert b"a-client-secret" not in output
    assert b"query-secret" not in output


@pytest.mark.new_vhost
async def test_a_broker_that_closes_every_connection_costs_no_callback(
    run: RunNotifier,
    settings: NotifierSettings,
    sender: Messaging,
    receiver: CallbackReceiver,
    database: Database,
    rabbit_admin: RabbitAdmin,
) -> None:
    await run()
    receiver.always(Reply(200, delay=0.3))
    event = an_ended_job(settings, receiver.url("/in"))
    await sender.send_event(event)
    await receiver.received(1, "/in")
    await rabbit_admin.close_connections()
    await stored(database, event.job_id, "delivered", within=30)

    async def sent() -> bool:
        try:
            await sender.send_event(an_ended_job(settings, receiver.url("/after")))
        except Exception:  # noqa: BLE001 - until the sender is connected again
            return False
        return True

    await eventually(sent, within=20, what="an event sent again")
    await receiver.received(1, "/after", within=20)
    await settled(rabbit_admin)
