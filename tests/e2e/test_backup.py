"""A backup of the running stack, the loss of MongoDB, and `restore`: tokens work, what was open ends, nothing twice."""

import asyncio
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from flickrhub_common.mongo import make_mongo
from flickrhub_common.settings import MongoSettings
from flickrhub_common.signing import hex_signature
from tests.support.callback_receiver import CallbackReceiver, Reply
from tests.support.hub_account import ECHO, Account, Connect
from tests.support.operator import stack
from tests.support.photographs import jpeg
from tests.support.rabbit_admin import running_vhost
from tests.support.run_env import needed
from tests.support.simulator import Simulator
from tests.support.stack_processes import StackProcesses
from tests.support.waiting import eventually

pytestmark = [pytest.mark.alone, pytest.mark.timeout(180)]

LONG_SECONDS = 6
"""What Flickr and the receiver ask for: so long jobs and callbacks wait in the delay ladder."""
SECRET = "of a callback"


async def lose_mongo() -> None:
    """Everything that MongoDB knows is gone."""
    settings = MongoSettings(mongo_url=SecretStr(needed("MONGO_URL")))
    async with make_mongo(settings, service="test") as mongo:
        await mongo.drop_database(settings.mongo_db)


@dataclass
class Open:
    """A job that waits for its next attempt, and one whose callback does."""

    mark: str
    account: Account
    receiver: CallbackReceiver

    async def hand_over(self, sim: Simulator) -> None:
        """Returns when both wait in the delay ladder."""
        asked = {"retry-after": str(LONG_SECONDS)}
        self.receiver.script(f"/late/{self.mark}", Reply(503, asked))
        await self._job("late", callback_secret=SECRET)
        await self.receiver.received(1, f"/late/{self.mark}")
        await sim.fault(self.account.app, ECHO, status=503, headers=asked)
        waits = await self._job("waits")
        await eventually(lambda: self._is(waits, "retrying"), what="a job that waits")

    async def _job(self, kind: str, **more: str) -> str:
        url = self.receiver.url(f"/{kind}/{self.mark}")
        return await self.account.enqueue(ECHO, params={"n": f"{kind} {self.mark}"}, callback_url=url, **more)

    async def _is(self, job_id: str, state: str) -> bool:
        return bool((await self.account.status(job_id))["state"] == state)

    async def have_ended(self) -> None:
        """Wait until they have: the callback that waited came with the same bytes, signed."""
        (told,) = await self.receiver.received(1, f"/waits/{self.mark}", within=60)
        body = told.json()
        assert (body["state"], body["attempts_made"]) == ("completed", 2)
        await eventually(lambda: self._is(body["job_id"], "completed"), what="the state of a job that has called back")
        first, second = await self.receiver.received(2, f"/late/{self.mark}", within=60)
        assert first.body == second.body
        assert second.headers["x-signature"] == hex_signature(second.body, SECRET)


async def test_after_a_restore_tokens_work_and_what_was_open_ends_once(
    connect: Connect, sim: Simulator, receiver: CallbackReceiver, processes: StackProcesses, tmp_path: Path
) -> None:
    """RabbitMQ has lost some of what waits; of the rest there are two messages then, which must do nothing twice."""
    account, folder, photo = await connect(), tmp_path / "backup", jpeg(200_000)
    done = await account.run(ECHO, params={"n": "done"})
    lost, kept = Open("lost", account, receiver), Open("kept", await connect(), receiver)
    await lost.hand_over(sim)
    async with running_vhost(needed("RABBIT_URL"), needed("RABBIT_MANAGEMENT_URL")) as admin:
        await admin.lose_what_waits()
    await kept.hand_over(sim)
    photo_ref = await account.hand_over(photo)

    status, said = await stack("backup", str(folder))
    assert status == 0, said
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    status, said = await stack("restore", str(folder))
    assert status == 1
    assert said.startswith("Error: there are documents in deliveries, jobs,")

    await lose_mongo()
    status, said = await stack("restore", str(folder), "--drop", "--rabbitmq-lost")
    assert status == 0, said

    assert (await account.status(done["id"]))["state"] == "completed"
    await asyncio.gather(lost.have_ended(), kept.have_ended())
    ended = await account.run_upload({"photo_ref": photo_ref})
    assert ended["state"] == "completed", ended
    assert len(await sim.uploaded(photo)) == 1
    assert await calls(sim, account) == ["done", "late lost", "waits lost", "waits lost"]
    assert await calls(sim, kept.account) == ["late kept", "waits kept", "waits kept"]
    assert len(receiver.requests) == 6, "a callback came twice"


async def calls(sim: Simulator, account: Account) -> list[str]:
    """What was called, by its mark."""
    return sorted(call["params"]["n"] for call in await sim.calls(account.app, ECHO))
