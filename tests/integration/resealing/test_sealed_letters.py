"""Resealing in a real RabbitMQ: dead letters keep what they say, nobody is overlooked, one is at a queue at a time."""

import asyncio
import json
from base64 import b64encode
from collections import Counter
from contextlib import aclosing
from typing import Any

import aio_pika
import pytest
from pydantic import SecretStr

from flickrhub_common import dead_letters, sealed_letters
from flickrhub_common.broker import Messaging
from flickrhub_common.commands import carry_out
from flickrhub_common.contracts import Callback, JobCompleted
from flickrhub_common.errors import Unavailable
from flickrhub_common.resealing import Place, Reseal, reseal, sealed_in
from flickrhub_common.sealed_letters import SealedLetters, UnreadEvents
from flickrhub_common.sealing import KeyRing, key_id
from flickrhub_common.settings import RabbitSettings
from flickrhub_common.topology import (
    CALLBACK_DLQ,
    DELAY_EXCHANGE,
    FLICKR_DLQ,
    NOTIFIER_CALLBACKS_DUE,
    NOTIFIER_JOB_EVENTS,
    delay_key,
)
from flickrhub_dlq.mailbox import open_mailbox
from tests.support.dead_letter_tool import run_tool
from tests.support.rabbit_admin import RabbitAdmin
from tests.support.samples import a_completion, a_due_callback, a_job
from tests.support.waiting import eventually

OLD = "k1:" + b64encode(b"1" * 32).decode()
NEW = "k2:" + b64encode(b"2" * 32).decode()
BEFORE, RING, AFTER = KeyRing.parse(OLD), KeyRing.parse(f"{NEW},{OLD}"), KeyRing.parse(NEW)
PURPOSE = "callback_secret"


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "LOCK_SECONDS", 0.3)
    monkeypatch.setattr(sealed_letters, "STORED_WITHIN_SECONDS", 1.0)


def a_callback(job_id: str, ring: KeyRing = BEFORE) -> Callback:
    sealed = ring.seal(f"secret of {job_id}", purpose=PURPOSE, owner=job_id)
    return Callback(url="https://hooks.example/1", sealed_secret=sealed)


def an_event(job_id: str, ring: KeyRing = BEFORE) -> JobCompleted:
    return a_completion(job_id).model_copy(update={"callback": a_callback(job_id, ring)})


async def bury_event(others: Messaging, job_id: str, ring: KeyRing = BEFORE) -> None:
    crashed = {"reason": "its handler crashed 5 times: KeyError", "queue": NOTIFIER_JOB_EVENTS}
    await others.send_dead(an_event(job_id, ring), queue=CALLBACK_DLQ, headers=crashed)


async def secrets_in(rabbit: RabbitAdmin, queue: str) -> list[tuple[str, str]]:
    """The job and the key of every letter that has a secret, in order; each opens with the new key or the old."""
    found = [sealed_in(letter.body) for letter in await rabbit.peek(queue)]
    for owner, text in filter(None, found):
        assert RING.open(text, purpose=PURPOSE, owner=owner) == f"secret of {owner}"
    return [(owner, key_id(text)) for owner, text in filter(None, found)]


async def run(settings: RabbitSettings, queue: str, *, wait_seconds: float = 0) -> int:
    places: list[Place] = [SealedLetters(settings, queue, purpose=PURPOSE)]
    return await carry_out(Reseal(places, RING, pause_seconds=0.1), wait_seconds=wait_seconds)


async def test_letters_about_callbacks_are_resealed_in_order_and_the_others_stay_in_theirs(
    others: Messaging, rabbit_admin: RabbitAdmin, rabbit_settings: RabbitSettings
) -> None:
    for n in range(20):
        await bury_event(others, f"old-{n}")
        await bury_event(others, f"new-{n}", AFTER)
        await others.send_dead(a_due_callback(f"due-{n}"), queue=CALLBACK_DLQ, headers={"reason": "http_503"})
    tally = await reseal(SealedLetters(rabbit_settings, CALLBACK_DLQ, purpose=PURPOSE), RING)
    assert (tally.resealed, tally.left) == (20, {})
    jobs = [json.loads(letter.body)["job_id"] for letter in await rabbit_admin.peek(CALLBACK_DLQ)]
    kept = [f"{kind}-{n}" for n in range(20) for kind in ("new", "due")]
    assert jobs == [*kept, *(f"old-{n}" for n in range(20))]
    assert {kid for _, kid in await secrets_in(rabbit_admin, CALLBACK_DLQ)} == {"k2"}
    assert (await reseal(SealedLetters(rabbit_settings, CALLBACK_DLQ, purpose=PURPOSE), RING)).resealed == 0


