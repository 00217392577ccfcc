"""What failed is done after all: jobs and callbacks replayed from the dead letters, through the whole running stack.

They run when no other test looks at the stack's letters: what the tool has in hand, another test would take for gone.
"""

import json
import uuid
from typing import Any

import pytest
from pydantic import SecretStr

from flickrhub_common.settings import RabbitSettings
from flickrhub_common.topology import CALLBACK_DLQ, FLICKR_DLQ
from tests.support.callback_receiver import CallbackReceiver, Reply
from tests.support.dead_letter_tool import run_tool
from tests.support.hub_account import ECHO, Account, photo_id_of
from tests.support.photographs import jpeg
from tests.support.rabbit_admin import Letter, RabbitAdmin
from tests.support.run_env import needed
from tests.support.simulator import Simulator
from tests.support.waiting import eventually

pytestmark = pytest.mark.few

PLENTY = 100_000


async def tool(*arguments: str) -> int:
    """Run the tool on the stack's broker; its exit code."""
    settings = RabbitSettings(rabbit_url=SecretStr(needed("RABBIT_URL")))
    code, _, _ = await run_tool(settings, *arguments)
    return code


async def letters_of(rabbit: RabbitAdmin, job_id: str, queue: str = FLICKR_DLQ) -> list[Letter]:
    return [letter for letter in await rabbit.peek(queue, PLENTY) if letter.headers.get("job_id") == job_id]


async def buried(rabbit: RabbitAdmin, job_id: str, queue: str = FLICKR_DLQ, *, replays: int = 0) -> Letter:
    """Wait for the one letter of a job's or delivery's run."""

    async def found() -> Letter | None:
        letters = await letters_of(rabbit, job_id, queue)
        return letters[0] if [letter.headers.get("replays", 0) for letter in letters] == [replays] else None

    return await eventually(found, within=20, every=0.2, what=f"the letter of {job_id} in {queue}")


async def completed(account: Account, job_id: str) -> dict[str, Any]:
    """Wait until a job that had failed has completed; its status data."""

    async def done() -> dict[str, Any] | None:
        data = await account.status(job_id)
        return data if data["state"] == "completed" else None

    return await eventually(done, within=20, every=0.05, what="completion")


async def test_a_job_that_failed_is_replayed_and_completes_once_however_often_it_is_replayed(
    account: Account, sim: Simulator, rabbit: RabbitAdmin
) -> None:
    await sim.fault(account.app, times=3, code=105)
    job_id = await account.enqueue(ECHO, params={"n": 1})
    assert (await account.ended(job_id))["state"] == "failed"
    letter = await buried(rabbit, job_id)
    assert await tool("replay", FLICKR_DLQ, job_id) == 0
    status = await completed(account, job_id)
    assert (status["failedReason"], status["stacktrace"]) == (None, [])
    assert status["returnvalue"]["observability"]["attempt"] == 1
    assert await letters_of(rabbit, job_id) == []
    # The letter of a tool that was killed before it could take it away:
    await rabbit.publish(letter.body, key=FLICKR_DLQ, headers=letter.headers, type=letter.type)
    assert await tool("replay", FLICKR_DLQ, job_id) == 0
    assert (await account.run(ECHO, params={"n": 2}))["state"] == "completed"  # behind it in the same queue
    assert len(await sim.calls(account.app, ECHO)) == 3 + 1 + 1
    assert (await account.status(job_id))["state"] == "completed"


async def test_a_replay_that_fails_again_is_among_the_dead_letters_once(
    account: Account, sim: Simulator, rabbit: RabbitAdmin
) -> None:
    job_id = await account.enqueue("flickr.photos.getInfo", params={"photo_id": "1"})
    await account.ended(job_id)
    await buried(rabbit, job_id)
    assert await tool("replay", FLICKR_DLQ, job_id) == 0
    letter = await buried(rabbit, job_id, replays=1)
    assert json.loads(letter.body)["replay"] == 1
    assert (await account.ended(job_id))["state"] == "failed"
    assert len(await sim.calls(account.app, "flickr.photos.getInfo")) == 2
    assert await tool("purge", FLICKR_DLQ, job_id, "--yes") == 0
    assert await letters_of(rabbit, job_id) == []


async def test_an_upload_is_replayed_with_its_photo_and_is_at_flickr_once(
    account: Account, sim: Simulator, rabbit: RabbitAdmin
) -> None:
    photo = jpeg()
    ref = await account.hand_over(photo)
    await sim.fault_upload(account.app, code=6, message="Upload limit reached")
    job_id = await account.enqueue_upload({"photo_ref": ref})
    assert (await account.ended(job_id))["state"] == "failed"
    letter = await buried(rabbit, job_id)
    await rabbit.publish(letter.body, key=FLICKR_DLQ, headers=letter.headers, type=letter.type)  # buried twice
    assert await tool("replay", FLICKR_DLQ, job_id) == 0
    photo_id_of(await completed(account, job_id))
    (found,) = await sim.uploaded(photo)
    assert found["owner"]


async def test_a_replayed_job_calls_back_again_once(
    account: Account, sim: Simulator, rabbit: RabbitAdmin, receiver: CallbackReceiver
) -> None:
    path = f"/{uuid.uuid4().hex}"
    await sim.fault(account.app, times=1, code=1)
    job_id = await account.enqueue(ECHO, callback_url=receiver.url(path), meta={"mine": 1})
    await receiver.received(1, path)
    await buried(rabbit, job_id)
    assert await tool("replay", FLICKR_DLQ, job_id) == 0
    first, second = [request.json() for request in await receiver.received(2, path)]
    assert (first["state"], first["job_id"], first["meta"]) == ("failed", job_id, {"mine": 1})
    assert (second["state"], second["job_id"], second["meta"]) == ("completed", job_id, {"mine": 1})


async def test_a_callback_that_was_given_up_is_replayed_with_the_same_bytes(
    account: Account, rabbit: RabbitAdmin, receiver: CallbackReceiver
) -> None:
    path = f"/{uuid.uuid4().hex}"
    receiver.script(path, Reply(410))
    secret = "whsec_" + "c2VjcmV0LW9mLWEtY2FsbGJhY2s="
    job_id = await account.enqueue(ECHO, callback_url=receiver.url(path), callback_secret=secret)
    await buried(rabbit, job_id, CALLBACK_DLQ)
    assert await tool("replay", CALLBACK_DLQ, job_id) == 0
    first, again = await receiver.received(2, path)
    assert (again.body, again.headers["webhook-id"]) == (first.body, first.headers["webhook-id"])
    assert again.headers["x-signature"] == first.headers["x-signature"]
    assert await letters_of(rabbit, job_id, CALLBACK_DLQ) == []
