"""The gateway while RabbitMQ, Mongo, Redis or auth is away, and afterwards."""

import asyncio
import time
from collections.abc import Awaitable

import httpx2
import pytest
from pydantic import SecretStr

from flickrhub_common import link
from flickrhub_common.broker import Messaging
from flickrhub_common.topology import GATEWAY_JOB_EVENTS
from flickrhub_gateway.settings import GatewaySettings
from tests.integration.gateway.parts import REST_QUEUE, USER, Gateway, Store, completed, running_gateway
from tests.support.rabbit_admin import RabbitAdmin
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import eventually

ECHO = {"method": "flickr.test.echo", "user_id": USER}


async def quickly(asked: Awaitable[httpx2.Response]) -> httpx2.Response:
    begun = time.monotonic()
    reply = await asked
    took = time.monotonic() - begun
    assert took < 3, f"{took:.1f} s: {reply.text}"
    return reply


def unavailable(reply: httpx2.Response) -> bool:
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "ERR_UNAVAILABLE"), reply.text
    return int(reply.headers["retry-after"]) > 0


async def _cut(proxy: TcpProxy, *, stalled: bool) -> None:
    if stalled:
        proxy.stall()
    else:
        await proxy.cut()


async def test_all_there_is_ready(gateway: Gateway) -> None:
    await eventually(gateway.ready, what="readiness")
    reply = await gateway.http.get("/health/ready")
    assert set(reply.json()["data"]["checks"]) == {"rabbitmq", "mongo", "redis", "auth"}


@pytest.mark.parametrize("stalled", [False, True], ids=["cut", "stalled"])
async def test_jobs_accepted_without_rabbitmq_are_published_once_it_is_back(
    fragile: Gateway,
    rabbit_proxy: TcpProxy,
    rabbit_admin: RabbitAdmin,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    stalled: bool,
) -> None:
    """What stood still in the network arrives, too: each job once from the publisher, and those a sweep tried alone."""
    await eventually(fragile.ready, what="readiness")
    with monkeypatch.context() as impatient:
        impatient.setattr(link, "CONFIRM_SECONDS", 0.5)
        began = time.monotonic()
        await _cut(rabbit_proxy, stalled=stalled)
        replies = [await quickly(fragile.enqueue(**ECHO)) for _ in range(100)]
        assert {reply.status_code for reply in replies} == {202}
        job_ids = [reply.json()["data"]["job_id"] for reply in replies]
        if not stalled:  # silence is noticed only after some heartbeats
            await fragile.names_missing("rabbitmq")
        await asyncio.sleep(2)  # long enough for the sweeper to have tried in vain
        assert not await store.published(*job_ids)
        tries = 1 + int((time.monotonic() - began) / link.CONFIRM_SECONDS)
    await rabbit_proxy.restore()
    await eventually(lambda: store.published(*job_ids), within=15, what="the marks of all")
    sent = [letter.correlation_id for letter in await rabbit_admin.take(REST_QUEUE)]
    assert set(sent) == set(job_ids)
    assert len(sent) <= 2 * len(job_ids) + tries, "more doubles than could have been on their way"
    await eventually(fragile.ready, within=20, what="readiness")


@pytest.mark.parametrize("stalled", [False, True], ids=["cut", "stalled"])
async def test_without_mongo_it_is_503_nothing_is_stored_and_all_comes_back(
    fragile: Gateway, mongo_proxy: TcpProxy, store: Store, stalled: bool
) -> None:
    await eventually(fragile.ready, what="readiness")
    await _cut(mongo_proxy, stalled=stalled)
    assert unavailable(await quickly(fragile.enqueue(**ECHO)))
    assert unavailable(await quickly(fragile.status(USER, USER)))
    await fragile.names_missing("mongo")
    assert (await fragile.http.get("/health")).status_code == 200
    await mongo_proxy.restore()
    await eventually(fragile.ready, within=20, what="readiness")
    if not stalled:  # what stood still in the network arrives when it flows again
        assert await store.jobs.count_documents({"state": "queued"}) == 0
    await fragile.echo()


async def test_events_that_come_without_mongo_are_recorded_once_it_is_back(
    fragile: Gateway, mongo_proxy: TcpProxy, others: Messaging, rabbit_admin: RabbitAdmin
) -> None:
    await eventually(fragile.ready, what="readiness")
    job_id = await fragile.echo()
    await mongo_proxy.cut()
    await others.send_event(completed(job_id))

    async def taken() -> bool:
        return await rabbit_admin.depth(GATEWAY_JOB_EVENTS) == 0

    await eventually(taken, what="the event to be taken")
    await asyncio.sleep(1)
    await mongo_proxy.restore()

    async def done() -> bool:
        return await fragile.state(job_id) == "completed"

    await eventually(done, within=20, what="completion")


@pytest.mark.parametrize("stalled", [False, True], ids=["cut", "stalled"])
async def test_without_auth_it_is_503_nothing_is_stored_and_all_comes_back(
    fragile: Gateway, auth_proxy: TcpProxy, store: Store, stalled: bool
) -> None:
    await eventually(fragile.ready, what="readiness")
    await _cut(auth_proxy, stalled=stalled)
    assert unavailable(await quickly(fragile.enqueue(**ECHO)))
    assert unavailable(await quickly(fragile.start("key", "secret")))
    assert unavailable(await quickly(fragile.complete("token", "verifier")))
    await fragile.names_missing("auth")
    assert await store.jobs.count_documents({}) == 0
    await auth_proxy.restore()
    await eventually(fragile.ready, what="readiness")
    await fragile.echo()


async def test_it_starts_without_anything_and_names_all_of_it(
    fragile_settings: GatewaySettings, rabbit_proxy: TcpProxy, mongo_proxy: TcpProxy, auth_proxy: TcpProxy
) -> None:
    proxies = (rabbit_proxy, mongo_proxy, auth_proxy)
    for proxy in proxies:
        await proxy.cut()
    settings = fragile_settings.model_copy(update={"redis_url": SecretStr("redis://127.0.0.1:1/0")})
    async with running_gateway(settings) as gateway:
        assert await gateway.missing() == ["rabbitmq", "mongo", "redis", "auth"]
        for proxy in proxies:
            await proxy.restore()

        async def only_redis_missing() -> bool:
            return await gateway.missing() == ["redis"]

        await eventually(only_redis_missing, within=20, what="everything but redis")
        await gateway.echo()
