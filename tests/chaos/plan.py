"""What is going to happen, decided from the seed before anything does: faults, jobs, gaps."""

import random
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import cycle, islice
from typing import Any

SERVICES = ("gateway", "auth", "executor-rest", "executor-upload", "notifier")
SERVERS = ("rabbitmq", "mongo", "redis")
TARGETS = (*SERVICES, *SERVERS)
USERS = 8


class Kind(StrEnum):
    """What is done to a process; CLOSE is done to every connection of RabbitMQ."""

    KILL = "kill -9"
    STOP = "stop"
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


def plan_faults(seed: int, count: int, *, stops: bool = True) -> list[Fault]:
    """So many faults: every kind of blow at every target in turn, and a pair of any two as every third."""
    dice = random.Random(f"{seed} faults")  # noqa: S311 - has to be repeatable
    kinds = [Kind.KILL, Kind.RESTART, *([Kind.STOP] if stops else [])]
    deck = [Blow(kind, target) for kind in kinds for target in TARGETS] + [Blow(Kind.CLOSE, "rabbitmq")] * 2
    dice.shuffle(deck)
    singles = cycle(deck)
    faults = []
    for number in range(1, count + 1):
        pair = number % 3 == 0
        blows = _pair(dice, kinds) if pair else tuple(islice(singles, 1))
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
