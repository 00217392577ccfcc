"""`make rotate-keys` while jobs run: none fails, every callback is signed, and nothing needs the old key after."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx2
import pytest
from pydantic import SecretStr

from flickrhub_common.mongo import make_mongo
from flickrhub_common.resealing import sealed_in
from flickrhub_common.sealing import KeyRing, key_id
from flickrhub_common.settings import MongoSettings
from flickrhub_common.signing import hex_signature
from flickrhub_common.topology import FLICKR_DLQ
from tests.support.callback_receiver import CallbackReceiver, Reply
from tests.support.flickrhub_client import FlickrHub
from tests.support.hub_account import ECHO, Account, Connect
from tests.support.operator import stack
from tests.support.rabbit_admin import RabbitAdmin
from tests.support.run_env import needed
from tests.support.simulator import PEOPLE, Simulator
from tests.support.stack_processes import StackProcesses
from tests.support.waiting import eventually

pytestmark = [pytest.mark.alone, pytest.mark.timeout(240)]

ACCOUNTS = 4
PACE_SECONDS = 1.1
"""Each account may call once a second."""
LONG_SECONDS = 12


@dataclass
class Stream:
    """Jobs that go on being handed over, by clients that try again while the gateway starts anew."""

    url: str
    secrets: dict[str, str] = field(default_factory=dict)
    owners: dict[str, Account] = field(default_factory=dict)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def enqueue(self, account: Account, secret: str, **body: object) -> str:
        """Hand one over, however often it takes."""
        body = {"callback_url": self.url, "callback_secret": secret, **body}

        async def taken() -> str | None:
            try:
                reply = await account.hub.enqueue(method=ECHO, user_id=account.user_id, **body)
            except httpx2.HTTPError:
                return None
            return str(reply.json()["data"]["job_id"]) if reply.status_code == httpx2.codes.ACCEPTED else None

        job_id = await eventually(taken, within=60, every=0.2, what="a gateway that takes a job")
        self.secrets[job_id], self.owners[job_id] = secret, account
        return job_id

    async def run(self, account: Account) -> None:
        """One job after the other until it is over."""
        while not self.over.is_set():
            await self.enqueue(account, uuid.uuid4().hex, params={"n": len(self.secrets)})
            await asyncio.wait({asyncio.create_task(self.over.wait())}, timeout=PACE_SECONDS)


@pytest.fixture
async def rabbit() -> AsyncIterator[RabbitAdmin]:
    async with httpx2.AsyncClient(base_url=needed("RABBIT_MANAGEMENT_URL"), trust_env=False) as management:
        admin = RabbitAdmin(management, needed("RABBIT_URL"), "/")
        yield admin
        await admin.close()


async def rotate() -> str:
    """What an operator runs, and what it said."""
    status, output = await stack("rotate-keys", "--wait", "90", within=200)
    assert status == 0, output
    return output


async def key_ids_in_mongo() -> dict[str, set[str]]:
    """Which keys anything in MongoDB is sealed under, by collection."""
    settings = MongoSettings(mongo_url=SecretStr(needed("MONGO_URL")))
    found: dict[str, set[str]] = {}
    async with make_mongo(settings, service="test") as mongo:
        database = mongo[settings.mongo_db]
        found["tokens"] = {
            key_id(one)
            async for each in database["tokens"].find({"sealed": {"$type": "object"}})
            for one in each["sealed"].values()
        }
        jobs = database["jobs"].find({"callback.sealed_secret": {"$type": "string"}})
        found["jobs"] = {key_id(each["callback"]["sealed_secret"]) async for each in jobs}
        deliveries = database["deliveries"].find({"sealed_secret": {"$type": "string"}})
        found["deliveries"] = {key_id(each["sealed_secret"]) async for each in deliveries}
    return found


async def letters_under(rabbit: RabbitAdmin, job_id: str, ring: KeyRing) -> list[tuple[str, str]]:
    """Of a job's dead letters: the key, and the secret as this ring opens it."""
    found = [sealed_in(letter.body) for letter in await rabbit.peek(FLICKR_DLQ, 100_000)]
    mine = [text for owner, text in filter(None, found) if owner == job_id]
    return [(key_id(text), ring.open(text, purpose="callback_secret", owner=job_id)) for text in mine]


