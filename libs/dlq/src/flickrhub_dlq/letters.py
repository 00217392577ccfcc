"""Dead letters as they lie in their queue. Any bytes may: nothing here raises because of what they are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from flickrhub_common.contracts import (
    CallbackDue,
    JobCompleted,
    JobFailed,
    JobReplayed,
    JobRequested,
    JobRetrying,
    Message,
    TokenRejected,
)
from flickrhub_common.dead_letters import buried_at, queue_of, reason_of

KINDS: dict[str, type[Message]] = {
    kind.name: kind
    for kind in (JobRequested, JobCompleted, JobFailed, JobRetrying, JobReplayed, CallbackDue, TokenRejected)
}
UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Letter:
    """One dead letter; ``position`` counts from 1, the oldest first. ``tag`` is the broker's handle on it."""

    position: int
    dead_letter_queue: str
    type: str | None
    body: bytes = field(repr=False)
    headers: Mapping[str, Any] = field(default_factory=dict, repr=False)
    correlation_id: str | None = None
    timestamp: datetime | None = None
    tag: int = 0

    @cached_property
    def message(self) -> Message | None:
        """What it says, if it can be read."""
        kind = KINDS.get(self.type or "")
        if kind is None:
            return None
        try:
            return kind.model_validate_json(self.body)
        except (ValidationError, RecursionError):
            return None

    @property
    def reason(self) -> str:
        """Why it is here, in a sentence."""
        return reason_of(self.headers)

    @property
    def code(self) -> str:
        """The public code of a job's failure."""
        return self._text("code")

    @property
    def queue(self) -> str:
        """The queue it was in, or of which it is the end."""
        return queue_of(self.headers)

    @property
    def job_id(self) -> str:
        """The job it belongs to, as far as anybody knows."""
        known = self._text("job_id") or getattr(self.message, "job_id", "") or self.correlation_id
        return known if isinstance(known, str) else ""

    @property
    def trace_id(self) -> str:
        """The trace of the job's request, as a UUID."""
        known = self._text("trace_id") or getattr(self.message, "trace_id", "")
        return known if isinstance(known, str) else ""

    @property
    def attempts(self) -> int | None:
        """How many attempts were made."""
        return self._number("attempts")

    @property
    def replays(self) -> int:
        """How often it has been replayed."""
        known = self._number("replays")
        return known if known is not None else int(getattr(self.message, "replay", 0))

    @property
    def buried_at(self) -> datetime | None:
        """When it came here, in UTC, to the second."""
        return buried_at(self.headers, self.timestamp)

    @property
    def endpoint(self) -> str:
        """Of a callback, the origin of its receiver."""
        return self._text("endpoint")

    @property
    def is_unreadable(self) -> bool:
        """Whether a service found that it can't be read."""
        return self.reason.startswith(UNREADABLE)

    @property
    def is_an_end(self) -> bool:
        """Whether a service put it here as the end of a job or delivery, rather than because it couldn't handle it."""
        return bool(self._text("job_id")) and not self.is_unreadable

    @property
    def twin_key(self) -> tuple[str, str, int, int] | None:
        """Two letters with the same one are the same end, buried twice: replaying both has one effect."""
        run = int(getattr(self.message, "job_replay", 0))
        return (self.type or "", self.job_id, run, self.replays) if self.is_an_end else None

    def _text(self, name: str) -> str:
        value = self.headers.get(name)
        return value if isinstance(value, str) else ""

    def _number(self, name: str) -> int | None:
        value = self.headers.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
