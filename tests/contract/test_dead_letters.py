"""Contract, section 3: what ends in flickr_dlq, and that garbage blocks nothing."""

import json
import uuid

import pytest

from flickrhub_common.contracts import Target, queue_of
from flickrhub_common.topology import (
    CALLBACK_DLQ,
    FLICKR_DLQ,
    GATEWAY_JOB_EVENTS,
    NOTIFIER_CALLBACKS_DUE,
    NOTIFIER_JOB_EVENTS,
    dead_letters_of,
)
from tests.support.callback_receiver import CallbackReceiver
from tests.support.hub_account import ECHO, Account
from tests.support.rabbit_admin import Letter, RabbitAdmin
from tests.support.simulator import Simulator
from tests.support.waiting import eventually

REST_QUEUE = queue_of(Target.REST)
PLENTY = 100_000


async def letters_of(rabbit: RabbitAdmin, job_id: str) -> list[Letter]:
    return [letter for letter in await rabbit.peek(FLICKR_DLQ, PLENTY) if letter.headers.get("job_id") == job_id]


async def test_an_exhausted_job_is_dead_lettered_once_with_its_story(
    account: Account, sim: Simulator, rabbit: RabbitAdmin
) -> None:
    await sim.fault(account.app, times=-1, code=105)
    reply = await account.hub.enqueue(method=ECHO, user_id=account.user_id, params={"n": 1})
    job_id = reply.json()["data"]["job_id"]
    ended = await account.ended(job_id)
    (letter,) = await letters_of(rabbit, job_id)
    assert letter.headers["reason"] == ended["failedReason"]
    assert letter.headers["attempts"] == 3
    assert str(uuid.UUID(letter.headers["trace_id"])) == letter.headers["trace_id"]
    assert letter.delivery_mode == 2
    assert json.loads(letter.body)["job_id"] == job_id


async def test_a_permanent_failure_is_dead_lettered_after_one_attempt(account: Account, rabbit: RabbitAdmin) -> None:
    job_id = await account.enqueue("flickr.photos.getInfo", params={"photo_id": "1"})
    await account.ended(job_id)
    (letter,) = await letters_of(rabbit, job_id)
    assert letter.headers["attempts"] == 1
    assert "not found" in letter.headers["reason"]
    assert letter.headers["code"] == "FLICKR_1"


async def test_a_completed_job_is_not_dead_lettered(account: Account, rabbit: RabbitAdmin) -> None:
    job_id = await account.enqueue(ECHO)
    await account.ended(job_id)
    assert await letters_of(rabbit, job_id) == []


async def test_no_secret_is_in_a_dead_letter(account: Account, sim: Simulator, rabbit: RabbitAdmin) -> None:
    await sim.fault(account.app, times=-1, status=404)
    secret = "whsec_" + "c2VjcmV0LW9mLWEtY2FsbGJhY2s="
    job_id = await account.enqueue(ECHO, callback_url="http://127.0.0.1:9/x", callback_secret=secret)
    await account.ended(job_id)
    (letter,) = await letters_of(rabbit, job_id)
    (call,) = await sim.calls(account.app)
    everything = letter.body.decode() + str(letter.headers)
    for private in (secret, account.app.api_secret, call["oauth_token"]):
        assert private not in everything


GARBAGE = {
    "bytes": b"\x00\xff\xfenonsense",
    "nothing": b"",
    "a json array": b"[1,2,3]",
    "an empty object": b"{}",
    "wrong types": b'{"job_id":5,"user_id":[],"target":"rest"}',
    "deep": b"[" * 20_000,
}


@pytest.mark.parametrize(
    ("queue", "kind", "dead_letter_queue"),
    [
        (REST_QUEUE, "job.requested", FLICKR_DLQ),
        (queue_of(Target.UPLOAD), "job.requested", FLICKR_DLQ),
        (queue_of(Target.REPLACE), "job.requested", FLICKR_DLQ),
        (GATEWAY_JOB_EVENTS, "job.completed", dead_letters_of(GATEWAY_JOB_EVENTS)),
        (NOTIFIER_JOB_EVENTS, "job.failed", CALLBACK_DLQ),
        (NOTIFIER_CALLBACKS_DUE, "callback.due", CALLBACK_DLQ),
    ],
)
async def test_garbage_is_dead_lettered_with_its_reason_and_blocks_nothing(
    account: Account, rabbit: RabbitAdmin, queue: str, kind: str, dead_letter_queue: str
) -> None:
    mark = uuid.uuid4().hex
    for type_ in (kind, "no.such.message", None):
        for body in GARBAGE.values():
            await rabbit.publish(body, key=queue, type=type_, correlation_id=mark)
    count = 3 * len(GARBAGE)

    async def buried() -> list[Letter]:
        found = [one for one in await rabbit.peek(dead_letter_queue, PLENTY) if one.correlation_id == mark]
        return found if len(found) >= count else []

    letters = await eventually(buried, within=20, every=0.3, what=f"{count} dead letters of {queue}")
    assert len(letters) == count
    assert all(letter.headers["reason"].startswith("unreadable") for letter in letters)
    assert sorted(letter.body for letter in letters) == sorted([*GARBAGE.values()] * 3)
    assert (await account.run(ECHO, within=10))["state"] == "completed"


async def test_a_job_among_garbage_is_done_and_called_back(
    account: Account, rabbit: RabbitAdmin, receiver: CallbackReceiver
) -> None:
    for _ in range(50):
        await rabbit.publish(b"garbage", key=REST_QUEUE)
        await rabbit.publish(b"garbage", key=NOTIFIER_JOB_EVENTS)
    await account.enqueue(ECHO, callback_url=receiver.url("/among"))
    await receiver.received(1, "/among")
