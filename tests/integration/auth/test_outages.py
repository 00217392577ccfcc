"""Auth while RabbitMQ, Mongo or Redis is away, and afterwards."""

import time
from collections.abc import Awaitable

import pytest

from tests.integration.auth.parts import Auth, Reply, connect, start, verifier
from tests.support.simulator import FlickrApp, Simulator
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import eventually


async def quickly(asked: Awaitable[Reply]) -> Reply:
    begun = time.monotonic()
    reply = await asked
    took = time.monotonic() - begun
    assert took < 3, f"{took:.1f} s: {reply}"
    return reply


async def missing(auth: Auth) -> list[str]:
    reply = await auth.http.get("/health/ready")
    found: list[str] = [] if reply.status_code == 200 else reply.json()["error"]["details"]
    return found


async def ready(auth: Auth) -> bool:
    return not await missing(auth)


@pytest.mark.parametrize("stalled", [False, True], ids=["cut", "stalled"])
async def test_without_redis_connecting_is_503_lending_goes_on_and_all_comes_back(
    fragile: Auth, app: FlickrApp, redis_proxy: TcpProxy, sim: Simulator, stalled: bool
) -> None:
    user_id = await connect(fragile, app)
    pending = await start(fragile, app)
    code = await verifier(pending)
    asked = len(await sim.calls(app, kind="oauth"))
    if stalled:
        redis_proxy.stall()
    else:
        await redis_proxy.cut()
    assert (await quickly(fragile.start(app.api_key, app.api_secret))).failure == (503, "ERR_UNAVAILABLE")
    assert (await quickly(fragile.complete("token", "1"))).failure == (503, "ERR_UNAVAILABLE")
    assert (await quickly(fragile.lend(user_id))).status == 200
    assert await missing(fragile) == ["redis"]
    assert len(await sim.calls(app, kind="oauth")) == asked
    await redis_proxy.restore()
    await eventually(lambda: ready(fragile), what="readiness")
    assert (await fragile.complete(pending.data["oauth_token"], code)).data["user_id"] == user_id


@pytest.mark.parametrize("stalled", [False, True], ids=["cut", "stalled"])
async def test_without_mongo_completing_is_503_burns_nothing_and_all_comes_back(
    fragile: Auth, app: FlickrApp, mongo_proxy: TcpProxy, stalled: bool
) -> None:
    user_id = await connect(fragile, app)
    pending = await start(fragile, app)
    code = await verifier(pending)
    if stalled:
        mongo_proxy.stall()
    else:
        await mongo_proxy.cut()
    token = pending.data["oauth_token"]
    assert (await quickly(fragile.complete(token, code))).failure == (503, "ERR_UNAVAILABLE")
    assert (await quickly(fragile.lend(user_id))).failure == (503, "ERR_UNAVAILABLE")
    assert (await quickly(fragile.find(user_id))).failure == (503, "ERR_UNAVAILABLE")
    assert await missing(fragile) == ["mongo"]
    assert (await fragile.start(app.api_key, app.api_secret)).status == 200
    await mongo_proxy.restore()
    await eventually(lambda: ready(fragile), within=20, what="readiness")
    assert (await fragile.complete(token, code)).data["user_id"] == user_id


@pytest.mark.parametrize("stalled", [False, True], ids=["cut", "stalled"])
async def test_without_rabbitmq_accounts_are_connected_and_replaced(
    fragile: Auth, app: FlickrApp, rabbit_proxy: TcpProxy, stalled: bool
) -> None:
    user_id = await connect(fragile, app)
    pending = await start(fragile, app)
    code = await verifier(pending)
    if stalled:
        rabbit_proxy.stall()
    else:
        await rabbit_proxy.cut()
    assert (await quickly(fragile.complete(pending.data["oauth_token"], code))).data["user_id"] == user_id
    if not stalled:  # a silent one is noticed when its heartbeats have failed
        assert await missing(fragile) == ["rabbitmq"]
    await rabbit_proxy.restore()
    await eventually(lambda: ready(fragile), within=30, what="readiness")
