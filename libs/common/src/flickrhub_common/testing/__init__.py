"""Fakes that ship with the library: what a unit test gives a use case instead of the real thing."""

from flickrhub_common.testing.clock import FakeClock
from flickrhub_common.testing.messaging import FakeMessaging, Sent
from flickrhub_common.testing.photo_store import FakePhotoStore

__all__ = ["FakeClock", "FakeMessaging", "FakePhotoStore", "Sent"]
