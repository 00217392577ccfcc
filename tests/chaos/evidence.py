"""What everybody says in the end: gateway, receiver, simulator, MongoDB, RabbitMQ, Redis."""

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aio_pika
from pydantic import SecretStr

from flickrhub_common.settings import RabbitSettings
from tests.chaos.load import Accepted, Client, User, is_mark, mark_of
from tests.chaos.receiver import Copy, Receiver
from tests.chaos.stack import Stack, photos_of
from tests.support.dead_letter_tool import run_tool
from tests.support.run_env import needed
from tests.support.waiting import eventually

OPEN = ("queued", "retrying")
PAGE = 2000
ASKED_AT_ONCE = 8
DEAD_LETTERS = ("flickr_dlq", "callback_dlq")


@dataclass(frozen=True)
class Call:
    """One call the simulator received for one of our marks, at this monotonic time.

    `status` None says that it was never answered.
    """

    mark: str
    method: str | None
    status: int | None
    at: float


@dataclass(frozen=True)
class Evidence:
    """Everything the ledger is made from. Effects are counted by mark, at the simulator's."""

    accepted: Sequence[Accepted]
    status: Mapping[str, dict[str, Any]]
    stored: Mapping[str, tuple[str, str | None]]
    """Every job in MongoDB: state, and the failure's code."""
    copies: Mapping[str, Sequence[Copy]]
    calls: Sequence[Call]
    effects: Mapping[str, int]
    queues: Mapping[str, int]
    dead: Mapping[str, Sequence[str]]
    """Of each dead-letter queue, the job of every letter as `flickrhub-dlq` lists them."""
    second_copies: int
    """Letters that it doesn't list, as they are the same as another."""
    troubles: Sequence[str]
    """What no client should meet: a 500, a job nobody takes, a stack that stays down."""
    stuck: Mapping[str, int]
    """Things that must be none: pending deliveries, claimed photos, claims that don't say that all was reported."""


async def at_rest(stack: Stack, client: Client, receiver: Receiver, *, within: float) -> float:
    """Wait until nothing goes on any more, or the time is over (then the ledger says what was left); the seconds."""
    began = time.monotonic()
    with contextlib.suppress(AssertionError):
        await eventually(lambda: _rests(stack, client, receiver), within=within, every=0.5, what="rest")
    return time.monotonic() - began


async def _rests(stack: Stack, client: Client, receiver: Receiver) -> bool:
    if await stack.mongo["jobs"].count_documents({"state": {"$in": OPEN}}):
        return False
    if any((await _stuck(stack)).values()):
        return False
    copies = receiver.copies()
    waited_for = [one for one in client.accepted if one.work.calls_back]
    if not all(any(copy.taken for copy in copies[f"/{one.mark}"]) for one in waited_for):
        return False
    return not any(depth for name, depth in (await _queues(stack)).items() if name not in DEAD_LETTERS)


async def gather(stack: Stack, client: Client, receiver: Receiver, users: Sequence[User]) -> Evidence:
    """Ask everybody."""
    calls = await _calls(stack)
    dead = {queue: await _listed(queue) for queue in DEAD_LETTERS}
    lie_there = sum([len(await stack.rabbit.peek(queue, 100_000)) for queue in DEAD_LETTERS])
    failure = {"state": 1, "failure.code": 1}
    jobs = stack.mongo["jobs"].find({"state": {"$exists": True}}, failure)  # the others were taken back
    return Evidence(
        accepted=client.accepted,
        status=await _status(stack, client),
        stored={job["_id"]: (job["state"], (job.get("failure") or {}).get("code")) async for job in jobs},
        copies=receiver.copies(),
        calls=calls,
        effects=await _effects(stack, client, users),
        queues=await _queues(stack),
        dead=dead,
        second_copies=lie_there - sum(map(len, dead.values())),
        troubles=client.troubles,
        stuck=await _stuck(stack),
    )


async def _listed(queue: str) -> list[str]:
    settings = RabbitSettings(rabbit_url=SecretStr(needed("RABBIT_URL")))
    _, lines, _ = await run_tool(settings, "list", queue, "--json")
    return [str(json.loads(line)["job_id"]) for line in lines]


