"""Auth on real servers, with the simulator for Flickr."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from yarl import URL

from flickrhub_auth.settings import AuthSettings
from flickrhub_common.settings import MongoSettings, RabbitSettings, RedisSettings
from tests.integration.auth.parts import INTERNAL_TOKEN, Auth, Ear, answers, free_port, process, running_auth
from tests.support.simulator import FlickrApp, Simulator, simulator
from tests.support.tcp_proxy import TcpProxy, tcp_proxy


@pytest.fixture(scope="session")
async def sim_url() -> AsyncIterator[str]:
    """The simulator, a process of its own."""
    port = free_port()
    async with process("flickr_sim", {"SIM_PORT": str(port)}) as running:
        drain = asyncio.create_task(running.stdout.read()) if running.stdout else None
        await answers(f"http://127.0.0.1:{port}/_sim/calls")
        yield f"http://127.0.0.1:{port}"
        running.terminate()
        if drain is not None:
            await drain


@pytest.fixture
async def sim(sim_url: str) -> AsyncIterator[Simulator]:
    """The simulator's control API, from a clean state."""
    async with simulator(sim_url) as control:
        (await control.http.delete("/_sim/state")).raise_for_status()
        yield control


@pytest.fixture
async def app(sim: Simulator) -> FlickrApp:
    """A Flickr app."""
    return await sim.new_app()


@pytest.fixture
def settings(
    rabbit_settings: RabbitSettings, mongo_settings: MongoSettings, redis_settings: RedisSettings, sim_url: str
) -> AuthSettings:
    """Auth's settings for this test's places."""
    return AuthSettings(
        rabbit_url=rabbit_settings.rabbit_url,
        mongo_url=mongo_settings.mongo_url,
        mongo_db=mongo_settings.mongo_db,
        redis_url=redis_settings.redis_url,
        internal_api_token=SecretStr(INTERNAL_TOKEN),
        encryption_keys=SecretStr("k1:" + base64.b64encode(os.urandom(32)).decode()),
        mock_flickr=True,
        flickr_sim_url=sim_url,
        flickr_timeout_seconds=2,
        shutdown_grace_seconds=2,
    )


@pytest.fixture
async def auth(settings: AuthSettings) -> AsyncIterator[Auth]:
    """Auth, running."""
    async with running_auth(settings) as auth:
        yield auth


@pytest.fixture
async def ear(rabbit_settings: RabbitSettings) -> AsyncIterator[Ear]:
    """Hears auth's events."""
    async with Ear(rabbit_settings) as ear:
        yield ear


async def _between(url: SecretStr, port: int) -> AsyncIterator[TcpProxy]:
    target = URL(url.get_secret_value())
    async with tcp_proxy(target.host or "127.0.0.1", target.port or port) as proxy:
        yield proxy
        await proxy.restore()


@pytest.fixture
async def redis_proxy(settings: AuthSettings) -> AsyncIterator[TcpProxy]:
    """A network to Redis that can be cut."""
    async for proxy in _between(settings.redis_url, 6379):
        yield proxy


@pytest.fixture
async def mongo_proxy(settings: AuthSettings) -> AsyncIterator[TcpProxy]:
    """A network to Mongo that can be cut."""
    async for proxy in _between(settings.mongo_url, 27017):
        yield proxy


@pytest.fixture
async def rabbit_proxy(settings: AuthSettings) -> AsyncIterator[TcpProxy]:
    """A network to RabbitMQ that can be cut."""
    async for proxy in _between(settings.rabbit_url, 5672):
        yield proxy


def through(url: SecretStr, proxy: TcpProxy) -> SecretStr:
    """The same URL, by way of a proxy."""
    return SecretStr(str(URL(url.get_secret_value()).with_host("127.0.0.1").with_port(proxy.port)))


@pytest.fixture
async def fragile(
    settings: AuthSettings, redis_proxy: TcpProxy, mongo_proxy: TcpProxy, rabbit_proxy: TcpProxy
) -> AsyncIterator[Auth]:
    """Auth whose network to each of its servers is one of the proxies."""
    changed = settings.model_copy(
        update={
            "redis_url": through(settings.redis_url, redis_proxy),
            "mongo_url": through(settings.mongo_url, mongo_proxy),
            "rabbit_url": through(settings.rabbit_url, rabbit_proxy),
        }
    )
    async with running_auth(changed) as auth:
        yield auth
        for proxy in (redis_proxy, mongo_proxy, rabbit_proxy):
            await proxy.restore()
