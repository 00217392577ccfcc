"""The fake store keeps the real one's rules."""

import pytest

from tests.unit.notifier.behaviour_of_deliveries import DeliveriesBehaviour
from tests.unit.notifier.fakes import FakeDeliveries


class TestFakeDeliveries(DeliveriesBehaviour):
    """See `behaviour_of_deliveries.py`."""

    @pytest.fixture
    def store(self) -> FakeDeliveries:
        """An empty store."""
        return FakeDeliveries()
