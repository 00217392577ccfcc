"""What the tests of the local stack share. They start processes of their own and never touch a running stack."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.stack import down
from deploy.local.stack.places import Places

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    """A run folder of this test, in a path with a space; whatever was started in it is stopped at the end."""
    places = Places(root=ROOT, run=tmp_path / "a run")
    places.create()
    yield places
    down.stop_everything(places)
