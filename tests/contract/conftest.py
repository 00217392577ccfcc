"""The running local stack as a client and an operator see it; every test with a Flickr app of its own."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from flickrhub_common.mongo import Database, make_mongo
from flickrhub_common.settings import MongoSettings
from tests.support.flickrhub_client import FlickrHub
from tests.support.hub_account import Account, Connect, connector
from tests.support.plain_http import NOBODY
from tests.support.rabbit_admin import RabbitAdmin
from tests.support.run_env import needed
from tests.support.simulator import FlickrApp, Simulator, simulator


@pytest.fixture(scope="session")
async def sim() -> AsyncIterator[Simulator]:
    """The stack's simulator."""
    async with simulator(needed("SIM_URL")) as client:
        yield client


@pytest.fixture
async def app(sim: Simulator) -> FlickrApp:
    """An app that is this test's own."""
    return await sim.new_app()


@pytest.fixture
def connect(hub: FlickrHub, sim: Simulator) -> Connect:
    """Connects more accounts."""
    return connector(hub, sim)


@pytest.fixture
async def account(connect: Connect) -> Account:
    """An account that is this test's own."""
    return await connect()


@pytest.fixture
async def rabbit() -> AsyncIterator[RabbitAdmin]:
    """An operator's view of the stack's own vhost."""
    async with httpx2.AsyncClient(
        base_url=needed("RABBIT_MANAGEMENT_URL"), timeout=15, verify=NOBODY, trust_env=False
    ) as management:
        admin = RabbitAdmin(management, needed("RABBIT_URL"), "/")
        yield admin
        await admin.close()


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    """What the stack has stored."""
    settings = MongoSettings.model_validate({"mongo_url": needed("MONGO_URL")})
    async with make_mongo(settings, service="test") as client:
        yield client[settings.mongo_db]
