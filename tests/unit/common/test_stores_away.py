"""Redis and MongoDB away, or silent: Unavailable, and soon enough for a 503 within 3 s."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pymongo.lock
import pytest
from pydantic import SecretStr
from pymongo.errors import AutoReconnect, DuplicateKeyError, NotPrimaryError, OperationFailure, WriteConcernError
from redis._parsers.base import BaseParser
from redis.exceptions import ResponseError

from flickrhub_common.errors import Unavailable
from flickrhub_common.mongo import make_mongo, mongo_errors, ping_mongo
from flickrhub_common.redis import make_redis, ping_redis, redis_errors
from flickrhub_common.settings import MongoSettings, RedisSettings
from tests.support.tcp_proxy import TcpProxy, tcp_proxy


@pytest.fixture
async def nowhere() -> AsyncIterator[TcpProxy]:
    """A port on which nobody listens, until it is restored; then it takes connections and says nothing."""
    async with tcp_proxy("127.0.0.1", 1, listening=False) as proxy:
        yield proxy


async def redis(port: int) -> None:
    client = make_redis(RedisSettings(redis_url=SecretStr(f"redis://127.0.0.1:{port}/0")))
    try:
        await ping_redis(client)
    finally:
        await client.aclose()


async def mongo(port: int) -> None:
    settings = MongoSettings(mongo_url=SecretStr(f"mongodb://127.0.0.1:{port}/?directConnection=true"))
    async with make_mongo(settings, service="test") as client:
        try:
            await ping_mongo(client)
        finally:
            # The limit of 2.5 s is a multiple of the driver's 0.5 s between attempts, and it loses the socket of an
            # attempt that its close interrupts (PyMongo 4.20, `_async_create_connection`).
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(("name", "ping"), [("redis", redis), ("mongo", mongo)])
async def test_one_that_is_away_is_unavailable_within_3_seconds(
    nowhere: TcpProxy, name: str, ping: Callable[[int], Awaitable[None]]
) -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        await ping(nowhere.port)
    assert time.monotonic() - began < 3
    assert caught.value.dependency == name


@pytest.mark.parametrize(("name", "ping"), [("redis", redis), ("mongo", mongo)])
async def test_one_that_takes_the_connection_and_is_silent_is_unavailable_within_3_seconds(
    nowhere: TcpProxy, name: str, ping: Callable[[int], Awaitable[None]]
) -> None:
    nowhere.swallow()
    await nowhere.restore()
    began = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        await ping(nowhere.port)
    assert time.monotonic() - began < 3
    assert caught.value.dependency == name


@pytest.mark.parametrize(
    "error",
    [
        WriteConcernError("Replication is being shut down", 91, {"codeName": "ShutdownInProgress"}),
        OperationFailure("interrupted at shutdown", 11600),
        OperationFailure("available disk space is less than required minimum", 14031),
        NotPrimaryError("not primary"),
        AutoReconnect("connection closed"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_mongo_that_is_going_is_away(error: Exception) -> None:
    with pytest.raises(Unavailable), mongo_errors():
        raise error


@pytest.mark.parametrize("error", [DuplicateKeyError("E11000"), OperationFailure("no such command")])
def test_what_is_no_outage_of_mongo_passes_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)), mongo_errors():
        raise error


@pytest.mark.parametrize(
    "answer",
    [
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
        "READONLY You can't write against a read only replica.",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "CLUSTERDOWN The cluster is down",
        "NOREPLICAS Not enough good replicas to write.",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        "EXECABORT Transaction discarded because of previous errors.",
        "LOADING Redis is loading the dataset in memory",
        "ERR Error running script (call to f_5d4f): @user_script:2: @user_script: 2: -OOM command not allowed.",
        "ERR Error running script (call to f_5d4f): @user_script:2: -MISCONF Redis is configured to save",
        "READONLY You can't write against a read only replica. script: 5d4f, on @user_script:1.",
        "Command # 1 (SET a 1) of pipeline caused error: ('NOREPLICAS Not enough good replicas to write.',)",
    ],
    ids=lambda answer: answer[:40],
)
def test_a_redis_that_can_do_nothing_for_the_moment_is_away(answer: str) -> None:
    with pytest.raises(Unavailable), redis_errors():
        raise BaseParser.parse_error(answer)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    "answer",
    ["WRONGTYPE Operation against a key", "ERR unknown command 'BOOM', with args", "NOSCRIPT No matching script."],
)
def test_a_mistake_of_ours_is_no_outage_of_redis(answer: str) -> None:
    with pytest.raises(ResponseError), redis_errors():
        raise BaseParser.parse_error(answer)  # type: ignore[no-untyped-call]


async def test_an_operation_that_is_cancelled_while_it_waits_for_a_server_locks_nobody_out() -> None:
    """The driver's own way of waiting, cancelled at the moment in which Python's wait_for is interrupted twice."""
    state = pymongo.lock._async_create_lock()
    servers = pymongo.lock._async_create_condition(state)

    async def select_a_server() -> None:
        async with state:
            await pymongo.lock._async_cond_wait(servers, 0.01)

    selecting = asyncio.create_task(select_a_server())
    await asyncio.sleep(0)
    async with state:  # the monitor's turn, until after the wait is over and its task is cancelled
        await asyncio.sleep(0.05)
        selecting.cancel()
        await asyncio.sleep(0)
    await asyncio.wait({selecting})
    await asyncio.sleep(0.01)
    assert not state.locked()
