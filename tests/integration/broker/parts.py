"""What the tests of the messaging edge are made of."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable

from flickrhub_common.broker import Messaging
from flickrhub_common.contracts import JobRequested, Message
from flickrhub_common.errors import Unavailable
from flickrhub_common.settings import RabbitSettings
from tests.support.waiting import eventually

JOBS = "flickr_rest"


class MakeMessaging:
    """Makes Messaging objects and remembers them, so that all can be stopped."""

    def __init__(self, settings: RabbitSettings) -> None:
        self._settings = settings
        self._made: list[Messaging] = []

    def __call__(self, service: str = "test", *, drain_seconds: float = 5.0) -> Messaging:
        return self.remember(Messaging(self._settings, service=service, drain_seconds=drain_seconds))

    def remember(self, messaging: Messaging) -> Messaging:
        """Have one that was made elsewhere stopped with the others."""
        self._made.append(messaging)
        return messaging

    async def sending(self, service: str = "sender") -> Messaging:
        """One that only sends, started."""
        messaging = self(service)
        await messaging.start()
        return messaging

    async def consuming(self, inbox: "Inbox", queue: str = JOBS, *, concurrency: int = 4) -> Messaging:
        """One that reads jobs from a queue into an inbox, started."""
        messaging = self("reader")
        messaging.subscribe(queue, (JobRequested,), inbox.take, concurrency=concurrency)
        await messaging.start()
        return messaging

    async def stop_all(self) -> None:
        """Stop those that still run."""
        for messaging in self._made:
            await messaging.stop()


class Inbox:
    """A handler that remembers what it got and when, can be told to fail, and can be held at a gate."""

    def __init__(self, *, failures: Iterable[Exception] = (), always: Exception | None = None) -> None:
        self.taken: list[Message] = []
        self.finished: list[Message] = []
        self.times: list[float] = []
        self.running = 0
        self.most_at_once = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self._failures = list(failures)
        self._always = always

    async def take(self, message: Message) -> None:
        """Handle a message."""
        self.taken.append(message)
        self.times.append(time.monotonic())
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            await self.gate.wait()
            if self._failures:
                raise self._failures.pop(0)
            if self._always is not None:
                raise self._always.with_traceback(None)  # else it grows by every time, and costs seconds to log
        finally:
            self.running -= 1
        self.finished.append(message)

    def counts(self) -> Counter[str]:
        """How often each job was taken."""
        return Counter(message.job_id for message in self.taken if isinstance(message, JobRequested))

    async def has(self, count: int, *, within: float = 10.0) -> None:
        """Wait until so many messages were taken."""
        await eventually(lambda: len(self.taken) >= count, within=within, every=0.01, what=f"{count} messages taken")

    async def has_finished(self, count: int, *, within: float = 10.0) -> None:
        """Wait until so many messages were handled to the end."""
        await eventually(
            lambda: len(self.finished) >= count, within=within, every=0.01, what=f"{count} messages handled"
        )


async def ready(messaging: Messaging) -> bool:
    """Whether it says that it can be used."""
    try:
        await messaging.ping()
    except Unavailable:
        return False
    return True


async def unready(messaging: Messaging) -> bool:
    """Whether it says that it can't be used."""
    return not await ready(messaging)


async def sends(messaging: Messaging, message: Message) -> bool:
    """Send a job or an event; whether it was taken."""
    try:
        await (messaging.send_job(message) if isinstance(message, JobRequested) else messaging.send_event(message))
    except Unavailable:
        return False
    return True
