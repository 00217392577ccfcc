"""What tests of every layer may ask for."""

import os
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.callback_receiver import CallbackReceiver, callback_receiver
from tests.support.flickrhub_client import FlickrHub, flickrhub
from tests.support.run_env import needed

# A busy machine is no failure of a property. `make fuzz` asks for the second one.
settings.register_profile("quick", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("record", settings.get_profile("quick"), max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


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
