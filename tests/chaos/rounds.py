"""When each fault fell, and what it can have cut off: the bounds of what ADR 7, 9 and 15 allow."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.chaos.plan import SERVICES, Blow, Fault, Kind
from tests.chaos.stack import CALLBACK_SECONDS, CALLBACKS_IN_FLIGHT, EXECUTOR_CONCURRENCY, FLICKR_SECONDS

SILENCES = frozenset({Kind.STOP, Kind.LONG_STOP})
ABRUPT = SILENCES | {Kind.KILL}
HOLD_OUTCOMES = frozenset({"rabbitmq", "redis"})
"""The servers without which an executor can't note or tell how a call ended."""
TOGETHER = ({"notifier", "mongo"}, {"rabbitmq", "mongo"})
"""Pairs of which the first keeps a callback's outcome from being held until the second is back to store it."""
ON_ITS_WAY_SECONDS = 2.0
"""What had left a process before its end may be received so much later."""


@dataclass(frozen=True)
class Dealt:
    """A blow and its time in monotonic seconds: the signal, and when it was over (a new process, or SIGCONT)."""

    blow: Blow
    began: float
    over: float

    @property
    def last_cut(self) -> float:
        """When the last of what it cut off can have been received: one of ours sends nothing after its signal."""
        ours = self.blow.target in SERVICES and self.blow.kind in ABRUPT
        return (self.began if ours else self.over) + ON_ITS_WAY_SECONDS

    @property
    def felt_until(self) -> float:
        """From when on all counts that belongs to the recovery: a process is gone with its signal."""
        return self.over if self.blow.kind in SILENCES | {Kind.CLOSE} else self.began

    def cuts(self, executor: str) -> bool:
        """Whether it can part a call of this executor from its outcome. An orderly stop lets calls end."""
        target, kind = self.blow.target, self.blow.kind
        return target in HOLD_OUTCOMES or (target == executor and kind in ABRUPT)


@dataclass(frozen=True)
class Round:
    """A fault, its blows, and when all was well again; `each` is how many processes every leaseholder has."""

    fault: Fault
    dealt: tuple[Dealt, ...]
    recovered: float
    each: int = 1

    @property
    def struck(self) -> float:
        """When it began."""
        return min(one.began for one in self.dealt)

    @property
    def seconds(self) -> float:
        """From the fault's end to the recovery."""
        return self.recovered - max(one.felt_until for one in self.dealt)

    @property
    def duplicates_allowed(self) -> int:
        """As many as callbacks can have been in flight, if it took what only the notifier knew; else none."""
        targets = {one.blow.target for one in self.dealt}
        if TOGETHER[1] <= targets:
            return CALLBACKS_IN_FLIGHT * self.each
        return CALLBACKS_IN_FLIGHT if self._notifiers_cut() or TOGETHER[0] <= targets else 0

    def cuts_callback(self, taken: float) -> bool:
        """Whether a callback taken at this time was in flight when the blow fell that may be its second copy's cause,
        or any blow if none may.
        """
        blows = self._notifiers_cut() or self.dealt
        if any(pair <= {one.blow.target for one in self.dealt} for pair in TOGETHER):
            blows = self.dealt
        first, last = min(one.began for one in blows), max(one.last_cut for one in blows)
        return first - CALLBACK_SECONDS <= taken <= last

    def calls_allowed(self, executor: str) -> int:
        """How many calls of this executor it can have parted from their outcomes."""
        return sum(
            EXECUTOR_CONCURRENCY * (1 if one.blow.target == executor else self.each)
            for one in self.dealt
            if one.cuts(executor)
        )

    def cuts_call(self, executor: str, at: float) -> bool:
        """Whether a call received at this time can have been parted from its outcome."""
        blows = [one for one in self.dealt if one.cuts(executor)]
        return any(one.began - FLICKR_SECONDS <= at <= one.last_cut for one in blows)

    def _notifiers_cut(self) -> list[Dealt]:
        return [one for one in self.dealt if one.blow.target == "notifier" and one.blow.kind in ABRUPT]


def calls_beyond(calls: Iterable[tuple[str, float]], executor: str, rounds: Sequence[Round], *, what: str) -> list[str]:
    """What is wrong with these calls, each a name and a time, if faults must have cut off each one of them."""
    counts: Counter[int] = Counter()
    problems = []
    for name, at in calls:
        number = next((n for n in reversed(range(len(rounds))) if rounds[n].cuts_call(executor, at)), None)
        if number is None:
            problems.append(f"{name}: {what}, and no fault cut it off")
        else:
            counts[number] += 1
    for number, count in counts.items():
        allowed = rounds[number].calls_allowed(executor)
        if count > allowed:
            problems.append(f"{rounds[number].fault}: {count} times {what}, {allowed} can have been cut off")
    return problems
