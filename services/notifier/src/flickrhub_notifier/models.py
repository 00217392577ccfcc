"""What the notifier works with: deliveries, attempts, and what follows from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import urlsplit


class DeliveryState(StrEnum):
    """``pending`` until a receiver takes it, the attempts are used up, or the receiver says it is gone (410)."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    GONE = "gone"


@dataclass(frozen=True)
class Delivery:
    """One callback of one job, without its history. ``body`` is what every attempt sends, byte for byte."""

    job_id: str
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
