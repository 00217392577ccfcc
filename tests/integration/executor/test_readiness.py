"""An executor says that it is ready when it can work, and only then."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.exceptions import RedisError

from flickrhub_common.contracts import JobCompleted
from flickrhub_common.errors import Unavailable
from flickrhub_common.health import Check
from flickrhub_common.redis import make_redis, ping_redis
from flickrhub_common.settings import RedisSettings
from tests.integration.executor.parts import Hub, a_call
from tests.support.own_hub import free_ports
from tests.support.waiting import eventually

QUEUE = "flickr_rest"


async def missing(checks: Mapping[str, Check]) -> list[str]:
    """What its readiness would name."""
    found = []
    for name, check in checks.items():
        try:
            await check()
        except Exception:  # noqa: BLE001 - as readiness takes it
            found.append(name)
    return found


@pytest.mark.parametrize("declared_by_another", [False, True], ids=["", "declared by another"])
async def test_a_consumer_that_rabbitmq_cancelled_makes_it_unready_and_is_restored(
    hub: Hub, declared_by_another: bool
) -> None:
    checks = await hub.executor()
    await eventually(lambda: _misses(checks), what="readiness")
    await hub.rabbit.delete_queue(QUEUE)
    await eventually(lambda: _misses(checks, "rabbitmq"), within=2, every=0.005, what="readiness that names RabbitMQ")
    if declared_by_another:  # so that there is a queue, but nothing leads to it
        await hub.rabbit.declare(QUEUE)
    await eventually(lambda: _misses(checks), within=10, what="readiness")
    assert await hub.rabbit.consumers(QUEUE) == 1
    job = a_call()
    await hub.send(job)
    assert isinstance((await hub.ended([job]))[0], JobCompleted)


async def test_it_isnt_ready_where_auth_doesnt_let_it_in(hub: Hub) -> None:
    stranger = await hub.executor(internal_api_token=SecretStr("of-another-installation"))
    assert await missing(stranger) == ["auth"]
    nowhere = await hub.executor(auth_url=f"http://127.0.0.1:{free_ports(1)[0]}")
    assert await missing(nowhere) == ["auth"]


@pytest.mark.parametrize("setting", ["maxmemory 1", "replicaof 127.0.0.1 1"], ids=["full", "a replica"])
async def test_a_redis_that_answers_but_takes_no_writes_isnt_there(setting: str, tmp_path: Path) -> None:
    async with own_redis(tmp_path, setting) as settings:
        client = make_redis(settings, max_connections=1)

        async def answers() -> bool:
            with contextlib.suppress(RedisError):
                return bool(await client.ping())
            return False

        try:
            await eventually(answers, what="a Redis that answers")
            with pytest.raises(Unavailable) as caught:
                await ping_redis(client)
            assert caught.value.dependency == "redis"
        finally:
            await client.aclose()


@contextlib.asynccontextmanager
async def own_redis(folder: Path, setting: str) -> AsyncIterator[RedisSettings]:
    """A Redis of the test's own."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("needs a redis-server of its own to spoil")
    (port,) = free_ports(1)
    options = [part for each in (f"port {port}", "bind 127.0.0.1", 'save ""', setting) for part in f"--{each}".split()]
    process = await asyncio.create_subprocess_exec(
        binary, *[each.strip('"') for each in options], cwd=folder, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield RedisSettings(redis_url=SecretStr(f"redis://127.0.0.1:{port}/0"))
    finally:
        process.kill()
        await process.wait()


async def _misses(checks: Mapping[str, Check], *names: str) -> bool:
    return await missing(checks) == [*names]
