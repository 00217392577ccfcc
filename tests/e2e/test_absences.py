"""RabbitMQ, MongoDB, Redis, auth or Flickr away: readiness names it, what needs it says so at once, all comes back."""

import contextlib
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import httpx2
import pytest

from tests.support.callback_receiver import CallbackReceiver
from tests.support.envelopes import failure
from tests.support.flickrhub_client import FlickrHub
from tests.support.hub_account import ECHO, Account
from tests.support.recovery import BACK_WITHIN_SECONDS, recovering
from tests.support.stack_processes import StackProcesses
from tests.support.waiting import eventually

AT_ONCE = 3.0
MANNERS = ["gone", "silent"]
WATCHERS = {
    "rabbitmq": ("gateway", "auth", "executor-rest", "notifier"),
    "mongo": ("gateway", "auth", "notifier"),
    "redis": ("gateway", "auth", "executor-rest", "notifier"),
    "auth": ("gateway", "executor-rest"),
}

pytestmark = [pytest.mark.alone, pytest.mark.timeout(180)]


def away(processes: StackProcesses, name: str, manner: str) -> AbstractAsyncContextManager[None]:
    leaving: Callable[[str], AbstractAsyncContextManager[None]] = getattr(processes, manner)
    return leaving(name)


@contextlib.asynccontextmanager
async def back_soon(processes: StackProcesses, server: str, manner: str) -> AsyncIterator[None]:
    """Within the block a server is away; everything is back within 15 s of its return."""
    async with recovering(processes, f"{server} {manner}", server) as recovery, away(processes, server, manner):
        yield
    sys.stdout.write(f"\n{recovery.row()}\n")
    assert recovery.slowest < BACK_WITHIN_SECONDS, recovery


async def at_once(request: Awaitable[httpx2.Response]) -> httpx2.Response:
    started = time.monotonic()
    reply = await request
    assert time.monotonic() - started < AT_ONCE, f"it took {time.monotonic() - started:.1f} s"
    return reply


async def is_unavailable(request: Awaitable[httpx2.Response]) -> None:
    reply = await at_once(request)
    failure(reply, 503, "ERR_UNAVAILABLE")
    assert int(reply.headers["retry-after"]) > 0


async def is_named(processes: StackProcesses, name: str) -> None:
    """Every service that needs it says so."""
    for service in WATCHERS[name]:

        async def named(service: str = service) -> bool:
            return name in await processes.missing(service)

        await eventually(named, within=10, what=f"{service} naming {name}")


async def still_lives(hub: FlickrHub) -> None:
    assert (await at_once(hub.http.get("/health"))).status_code == httpx2.codes.OK


async def works_again(account: Account, receiver: CallbackReceiver, processes: StackProcesses) -> None:
    await processes.all_ready()
    path = f"/{uuid.uuid4().hex}"
    job_id = await account.enqueue(ECHO, params={"after": path}, callback_url=receiver.url(path))
    assert (await account.ended(job_id, within=30))["state"] == "completed"
    await receiver.received(1, path)


@pytest.mark.parametrize("manner", MANNERS[:1])  # silence is met by the services' own tests
async def test_without_mongo_nothing_is_accepted_or_read(
    manner: str, account: Account, processes: StackProcesses, receiver: CallbackReceiver
) -> None:
    hub = account.hub
    job_id = await account.enqueue(ECHO)
    await account.ended(job_id)
    async with back_soon(processes, "mongo", manner):
        await is_unavailable(hub.enqueue(method=ECHO, user_id=account.user_id, params={"n": 1}))
        await is_unavailable(hub.status(job_id, account.user_id))
        await is_named(processes, "mongo")
        await still_lives(hub)
    await works_again(account, receiver, processes)
    assert (await account.status(job_id))["state"] == "completed"


@pytest.mark.parametrize("manner", MANNERS[:1])  # silence is met by the services' own tests
async def test_without_redis_nobody_connects_but_jobs_are_accepted_and_run_later(
    manner: str, account: Account, processes: StackProcesses, receiver: CallbackReceiver
) -> None:
    hub = account.hub
    async with back_soon(processes, "redis", manner):
        await is_unavailable(hub.start(account.app.api_key, account.app.api_secret))
        reply = await at_once(hub.enqueue(method=ECHO, user_id=account.user_id, callback_url=receiver.url("/later")))
        assert reply.status_code == httpx2.codes.ACCEPTED, reply.text
        await is_named(processes, "redis")
        await still_lives(hub)
    await receiver.received(1, "/later", within=60)
    assert receiver.at("/later")[0].json()["state"] == "completed"
    await works_again(account, receiver, processes)


@pytest.mark.parametrize("manner", MANNERS[:1])  # silence is met by the services' own tests
async def test_without_auth_unknown_users_wait_and_known_ones_do_not(
    manner: str, account: Account, processes: StackProcesses, receiver: CallbackReceiver
) -> None:
    hub = account.hub
    await account.run(ECHO)
    async with away(processes, "auth", manner):
        await is_unavailable(hub.start(account.app.api_key, account.app.api_secret))
        await is_unavailable(hub.complete("72157600000000000-0123456789abcdef", "123-456-789"))
        await is_unavailable(hub.enqueue(method=ECHO, user_id=str(uuid.uuid4())))
        known = hub.enqueue(method=ECHO, user_id=account.user_id, params={"n": 1}, callback_url=receiver.url("/known"))
        assert (await at_once(known)).status_code == httpx2.codes.ACCEPTED
        await is_named(processes, "auth")
        await still_lives(hub)
    await receiver.received(1, "/known", within=60)
    assert receiver.at("/known")[0].json()["state"] == "completed"
    await works_again(account, receiver, processes)


@pytest.mark.parametrize("manner", MANNERS)
async def test_without_rabbitmq_jobs_are_accepted_and_run_when_it_is_back(
    manner: str, account: Account, processes: StackProcesses, receiver: CallbackReceiver
) -> None:
    hub = account.hub
    jobs = []
    async with back_soon(processes, "rabbitmq", manner):
        for n in range(5):
            body = {"params": {"n": n}, "callback_url": receiver.url("/kept")}
            reply = await at_once(hub.enqueue(method=ECHO, user_id=account.user_id, **body))
            assert reply.status_code == httpx2.codes.ACCEPTED, reply.text
            jobs.append(reply.json()["data"]["job_id"])
        assert (await at_once(hub.status(jobs[0], account.user_id))).json()["data"]["state"] == "queued"
        await is_named(processes, "rabbitmq")
        await still_lives(hub)
    await receiver.received(len(jobs), "/kept", within=60)
    for job_id in jobs:
        assert (await account.ended(job_id))["state"] == "completed"
    await works_again(account, receiver, processes)


async def test_without_flickr_nobody_connects(
    account: Account, processes: StackProcesses, receiver: CallbackReceiver
) -> None:
    async with processes.gone("flickr-sim"):
        reply = await at_once(account.hub.start(account.app.api_key, account.app.api_secret))
        failure(reply, 502, "ERR_UPSTREAM")
        assert await processes.missing("gateway") == []
    await works_again(account, receiver, processes)


async def test_a_job_outlives_a_silence_of_flickr(
    account: Account, processes: StackProcesses, receiver: CallbackReceiver
) -> None:
    async with processes.silent("flickr-sim"):
        job_id = await account.enqueue(ECHO)
        await still_lives(account.hub)
        assert (await account.status(job_id))["state"] == "queued"
    assert (await account.ended(job_id, within=30))["state"] == "completed"