async def test_no_job_fails_while_keys_are_rotated_and_the_old_key_can_go(
    connect: Connect,
    hub: FlickrHub,
    sim: Simulator,
    rabbit: RabbitAdmin,
    receiver: CallbackReceiver,
    processes: StackProcesses,
) -> None:
    app = await sim.new_app()
    accounts = await asyncio.gather(*(connect(app, person=person) for person in range(ACCOUNTS)))
    before, stream = KeyRing.parse(needed("ENCRYPTION_KEYS")), Stream(receiver.url("/hook"))

    # What the old key has sealed, in every place: a dead letter, a job that waits, a callback that waits, a walk.
    other = await connect()
    await sim.fault(other.app, ECHO, code=1)
    dead = await other.enqueue(ECHO, callback_url=receiver.url("/dead"), callback_secret="of a dead letter")
    await receiver.received(1, "/dead")
    await sim.fault(other.app, ECHO, status=429, headers={"Retry-After": str(LONG_SECONDS)})
    await stream.enqueue(other, "of a job that waits", params={"waits": 1})
    receiver.script("/late", Reply(503, headers={"Retry-After": str(LONG_SECONDS)}))
    late = await accounts[0].enqueue(ECHO, callback_url=receiver.url("/late"), callback_secret="of a late callback")
    await receiver.received(1, "/late")
    started = (await hub.start(app.api_key, app.api_secret)).raise_for_status().json()
    assert await letters_under(rabbit, dead, before) == [(before.newest, "of a dead letter")]

    async with asyncio.TaskGroup() as clients:
        for account in accounts:
            clients.create_task(stream.run(account))
        await receiver.received(ACCOUNTS, "/hook")
        try:
            said = await rotate()
        finally:
            stream.over.set()

    after = KeyRing.parse(needed("ENCRYPTION_KEYS"))
    (new,) = [kid for kid, _ in after.keys]
    assert new != before.newest
    assert f"nothing needs {before.newest} any more" in said
    await processes.all_ready()
    for name in ("auth", "gateway", "notifier"):
        assert await asyncio.to_thread(environment_of, processes.pid(name)) == needed("ENCRYPTION_KEYS")

    await every_callback_is_signed(stream, receiver)
    await eventually(lambda: len(receiver.at("/late")) == 2, within=30, what="the callback that waited")
    first, second = receiver.at("/late")
    assert first.body == second.body
    assert second.headers["x-signature"] == hex_signature(second.body, "of a late callback")
    assert second.json()["job_id"] == late
    assert await letters_under(rabbit, dead, after) == [(new, "of a dead letter")]
    assert await key_ids_in_mongo() == {"tokens": {new}, "jobs": {new}, "deliveries": {new}}
    verifier = await hub.approve(started["authorize_url"], account=PEOPLE[0])
    done = await hub.complete(started["oauth_token"], verifier, state=started["state"])
    assert done.json()["user_id"] == accounts[0].user_id, "a walk that began before can be ended after"


async def every_callback_is_signed(stream: Stream, receiver: CallbackReceiver) -> None:
    """Of every job that was taken, and each says it has completed."""

    def told() -> bool:
        return {request.json()["job_id"] for request in receiver.at("/hook")} == set(stream.secrets)

    await eventually(told, within=60, every=0.2, what=f"callbacks of all {len(stream.secrets)} jobs")
    for request in receiver.at("/hook"):
        body = request.json()
        assert body["state"] == "completed"
        assert request.headers["x-signature"] == hex_signature(request.body, stream.secrets[body["job_id"]])
    for job_id, account in stream.owners.items():
        assert (await account.status(job_id))["state"] == "completed"


def environment_of(pid: int) -> str:
    """ENCRYPTION_KEYS as a process has it."""
    with open(f"/proc/{pid}/environ", "rb") as file:
        pairs = [pair.decode().partition("=") for pair in file.read().split(b"\0")]
    return next(value for name, _, value in pairs if name == "ENCRYPTION_KEYS")
