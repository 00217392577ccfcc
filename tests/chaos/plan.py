"""What is going to happen, decided from the seed before anything does: faults, jobs, gaps."""

import random
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import cycle
from typing import Any

SERVICES = ("gateway", "auth", "executor-rest", "executor-upload", "notifier")
SERVERS = ("rabbitmq", "mongo", "redis")
TARGETS = (*SERVICES, *SERVERS)
LEASEHOLDERS = ("executor-rest", "executor-upload", "notifier")
"""Who holds leases; these have a second process, unless nobody falls silent."""
USERS = 8


class Kind(StrEnum):
    """What is done to a process; CLOSE is done to every connection of RabbitMQ.

    STOP outlasts heartbeats, LONG_STOP the leases too: the process wakes up when another one has taken over.
    """

    KILL = "kill -9"
    STOP = "stop"
    LONG_STOP = "long stop"
    RESTART = "restart"
    CLOSE = "close connections of"


@dataclass(frozen=True)
class Blow:
    """One thing done to one process."""

    kind: Kind
    target: str

    def __str__(self) -> str:
        return f"{self.kind.value} {self.target}"


@dataclass(frozen=True)
class Fault:
    """One or two blows, `apart` seconds from each other.

    They fall when `part` of the round's burst of jobs has been accepted; `gap` seconds of peace follow the recovery.
    """

    number: int
    blows: tuple[Blow, ...]
    apart: float
    part: float
    gap: float

    def __str__(self) -> str:
        return " + ".join(map(str, self.blows))


class Task(StrEnum):
    """What a job asks of Flickr."""

    ECHO = "read"
    SEARCH = "cached read"
    TAG = "add a tag"
    META = "set a title"
    SET = "create a set"
    UPLOAD = "upload"
    WRONG = "fail for good"


LOST_ANSWERS = (500, 502, 504)
"""HTTP statuses after which nobody knows whether Flickr acted."""
WRITES = frozenset({Task.TAG, Task.META, Task.SET, Task.UPLOAD})
_MIX = {Task.ECHO: 42, Task.SEARCH: 10, Task.TAG: 16, Task.META: 10, Task.SET: 8, Task.UPLOAD: 8, Task.WRONG: 6}
_FLICKR_FAILS: tuple[dict[str, Any], ...] = (
    *({"status": 500}, {"status": 503}, {"status": 504}, {"status": 429}),
    *({"drop": "before"}, {"drop": "after"}, {"code": 105}),
)


@dataclass(frozen=True)
class Work:
    """One job a client wants done.

    `flickr` is how the simulator treats its first call, `receiver` what the receiver does before it takes the callback,
    `thinks` how many seconds it then needs for its answer.
    """

    number: int
    task: Task
    user: int
    photo: int
    calls_back: bool
    signed: bool
    flickr: dict[str, Any] = field(default_factory=dict)
    receiver: tuple[str, ...] = ()
    thinks: float = 0.0

    @property
    def fails(self) -> bool:
        """Whether the first call is to go wrong."""
        return bool(self.flickr.keys() - {"latency_ms"})

    @property
    def loses_answer(self) -> bool:
        """Whether it is to go wrong in such a way that nobody knows what Flickr did."""
        return "drop" in self.flickr or self.flickr.get("status") in LOST_ANSWERS

    @property
    def executor(self) -> str:
        """Who makes the call."""
        return "executor-upload" if self.task is Task.UPLOAD else "executor-rest"


def plan_faults(seed: int, count: int, *, stops: bool = True) -> list[Fault]:
    """So many faults: every kind of blow at every target in turn, a pair of any two as every third, one long stop in
    ten.
    """
    dice = random.Random(f"{seed} faults")  # noqa: S311 - has to be repeatable
    kinds = [Kind.KILL, Kind.RESTART, *([Kind.STOP] if stops else [])]
    deck = [Blow(kind, target) for kind in kinds for target in TARGETS] + [Blow(Kind.CLOSE, "rabbitmq")] * 2
    dice.shuffle(deck)
    singles, sleepers = cycle(deck), cycle(dice.sample(LEASEHOLDERS, len(LEASEHOLDERS)))
    faults = []
    for number in range(1, count + 1):
        if stops and number % 10 == 5:
            blows: tuple[Blow, ...] = (Blow(Kind.LONG_STOP, next(sleepers)),)
        else:
            blows = _pair(dice, kinds) if number % 3 == 0 else (next(singles),)
        apart, part, gap = dice.uniform(0, 2), dice.uniform(0.2, 0.9), dice.uniform(0.5, 3)
        faults.append(Fault(number, blows, round(apart, 2), round(part, 2), round(gap, 2)))
    return faults


def _pair(dice: random.Random, kinds: list[Kind]) -> tuple[Blow, ...]:
    return tuple(Blow(dice.choice(kinds), target) for target in dice.sample(TARGETS, 2))


def plan_work(seed: int, count: int) -> list[Work]:
    """So many jobs, mixed."""
    dice = random.Random(f"{seed} jobs")  # noqa: S311 - has to be repeatable
    return [_work(dice, number) for number in range(count)]


def _work(dice: random.Random, number: int) -> Work:
    task = dice.choices(list(_MIX), weights=list(_MIX.values()))[0]
    user, photo = dice.randrange(USERS), dice.randrange(1_000_000)
    calls_back, signed = dice.random() < 0.85, dice.random() < 0.9
    flickr: dict[str, Any] = {"latency_ms": dice.randrange(100, 1500)} if dice.random() < 0.3 else {}
    if dice.random() < 0.08 and task is not Task.SEARCH:  # whose first call can't be told from others'
        flickr |= dice.choice(_FLICKR_FAILS)
    failures = dice.choices((0, 1, 2), weights=(94, 5, 1))[0]
    receiver = tuple(dice.choice(("503", "drop")) for _ in range(failures))
    thinks = round(dice.uniform(0.1, 0.8), 2) if dice.random() < 0.3 else 0.0
    return Work(number, task, user, photo, calls_back, signed, flickr, receiver if calls_back else (), thinks)
