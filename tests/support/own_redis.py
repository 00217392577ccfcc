"""A Redis of the test's own, run as the local stack runs it, to be stopped, killed and started again."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from flickrhub_common.errors import Unavailable
from flickrhub_common.redis import make_redis, ping_redis
from flickrhub_common.settings import RedisSettings
from tests.support.own_hub import free_ports
from tests.support.waiting import eventually

SETTINGS = ("--bind", "127.0.0.1", "--appendonly", "yes", "--appendfsync", "always", "--save", "")


class OwnRedis:
    """Keeps what it acknowledged, whatever happens to its process, unless it is told to forget it."""

    def __init__(self, binary: str, folder: Path) -> None:
        (self._port,) = free_ports(1)
        self.settings = RedisSettings(redis_url=SecretStr(f"redis://127.0.0.1:{self._port}/0"))
        self._binary, self._folder = binary, folder
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, *, empty: bool = False) -> None:
        """Returns when it can be used."""
        if empty:
            shutil.rmtree(self._folder / "appendonlydir")
        self._process = await asyncio.create_subprocess_exec(
            *(self._binary, "--port", str(self._port), *SETTINGS), cwd=self._folder, stdout=asyncio.subprocess.DEVNULL
        )
        client = make_redis(self.settings, max_connections=1)

        async def usable() -> bool:
            with contextlib.suppress(Unavailable):
                await ping_redis(client)
                return True
            return False

        try:
            await eventually(usable, what="a Redis that can be used")
        finally:
            await client.aclose()

    async def end(self, *, kill: bool) -> None:
        """By SIGKILL or SIGTERM; returns when it is gone."""
        if self._process is not None:
            (self._process.kill if kill else self._process.terminate)()
            await self._process.wait()
            self._process = None


@contextlib.asynccontextmanager
async def own_redis(folder: Path) -> AsyncIterator[OwnRedis]:
    """One that runs, with its data in ``folder``."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("needs a redis-server of its own to stop")
    redis = OwnRedis(binary, folder)
    try:
        await redis.start()
        yield redis
    finally:
        await redis.end(kill=True)
