"""A notifier on fakes."""

import pytest

from tests.unit.notifier.notifier_on_fakes import Notifier


@pytest.fixture
def notifier() -> Notifier:
    """A notifier of which everything is there."""
    return Notifier()
