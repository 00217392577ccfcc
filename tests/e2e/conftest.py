"""The running local stack, whose processes these tests kill and pause; each test leaves it as it found it: ready."""

from collections.abc import AsyncIterator

import pytest

from tests.support.flickrhub_client import FlickrHub
from tests.support.hub_account import Account, Connect, connector
from tests.support.run_env import needed
from tests.support.simulator import Simulator, simulator
from tests.support.stack_processes import StackProcesses, stack_processes


@pytest.fixture(scope="session")
async def sim() -> AsyncIterator[Simulator]:
    """The stack's simulator."""
    async with simulator(needed("SIM_URL")) as client:
        yield client


@pytest.fixture
def connect(hub: FlickrHub, sim: Simulator) -> Connect:
    """Connects accounts."""
    return connector(hub, sim)


@pytest.fixture
async def account(connect: Connect) -> Account:
    """An account that is this test's own."""
    return await connect()


@pytest.fixture
async def processes() -> AsyncIterator[StackProcesses]:
    """The stack's processes, ready before and after."""
    async with stack_processes() as running:
        await running.all_ready()
        yield running
        await running.all_ready()
