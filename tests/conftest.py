"""What tests of every layer may ask for."""

from collections.abc import AsyncIterator

import pytest

from tests.support.callback_receiver import CallbackReceiver, callback_receiver
from tests.support.flickrhub_client import FlickrHub, flickrhub
from tests.support.run_env import needed


@pytest.fixture
async def receiver() -> AsyncIterator[CallbackReceiver]:
    """A receiver of callbacks on a free local port."""
    async with callback_receiver() as listening:
        yield listening


@pytest.fixture
async def hub() -> AsyncIterator[FlickrHub]:
    """A client of the running local stack's gateway."""
    async with flickrhub(needed("GATEWAY_URL")) as client:
        yield client
