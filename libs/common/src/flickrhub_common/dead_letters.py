"""Passes through the queues of dead letters, in order and one at a time: an operator's, and those that reseal.

A quorum queue gives back to its head, so whoever wants to see what lies behind has to hold what lies before. Letters
are taken in windows, each by a consumer of its own with a prefetch of that size; what is left of them stays
unacknowledged on one channel until the end, and is given back window by window, so that their order stays. Of a process
that is killed the broker takes them back by itself.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import ChannelNotFoundEntity, DeliveryError, PublishError
from aiormq.exceptions import ChannelLockedResource

from flickrhub_common.rabbit_errors import BROKER_ERRORS, rabbit_errors
from flickrhub_common.topology import WORK_QUEUES, lock_of

CONNECT_SECONDS = 5.0
CONFIRM_SECONDS = 10.0
LOCK_SECONDS = 5.0
LOCK_PAUSE_SECONDS = 0.25
PATIENCE_SECONDS = 2.0
"""How long the next letter may take before the queue is asked whether there is one."""
MOST_SILENCES = 5
FIRST_WINDOW, LARGEST_WINDOW = 16, 128
WINDOW_BYTES = 1024 * 1024
"""Windows grow while they hold less than this: a letter may have 10 MiB, and 100,000 small ones are to go fast."""
BACK_AT_ONCE = 32
"""RabbitMQ puts more messages than this that come back at once into the queue in no order (seen on 3.10)."""
COMMANDS_AT_ONCE = 16
"""More than 32 commands at once to a quorum queue are no longer carried out in their order (seen on 3.10)."""
POLL_SECONDS = 0.02
MOST_POLLS = 100


class MissingQueue(Exception):
    """The broker is there and has no such queue."""


class QueueInUse(Exception):
    """Somebody else is at this queue."""


class NotTaken(Exception):
    """RabbitMQ took no charge of a message: its queue is missing, or full."""


class DeadLetters:
    """A connection to the broker, for going through its queues of dead letters."""

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection

    async def count(self, queue: str) -> int:
        """How many letters lie in a queue and aren't held by anybody. Raises MissingQueue and Unavailable."""
        with _driver_errors():
            async with self._connection.channel() as channel:
                found = (await channel.declare_queue(queue, passive=True)).declaration_result.message_count
        return int(found or 0)

    @contextlib.asynccontextmanager
    async def sorting(self, queue: str) -> AsyncIterator["Sorting"]:
        """Go through a queue's letters, as the only one who does; in the end, what is left is given back.

        Raises QueueInUse, MissingQueue and Unavailable. What is raised meanwhile by others is passed on as it is: a bug
        of ours isn't told as an outage, though drivers raise some of the same errors.
        """
        with _driver_errors():
            await self._lock(queue)
            channel = await self._connection.channel(publisher_confirms=False)
            sending = await self._connection.channel(on_return_raises=True)
        sorting = Sorting(self, queue, channel, sending)
        try:
            yield sorting
        finally:
            with _driver_errors():
                try:
                    await sorting.give_back()
                finally:
                    await channel.close()

    async def _lock(self, queue: str) -> None:
        """Keep others out: an exclusive queue, which lives as long as this connection.

        While one has the letters in hand, another would see an empty queue. Several passes of one connection are fine.
        """
        deadline = asyncio.get_running_loop().time() + LOCK_SECONDS
        found_taken = False
        while True:
            channel = await self._connection.channel()
            try:
                await channel.declare_queue(lock_of(queue), exclusive=True, auto_delete=False)
            except ChannelLockedResource:
                if asyncio.get_running_loop().time() > deadline:
                    raise QueueInUse(queue) from None
                found_taken = True
                await asyncio.sleep(LOCK_PAUSE_SECONDS)
            else:
                await channel.close()
                if found_taken:  # what a killed one had in hand is back a moment after its lock has gone
                    await asyncio.sleep(LOCK_PAUSE_SECONDS)
                return


