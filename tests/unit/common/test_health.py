"""Liveness asks nothing; readiness names what isn't there, in time."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from fastapi import FastAPI

from flickrhub_common.errors import Unavailable
from flickrhub_common.health import Check, health_router, retire
from flickrhub_common.server import make_app
from tests.support.waiting import eventually


@asynccontextmanager
async def nothing(_: FastAPI) -> AsyncIterator[None]:
    yield


async def get(path: str, *, stopping: bool = False, **checks: Check) -> httpx2.Response:
    app = make_app(title="t", description="t", lifespan=nothing)
    app.include_router(health_router(lambda _: checks))
    if stopping:
        retire(app)
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://hub") as client:
        return await client.get(path)


async def there() -> None:
    pass


async def away() -> None:
    raise Unavailable("mongo")


async def broken() -> None:
    raise RuntimeError("can't connect to secret-host:5672")


async def hangs() -> None:
    await asyncio.Event().wait()


async def test_the_process_lives_whatever_is_away() -> None:
    reply = await get("/health", mongo=away)
    assert (reply.status_code, reply.json()) == (200, {"status": "ok"})


async def test_all_there_is_ready() -> None:
    reply = await get("/health/ready", mongo=there, redis=there)
    assert reply.status_code == 200
    assert reply.json()["data"] == {"status": "ready", "checks": {"mongo": "ok", "redis": "ok"}}


@pytest.mark.parametrize("check", [away, broken])
async def test_what_is_away_is_named_and_nothing_else_said(check: Check) -> None:
    reply = await get("/health/ready", mongo=check, redis=there, rabbitmq=check)
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (503, "ERR_UNAVAILABLE")
    assert error["details"] == ["mongo", "rabbitmq"]
    assert error["message"] == "Not there: mongo, rabbitmq."
    assert reply.headers["retry-after"] == "2"
    assert "secret-host" not in reply.text


async def test_what_doesnt_answer_is_away_after_two_seconds_and_all_are_asked_at_once() -> None:
    began = time.monotonic()
    reply = await get("/health/ready", mongo=hangs, redis=hangs, auth=there)
    assert time.monotonic() - began < 2.9
    assert reply.json()["error"]["details"] == ["mongo", "redis"]


async def test_from_the_moment_it_is_to_stop_it_isnt_ready_lives_and_asks_nobody() -> None:
    reply = await get("/health/ready", stopping=True, mongo=there, redis=hangs)
    assert (reply.status_code, reply.json()["error"]["details"]) == (503, ["stopping"])
    assert reply.headers["retry-after"] == "2"
    assert (await get("/health", stopping=True)).status_code == 200


async def test_however_many_ask_there_is_one_look_at_a_time_and_its_verdict_is_good_for_a_moment() -> None:
    looks, looked = 0, asyncio.Event()

    async def check() -> None:
        nonlocal looks
        looks += 1
        await looked.wait()
        if looks > 1:
            raise Unavailable("mongo")

    app = make_app(title="t", description="t", lifespan=nothing)
    app.include_router(health_router(lambda _: {"mongo": check}, good_for=0.2))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://hub") as client:
        asking = [asyncio.create_task(client.get("/health/ready")) for _ in range(20)]
        await eventually(lambda: looks, every=0.01, what="the first look")
        asking.pop().cancel()  # who goes away takes the look from nobody
        looked.set()
        assert {reply.status_code for reply in await asyncio.gather(*asking)} == {200}
        assert looks == 1
        assert (await client.get("/health/ready")).status_code == 200
        assert looks == 1
        await asyncio.sleep(0.25)
        assert (await client.get("/health/ready")).status_code == 503
        assert looks == 2


async def test_probes_may_ask_by_head() -> None:
    app = make_app(title="t", description="t", lifespan=nothing)
    app.include_router(health_router(lambda _: {"mongo": away}))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://hub") as client:
        assert (await client.head("/health")).status_code == 200
        assert (await client.head("/health/ready")).status_code == 503
