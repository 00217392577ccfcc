"""A clock that stands still until it is moved."""

from datetime import UTC, datetime, timedelta


class FakeClock:
    """Starts at 2026-01-01 12:00 UTC unless told otherwise."""

    def __init__(self, moment: datetime = datetime(2026, 1, 1, 12, tzinfo=UTC)) -> None:
        self._moment = moment

    def now(self) -> datetime:
        """The time in UTC."""
        return self._moment

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self._moment += timedelta(seconds=seconds)
