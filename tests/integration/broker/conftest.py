"""The messaging edge on the real RabbitMQ."""

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from yarl import URL

from flickrhub_common.settings import RabbitSettings
from tests.integration.broker.parts import MakeMessaging
from tests.support.tcp_proxy import TcpProxy, tcp_proxy


@pytest.fixture
async def make(rabbit_settings: RabbitSettings) -> AsyncIterator[MakeMessaging]:
    """Makes `Messaging` objects in this test's vhost, and stops them all at its end."""
    making = MakeMessaging(rabbit_settings)
    try:
        yield making
    finally:
        await making.stop_all()


@pytest.fixture
async def proxy(rabbit_settings: RabbitSettings) -> AsyncIterator[TcpProxy]:
    """A network between the code under test and RabbitMQ that can be cut, stalled and restored."""
    url = URL(rabbit_settings.rabbit_url.get_secret_value())
    async with tcp_proxy(url.host or "127.0.0.1", url.port or 5672) as between:
        yield between


@pytest.fixture
async def make_behind(rabbit_settings: RabbitSettings, proxy: TcpProxy) -> AsyncIterator[MakeMessaging]:
    """Like `make`, with the proxy in between."""
    url = URL(rabbit_settings.rabbit_url.get_secret_value()).with_host("127.0.0.1").with_port(proxy.port)
    url = url.update_query(heartbeat=2)
    making = MakeMessaging(RabbitSettings(rabbit_url=SecretStr(str(url))))
    try:
        yield making
    finally:
        await proxy.restore()
        await making.stop_all()
