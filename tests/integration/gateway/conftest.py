"""The gateway on real servers, with a stub for auth."""

import base64
import os
import socket
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from yarl import URL

from flickrhub_common.settings import MongoSettings, RabbitSettings, RedisSettings
from flickrhub_gateway.settings import GatewaySettings
from tests.integration.gateway.parts import INTERNAL_TOKEN, Gateway, Store, StubAuth, running_gateway, serving, through
from tests.support.tcp_proxy import TcpProxy, tcp_proxy


@pytest.fixture
async def auth() -> AsyncIterator[StubAuth]:
    """An auth that knows one user."""
    stub = StubAuth()
    async with serving(stub.app()) as port:
        stub.url = f"http://127.0.0.1:{port}"
        yield stub


@pytest.fixture
def settings(
    rabbit_settings: RabbitSettings, mongo_settings: MongoSettings, redis_settings: RedisSettings, auth: StubAuth
) -> GatewaySettings:
    """The gateway's settings for this test's places."""
    return GatewaySettings(
        rabbit_url=rabbit_settings.rabbit_url,
        mongo_url=mongo_settings.mongo_url,
        mongo_db=mongo_settings.mongo_db,
        redis_url=redis_settings.redis_url,
        internal_api_token=SecretStr(INTERNAL_TOKEN),
        encryption_keys=SecretStr("k1:" + base64.b64encode(os.urandom(32)).decode()),
        auth_url=auth.url,
        callback_allow_cidrs="127.0.0.0/8",
        sweep_interval_seconds=0.2,
        sweep_after_seconds=1,
        shutdown_grace_seconds=2,
    )


@pytest.fixture
def unused_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def gateway(settings: GatewaySettings) -> AsyncIterator[Gateway]:
    """The gateway, running."""
    async with running_gateway(settings) as gateway:
        yield gateway


@pytest.fixture
async def store(settings: GatewaySettings) -> AsyncIterator[Store]:
    """The gateway's collection."""
    store = Store(settings)
    yield store
    await store.close()


async def _between(url: SecretStr, port: int) -> AsyncIterator[TcpProxy]:
    target = URL(url.get_secret_value())
    async with tcp_proxy(target.host or "127.0.0.1", target.port or port) as proxy:
        yield proxy
        await proxy.restore()


@pytest.fixture
async def rabbit_proxy(settings: GatewaySettings) -> AsyncIterator[TcpProxy]:
    """A network to RabbitMQ that can be cut."""
    async for proxy in _between(settings.rabbit_url, 5672):
        yield proxy


@pytest.fixture
async def mongo_proxy(settings: GatewaySettings) -> AsyncIterator[TcpProxy]:
    """A network to Mongo that can be cut."""
    async for proxy in _between(settings.mongo_url, 27017):
        yield proxy


@pytest.fixture
async def auth_proxy(settings: GatewaySettings) -> AsyncIterator[TcpProxy]:
    """A network to auth that can be cut."""
    async for proxy in _between(SecretStr(settings.auth_url), 80):
        yield proxy


@pytest.fixture
async def fragile_settings(
    settings: GatewaySettings, rabbit_proxy: TcpProxy, mongo_proxy: TcpProxy, auth_proxy: TcpProxy
) -> GatewaySettings:
    """Settings with the proxies in between."""
    return settings.model_copy(
        update={
            "rabbit_url": through(settings.rabbit_url, rabbit_proxy),
            "mongo_url": through(settings.mongo_url, mongo_proxy),
            "auth_url": through(SecretStr(settings.auth_url), auth_proxy).get_secret_value().rstrip("/"),
            "connection_cache_seconds": 0,
        }
    )


@pytest.fixture
async def fragile(
    fragile_settings: GatewaySettings, rabbit_proxy: TcpProxy, mongo_proxy: TcpProxy, auth_proxy: TcpProxy
) -> AsyncIterator[Gateway]:
    """A gateway, which remembers nobody, whose network to each of its servers is one of the proxies."""
    async with running_gateway(fragile_settings) as gateway:
        yield gateway
        for proxy in (rabbit_proxy, mongo_proxy, auth_proxy):
            await proxy.restore()