async def _status(stack: Stack, client: Client) -> dict[str, dict[str, Any]]:
    """What the gateway tells a client of each accepted job."""
    gate = asyncio.Semaphore(ASKED_AT_ONCE)

    async def ask(one: Accepted) -> tuple[str, dict[str, Any]]:
        async with gate:
            reply = await stack.hub.status(one.job_id, one.user_id)
        return one.job_id, reply.json()["data"] or {"state": f"HTTP {reply.status_code}"}

    return dict(await asyncio.gather(*map(ask, client.accepted)))


async def _calls(stack: Stack) -> list[Call]:
    found: list[Call] = []
    last, offset = 0, time.monotonic() - time.time()
    while True:
        query = {"after": last, "limit": PAGE}
        page = (await stack.sim.http.get("/_sim/calls", params=query)).raise_for_status().json()
        if not page:
            return found
        last = page[-1]["n"]
        marked = ((mark_of(call["params"]), call) for call in page)
        found += [
            Call(mark, call["method"], call["status"], call["at"] + offset) for mark, call in marked if mark is not None
        ]


async def _effects(stack: Stack, client: Client, users: Sequence[User]) -> dict[str, int]:
    """How often each mark is there: as a tag, as a set's title, as an uploaded photo's bytes."""
    effects: Counter[str] = Counter()
    by_sha256 = {photo.sha256: mark for mark, photo in client.photographs.items()}
    for user in users:
        photos = await photos_of(stack.sim, user.account.name)
        effects.update(tag for photo in photos for tag in photo["tags"] if is_mark(tag))
        effects.update(by_sha256[photo["sha256"]] for photo in photos if photo["sha256"] in by_sha256)
        effects.update(title for title in await _sets(stack, user, photos[0]["owner"]) if is_mark(title))
    return effects


async def _sets(stack: Stack, user: User, nsid: str) -> list[str]:
    """The titles of a person's sets, asked past the hub."""
    query = {"method": "flickr.photosets.getList", "user_id": nsid, "format": "json", "nojsoncallback": "1"}
    url = f"{needed('SIM_URL')}/services/rest/"
    reply = await stack.sim.http.get(url, params={**query, "api_key": user.account.app.api_key})
    return [one["title"]["_content"] for one in reply.raise_for_status().json()["photosets"]["photoset"]]


async def _queues(stack: Stack) -> dict[str, int]:
    """Messages in every queue: those in a consumer's hands too, as they were up to five seconds ago, or those ready
    this moment, whichever is more.
    """
    listed = await stack.rabbit.queues()
    return {name: max(int(queue.get("messages", 0)), await _ready(stack, name)) for name, queue in listed.items()}


async def _ready(stack: Stack, queue: str) -> int:
    # Gone since, or exclusive to the process that hears of revoked tokens by it: there the list has to do.
    with contextlib.suppress(aio_pika.exceptions.ChannelClosed):
        return await stack.rabbit.depth(queue)
    return 0


async def _stuck(stack: Stack) -> dict[str, int]:
    return {
        "deliveries pending": await stack.mongo["deliveries"].count_documents({"state": "pending"}),
        "photos claimed": await _claimed_photos(stack),
        "claims not reported": await _open_claims(stack),
    }


async def _claimed_photos(stack: Stack) -> int:
    """Photos that a job has. One claimed for a job that never got its 202 nor a document isn't stuck: any other job
    may take it over, and the sweeper finds it. No more is one whose job was taken back.
    """
    holders = await stack.mongo["uploads"].distinct("job_id", {"job_id": {"$ne": None}})
    return await stack.mongo["jobs"].count_documents({"_id": {"$in": holders}, "state": {"$exists": True}})


async def _open_claims(stack: Stack) -> int:
    keys = [key async for key in stack.redis.scan_iter("claim:*", count=1000)]
    if not keys:
        return 0
    async with stack.redis.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.hget(key, "state")
        return sum(state != b"reported" for state in await pipe.execute())