async def test_a_resealed_letter_says_what_it_said_before(
    others: Messaging, rabbit_admin: RabbitAdmin, rabbit_settings: RabbitSettings
) -> None:
    told = {"code": "FLICKR_105", "attempts": 3, "trace_id": "t", "queue": "flickr_rest", "replays": 2}
    first = a_job("gave-up", callback=a_callback("gave-up"))
    await others.send_dead(first, queue=FLICKR_DLQ, headers={**told, "job_id": "gave-up", "reason": "é" * 700})
    second = a_job("dropped", callback=a_callback("dropped"))
    await rabbit_admin.publish(second.to_bytes(), key="flickr_rest", type=second.name, correlation_id="dropped")
    await reject_one(rabbit_settings, "flickr_rest")
    await eventually(lambda: has_letters(rabbit_admin, 2), what="a letter that RabbitMQ itself has buried")
    before = await shown(rabbit_settings)
    assert [(row["job_id"], row["queue"]) for row in before] == [("gave-up", "flickr_rest"), ("dropped", "flickr_rest")]
    assert [row["reason"] for row in before] == ["é" * 700, "dead-lettered by RabbitMQ: rejected"]
    assert await run(rabbit_settings, FLICKR_DLQ) == 0
    assert await secrets_in(rabbit_admin, FLICKR_DLQ) == [("gave-up", "k2"), ("dropped", "k2")]
    assert await shown(rabbit_settings) == before


async def reject_one(settings: RabbitSettings, queue: str) -> None:
    async with await aio_pika.connect(settings.rabbit_url.get_secret_value()) as connection:
        source = await (await connection.channel()).get_queue(queue, ensure=False)
        message = await source.get()
        assert message is not None
        await message.reject()


async def has_letters(rabbit: RabbitAdmin, count: int) -> bool:
    return await rabbit.depth(FLICKR_DLQ) == count


async def shown(settings: RabbitSettings) -> list[dict[str, Any]]:
    code, lines, _ = await run_tool(settings, "show", FLICKR_DLQ, "--all", "--json")
    assert code == 0
    return [json.loads(line) for line in lines]


async def test_letters_that_the_tool_has_in_hand_are_never_overlooked(
    others: Messaging, rabbit_admin: RabbitAdmin, rabbit_settings: RabbitSettings
) -> None:
    await bury_event(others, "held")
    async with open_mailbox(rabbit_settings) as mailbox, mailbox.sorting(CALLBACK_DLQ) as sorting:
        assert [letter.job_id async for window in sorting.windows() for letter in window] == ["held"]
        assert await run(rabbit_settings, CALLBACK_DLQ) == 2
        patient = asyncio.create_task(run(rabbit_settings, CALLBACK_DLQ, wait_seconds=30))
        await asyncio.wait({patient}, timeout=0.5)
        assert not patient.done()
    assert await patient == 0
    assert await secrets_in(rabbit_admin, CALLBACK_DLQ) == [("held", "k2")]


async def test_the_tool_is_told_that_a_reseal_is_at_the_letters(
    others: Messaging, rabbit_settings: RabbitSettings
) -> None:
    await bury_event(others, "one")
    async with aclosing(SealedLetters(rabbit_settings, CALLBACK_DLQ, purpose=PURPOSE).under_other_keys("k2")) as values:
        assert (await anext(values)).owner == "one"
        code, lines, said = await run_tool(rabbit_settings, "list", CALLBACK_DLQ, "--json")
    assert (code, lines) == (1, [])
    assert said.startswith("Somebody else is at callback_dlq just now, with this tool or to reseal;")
    assert (await run_tool(rabbit_settings, "list", CALLBACK_DLQ))[0] == 0