class Sorting:
    """One pass through a queue of dead letters, from its oldest to the newest that was there at the start."""

    def __init__(self, letters: DeadLetters, queue: str, channel: AbstractChannel, sending: AbstractChannel) -> None:
        self._letters = letters
        self._name = queue
        self._channel = channel
        self._sending = sending
        self._held: set[int] = set()
        self._left: list[tuple[int, int]] = []
        self._size = 0

    async def windows(self) -> AsyncIterator[list[AbstractIncomingMessage]]:
        """The letters, a few at a time, in order; not what comes in meanwhile, for a replay may fail at once."""
        total, position, size = await self._letters.count(self._name), 0, FIRST_WINDOW
        while position < total:
            with _driver_errors():
                messages = await self._next_window(min(size, total - position), tag=f"window-{position}")
            self._held = {message.delivery_tag or 0 for message in messages}
            yield messages[: total - position]
            self._set_aside()
            if not messages:
                return
            position += len(messages)
            size = next_size(size, sum(len(message.body) for message in messages))

    async def take_away(self, tag: int) -> None:
        """Remove a letter for good, by its delivery tag. Raises Unavailable."""
        with _driver_errors():
            await (await self._channel.get_underlay_channel()).basic_ack(tag)
        self._held.discard(tag)

    async def send(self, message: aio_pika.Message, *, exchange: str, key: str) -> None:
        """Send, and return when RabbitMQ has confirmed. Raises NotTaken and Unavailable."""
        exchanges = self._sending
        with _driver_errors():
            to = await exchanges.get_exchange(exchange, ensure=False) if exchange else exchanges.default_exchange
            try:
                await to.publish(message, routing_key=key, mandatory=True, timeout=CONFIRM_SECONDS)
            except (PublishError, DeliveryError) as error:
                raise NotTaken from error

    async def give_back(self) -> None:
        """Give back what is held, the oldest first."""
        self._set_aside()
        left, self._left = self._left, []
        if self._channel.is_closed or not left:
            return
        underlay = await self._channel.get_underlay_channel()
        ready = await self._letters.count(self._name)
        for number, (last, letters) in enumerate(left, 1):
            await underlay.basic_nack(last, multiple=True, requeue=True)
            ready += letters
            if number % COMMANDS_AT_ONCE == 0:
                await self._until_ready(ready)

    def _set_aside(self) -> None:
        """Remember of a window what is left, in parts that can be given back at once: the last letter, and how many."""
        held, self._held = sorted(self._held), set()
        parts = [held[start : start + BACK_AT_ONCE] for start in range(0, len(held), BACK_AT_ONCE)]
        self._left += [(part[-1], len(part)) for part in parts]

    async def _until_ready(self, letters: int) -> None:
        """Wait until so many are in the queue again, as nobody confirms what is given back."""
        for _ in range(MOST_POLLS):
            if await self._letters.count(self._name) >= letters:
                return
            await asyncio.sleep(POLL_SECONDS)

    async def _next_window(self, wanted: int, *, tag: str) -> list[AbstractIncomingMessage]:
        if wanted != self._size:
            await self._channel.set_qos(prefetch_count=wanted)
            self._size = wanted
        inbox: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        messages: list[AbstractIncomingMessage] = []
        queue = await self._channel.get_queue(self._name, ensure=False)
        await queue.consume(inbox.put, consumer_tag=tag)
        silences = 0
        while len(messages) < wanted:
            try:
                messages.append(await asyncio.wait_for(inbox.get(), PATIENCE_SECONDS))
            except TimeoutError:
                if await self._letters.count(self._name) == 0:
                    break
                silences += 1
                if silences == MOST_SILENCES:  # the broker has cancelled the consumer, or closed its channel
                    raise
        await queue.cancel(tag)
        while not inbox.empty():
            messages.append(inbox.get_nowait())
        return sorted(messages, key=lambda message: message.delivery_tag or 0)


def next_size(size: int, found_bytes: int) -> int:
    """How many letters to take next, after so many with so many bytes."""
    return max(FIRST_WINDOW, size // 4) if found_bytes > WINDOW_BYTES else min(LARGEST_WINDOW, size * 2)


@contextlib.asynccontextmanager
async def open_dead_letters(url: str) -> AsyncIterator[DeadLetters]:
    """A connection, closed in the end. Raises Unavailable, whose cause tells a refusal from an absence."""
    with rabbit_errors():
        connection = await aio_pika.connect(url, timeout=CONNECT_SECONDS)
    try:
        yield DeadLetters(connection)
    finally:
        with contextlib.suppress(*BROKER_ERRORS, asyncio.CancelledError):
            await connection.close()


def reason_of(headers: Mapping[str, Any]) -> str:
    """Why a letter is dead, in a sentence: ours, or the broker's if it buried the letter by itself."""
    ours = headers.get("reason")
    if isinstance(ours, str) and ours:
        return ours
    theirs = [death.get("reason") for death in _deaths(headers)[:1]]
    return next((f"dead-lettered by RabbitMQ: {reason}" for reason in theirs if isinstance(reason, str)), "")


def queue_of(headers: Mapping[str, Any]) -> str:
    """The queue a letter was in, or of which it is the end: ours, or the broker's.

    The broker's notes begin with the last queue; those of the ladder are among them.
    """
    ours = headers.get("queue")
    if isinstance(ours, str) and ours:
        return ours
    theirs = [death.get("queue") for death in _deaths(headers)]
    return next((name for name in theirs if isinstance(name, str) and name in WORK_QUEUES), "")


def buried_at(headers: Mapping[str, Any], timestamp: datetime | None) -> datetime | None:
    """When a letter came to its queue, in UTC, to the second."""
    moment = timestamp or next((death.get("time") for death in _deaths(headers)), None)
    if not isinstance(moment, datetime):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _deaths(headers: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What the broker notes of a letter that it buried itself, the last time first."""
    deaths = headers.get("x-death")
    return [death for death in deaths if isinstance(death, dict)] if isinstance(deaths, list) else []


@contextlib.contextmanager
def _driver_errors() -> Iterator[None]:
    with rabbit_errors():
        try:
            yield
        except ChannelNotFoundEntity as error:
            raise MissingQueue from error
