"""What the notifier works with: deliveries, attempts, and what follows from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import urlsplit

from flickrhub_common.contracts import delivery_id

EXPIRED = "expired"
"""The reason of a delivery that waited too long to be worth another attempt."""


class DeliveryState(StrEnum):
    """``pending`` until a receiver takes it, the attempts are used up, or the receiver says it is gone (410)."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    GONE = "gone"


@dataclass(frozen=True)
class Delivery:
    """One callback of one run of a job, without its history. ``body`` is what every attempt sends, byte for byte.

    ``replays`` is how often it was replayed from the dead letters; each replay begins a round of attempts at
    ``round_began_at``, after ``earlier_attempts`` of the rounds before. ``line`` is the endpoint for which it waits in
    line, if it does. ``claims`` counts the claims of its next attempt of which nothing was recorded. ``accepted_at`` is
    when the job was accepted, if its event says so.
    """

    job_id: str
    user_id: str
    url: str = field(repr=False)
    sealed_secret: str | None = field(repr=False)
    body: bytes = field(repr=False)
    trace_id: str
    trace: Mapping[str, str]
    created_at: datetime
    next_attempt: int
    next_attempt_at: datetime
    claimed_until: datetime | None
    state: DeliveryState = DeliveryState.PENDING
    reason: str | None = None
    dead_lettered_at: datetime | None = None
    job_replay: int = 0
    replays: int = 0
    earlier_attempts: int = 0
    round_began_at: datetime | None = None
    line: str | None = None
    claims: int = 0
    accepted_at: datetime | None = None

    @property
    def id(self) -> str:
        """What it is stored and signed under: the same on every attempt and replay of it."""
        return delivery_id(self.job_id, self.job_replay)

    @property
    def began_at(self) -> datetime:
        """Since when it has been trying to arrive."""
        return self.round_began_at or self.created_at

    def free_at(self) -> datetime:
        """When its next attempt may be made: it is due, and nobody holds its claim any more."""
        return max(self.next_attempt_at, self.claimed_until or self.next_attempt_at)


@dataclass(frozen=True)
class Post:
    """One request as it goes out."""

    url: str = field(repr=False)
    body: bytes = field(repr=False)
    headers: Mapping[str, str]


def endpoint_of(url: str) -> str:
    """Scheme, host and port: all of a URL that may be logged or traced, as its path and query may hold secrets."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "unreadable"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


@dataclass(frozen=True)
class Answer:
    """What came of one request: an HTTP status, or a fixed word that says why there is none (or no whole reply).

    ``retry_after`` is the header as received; ``excerpt`` is the beginning of the reply as harmless text.
    """

    status: int | None = None
    error: str | None = None
    retry_after: str | None = None
    excerpt: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the receiver took it."""
        return self.error is None and self.status is not None and 200 <= self.status <= 299

    @property
    def reason(self) -> str:
        """The failure in one word: ``http_503``, ``timeout``, ``refused_address`` …"""
        return self.error or f"http_{self.status}"


@dataclass(frozen=True)
class Attempt:
    """One attempt as it is recorded."""

    number: int
    at: datetime
    duration_ms: int
    answer: Answer

    @property
    def ended_at(self) -> datetime:
        """When its answer was there."""
        return self.at + timedelta(milliseconds=self.duration_ms)


@dataclass(frozen=True)
class Delivered:
    """After an attempt: it has arrived."""


@dataclass(frozen=True)
class Retry:
    """After an attempt: try again, not before ``at``."""

    at: datetime
    reason: str


@dataclass(frozen=True)
class GiveUp:
    """After an attempt: no more of it."""

    state: DeliveryState
    reason: str


Verdict = Delivered | Retry | GiveUp


@dataclass(frozen=True)
class Nothing:
    """The delivery is finished."""


@dataclass(frozen=True)
class Wait:
    """Look at the delivery again after this long."""

    attempt: int
    seconds: float


@dataclass(frozen=True)
class Bury:
    """The delivery has been given up, and its dead letter may not be there yet."""


FollowUp = Nothing | Wait | Bury


class Sign(StrEnum):
    """What an answer says of the endpoint: it is well, it has no room (or isn't there), or nothing."""

    WELL = "well"
    STRAINED = "strained"
    NONE = "none"


@dataclass(frozen=True)
class Slot:
    """The right to make one attempt at an endpoint now. ``shared`` is False for one given without Redis."""

    endpoint: str
    owner: str
    probe: bool = False
    shared: bool = True


@dataclass(frozen=True)
class Room:
    """What an endpoint takes now: ``free`` attempts more; none for ``shut_for`` seconds, if that isn't 0.

    ``line`` grows with everyone who lines up for it, and is 0 as long as nobody has. ``opened`` says that it was the
    attempt just reported that shut it, ``handed`` that the slot just left is the follower's,
    and ``wanted`` that it isn't, as another process has none at all.
    """

    free: int = 0
    shut_for: float = 0.0
    line: int = 0
    opened: bool = False
    handed: bool = False
    wanted: bool = False


@dataclass(frozen=True)
class Report:
    """What an attempt has learnt of its endpoint; ``asked`` is the wait it asked for (``Retry-After``), in seconds."""

    delivery_id: str
    sign: Sign
    asked: float = 0.0
