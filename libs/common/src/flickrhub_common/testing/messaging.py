"""A broker that remembers what was sent."""

from dataclasses import dataclass, field
from typing import Any

from flickrhub_common.contracts import JobRequested, Message
from flickrhub_common.errors import Unavailable


@dataclass(frozen=True)
class Sent:
    """One message: how (job, event, later or dead), what, and where to."""

    how: str
    message: Message
    queue: str | None = None
    seconds: float | None = None
    headers: dict[str, Any] = field(default_factory=dict)


class FakeMessaging:
    """Has the sending half of ``Messaging``. Set ``away`` to make every send fail as an absent RabbitMQ would."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.away = False

    async def send_job(self, job: JobRequested) -> None:
        """Remember a job."""
        self._remember(Sent("job", job))

    async def send_event(self, event: Message) -> None:
        """Remember an event."""
        self._remember(Sent("event", event))

    async def send_later(self, message: Message, *, queue: str, seconds: float) -> None:
        """Remember a delayed message."""
        self._remember(Sent("later", message, queue=queue, seconds=seconds))

    async def send_dead(self, message: Message, *, queue: str, headers: dict[str, Any]) -> None:
        """Remember a dead letter."""
        self._remember(Sent("dead", message, queue=queue, headers=headers))

    def all(self, how: str) -> list[Sent]:
        """What was sent this way, in order."""
        return [sent for sent in self.sent if sent.how == how]

    def _remember(self, sent: Sent) -> None:
        if self.away:
            raise Unavailable("rabbitmq")
        self.sent.append(sent)
