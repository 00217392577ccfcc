"""How long a client is waited for: the clocks of one connection, and what they say. Nothing is done here."""

from dataclasses import dataclass
from enum import Enum, auto

from flickrhub_common.http_limits import ConnectionLimits


class Verdict(Enum):
    """What to do with a client."""

    WAIT = auto()
    TIMED_OUT = auto()
    """Its request came too slowly."""
    STOPPED = auto()
    """Its body would have to come sooner, as the service stops."""
    CLOSE = auto()
    """It has nothing to say."""
    CUT_OFF = auto()
    """It has been told, or doesn't listen."""


@dataclass(slots=True, kw_only=True)
class Patience:
    """Since when what a client does has been going on, in seconds of the loop's clock; None while it doesn't.

    ``head_since`` is also the time in which a new client hasn't said anything yet.
    """

    limits: ConnectionLimits
    made_at: float
    head_since: float | None
    body_since: float | None = None
    idle_since: float | None = None
    left_at: float | None = None
    stopping_since: float | None = None
    _taken: tuple[int, float] | None = None

    def forgive(self, seconds: float) -> None:
        """It was we who kept the client waiting."""
        if self.head_since is not None:
            self.head_since += seconds
        if self.body_since is not None:
            self.body_since += seconds

    def spare(self, now: float, *, asked: bool) -> tuple[int, float] | None:
        """How soon it may go for a newer client, the least first; None while it is of use.

        First who has been here for a moment and never asked for anything, then who has been idle longest: silent
        connections shut out nobody who speaks. Last those that may be about to speak for the first time.
        """
        if not asked:
            return (0 if now - self.made_at > self.limits.silent_seconds else 2), self.made_at
        return None if self.idle_since is None else (1, self.idle_since)

    def verdict(self, now: float, *, begun: bool, own_pace: bool) -> Verdict:
        """What to do with a client that has or hasn't ``begun`` a request, whose body may have its own pace."""
        limits = self.limits
        if self._past(self.left_at, limits.linger_seconds, now):
            return Verdict.CUT_OFF
        if self._past(self.idle_since, limits.idle_seconds, now):
            return Verdict.CLOSE
        if self._past(self.head_since, limits.head_seconds, now):
            return Verdict.TIMED_OUT if begun else Verdict.CLOSE
        if self.body_since is None or own_pace:
            return Verdict.WAIT
        if self._past(self.body_since, limits.body_seconds, now):
            return Verdict.TIMED_OUT
        return Verdict.STOPPED if self._past(self.stopping_since, limits.stop_seconds, now) else Verdict.WAIT

    def takes_nothing(self, now: float, *, written: int, untaken: int) -> bool:
        """Whether of the bytes ``written`` so far, ``untaken`` of them still here, too few were taken for too long."""
        if not untaken:
            self._taken = None
            return False
        taken = written - untaken
        if self._taken is None or taken >= self._taken[0] + self.limits.least_taken:
            self._taken = taken, now
        patience = self.limits.unread_seconds if self.stopping_since is None else self.limits.stop_seconds
        return now - self._taken[1] > patience

    @staticmethod
    def _past(since: float | None, seconds: float, now: float) -> bool:
        return since is not None and now - since > seconds
