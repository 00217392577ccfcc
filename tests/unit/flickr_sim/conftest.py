"""Simulators in this process."""

from collections.abc import AsyncIterator

import pytest

from flickr_sim.settings import Settings
from flickr_sim.simulator import Simulator
from tests.unit.flickr_sim.caller import Caller, Clock


@pytest.fixture
async def sim() -> AsyncIterator[Caller]:
    """A fresh simulator, to be changed at will."""
    clock = Clock()
    caller = Caller(Simulator(Settings(), clock), clock)
    yield caller
    await caller.http.aclose()


@pytest.fixture(scope="session")
async def world_sim() -> AsyncIterator[Caller]:
    """One simulator for all tests that only look."""
    clock = Clock()
    caller = Caller(Simulator(Settings(), clock), clock)
    yield caller
    await caller.http.aclose()


@pytest.fixture(scope="session")
async def rough_sim() -> AsyncIterator[Caller]:
    """One simulator for all tests that throw anything at it."""
    clock = Clock()
    caller = Caller(Simulator(Settings(), clock), clock)
    yield caller
    await caller.http.aclose()