async def test_a_reseal_that_was_broken_off_is_gone_on_with_by_the_next_and_loses_no_letter(
    others: Messaging, rabbit_admin: RabbitAdmin, rabbit_settings: RabbitSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [f"job-{n}" for n in range(10)]
    for job in jobs:
        await bury_event(others, job)
    taken = 0

    async def lost(self: dead_letters.Sorting, tag: int) -> None:
        nonlocal taken
        taken += 1
        if taken == 4:
            raise ConnectionError
        await take_away(self, tag)

    take_away = dead_letters.Sorting.take_away
    monkeypatch.setattr(dead_letters.Sorting, "take_away", lost)
    assert await run(rabbit_settings, CALLBACK_DLQ) == 2, "RabbitMQ went away: to be run again"
    keys = await secrets_in(rabbit_admin, CALLBACK_DLQ)
    assert Counter(kid for _, kid in keys) == {"k1": 7, "k2": 4}
    assert await run(rabbit_settings, CALLBACK_DLQ) == 0
    keys = await secrets_in(rabbit_admin, CALLBACK_DLQ)
    assert Counter(keys) == {(job, "k2"): 2 if job == "job-3" else 1 for job in jobs}


async def test_a_queue_or_a_server_that_is_not_there(rabbit_settings: RabbitSettings) -> None:
    nobody = RabbitSettings(rabbit_url=SecretStr("amqp://guest:guest@127.0.0.1:1/"))
    assert await run(nobody, CALLBACK_DLQ) == 2
    assert await run(rabbit_settings, "no_such_dlq") == 0


async def test_an_event_that_could_not_be_handled_is_waited_for_until_it_is_stored(
    rabbit_admin: RabbitAdmin, rabbit_settings: RabbitSettings
) -> None:
    messaging, stored, met = Messaging(rabbit_settings, service="test"), list[str](), 0

    async def handler(event: JobCompleted) -> None:
        nonlocal met
        met += 1
        await asyncio.sleep(0.6)
        if met < 2:
            raise Unavailable("mongo")
        stored.append(event.job_id)

    messaging.subscribe(NOTIFIER_JOB_EVENTS, (JobCompleted,), handler, concurrency=1)
    await messaging.start()
    try:
        await messaging.send_event(an_event("late"))
        await eventually(lambda: met == 1, what="the handler")
        places: list[Place] = [UnreadEvents(rabbit_settings, NOTIFIER_JOB_EVENTS)]
        assert await Reseal(places, RING, pause_seconds=0.1)(wait_seconds=30)
        assert stored == ["late"]
    finally:
        await messaging.stop()


async def test_events_are_counted_in_their_queue_and_on_the_way_to_it(
    others: Messaging, rabbit_admin: RabbitAdmin, rabbit_settings: RabbitSettings
) -> None:
    unread = UnreadEvents(rabbit_settings, NOTIFIER_JOB_EVENTS)
    await rabbit_admin.publish(b"{}", exchange=DELAY_EXCHANGE, key=delay_key(2, NOTIFIER_JOB_EVENTS))
    assert (await unread.waiting("k2")).counts == {"delayed": 1}
    await eventually(lambda: rabbit_admin.depth(NOTIFIER_JOB_EVENTS), what="the event")
    assert (await unread.waiting("k2")).counts == {"unread": 1}
    await rabbit_admin.purge(NOTIFIER_JOB_EVENTS)
    assert not await unread.waiting("k2")


async def test_what_somebody_else_has_in_the_ladder_is_waited_for_no_longer_than_an_event_can_be_there(
    others: Messaging, rabbit_admin: RabbitAdmin, rabbit_settings: RabbitSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed_letters, "LONGEST_WAIT_SECONDS", 1.0)
    await rabbit_admin.publish(b"{}", exchange=DELAY_EXCHANGE, key=delay_key(16, NOTIFIER_CALLBACKS_DUE))
    unread = UnreadEvents(rabbit_settings, NOTIFIER_JOB_EVENTS)
    looks = 1
    while await unread.waiting("k2"):
        looks += 1
    assert looks == 3, "two looks of 1.5 s, and one that began after 2 s"
    assert await rabbit_admin.depth("flickr.delay.06") == 1
