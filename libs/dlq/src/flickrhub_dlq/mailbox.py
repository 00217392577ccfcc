"""The queues of dead letters; the only module here that names the driver.

A quorum queue gives back to its head, so whoever wants to see what lies behind has to hold what lies before. Letters
are taken in windows, each by a consumer of its own with a prefetch of that size; what is left of them stays
unacknowledged on one channel until the end, and is given back window by window, so that their order stays. Of a process
that is killed the broker takes them back by itself.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelNotFoundEntity,
    DeliveryError,
    ProbableAuthenticationError,
    PublishError,
)
from aiormq.exceptions import ChannelLockedResource
from yarl import URL

from flickrhub_common.settings import RabbitSettings
from flickrhub_dlq.errors import BadUsage, BrokerAway, NobodyTakesIt, NoSuchQueue, SomebodyElse
from flickrhub_dlq.letters import Letter
from flickrhub_dlq.replaying import Post

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

_AWAY = (AMQPError, OSError, TimeoutError, RuntimeError)
"""What the drivers raise when RabbitMQ is away or going; a closed channel is a RuntimeError of theirs."""
_REFUSED = (AuthenticationError, ProbableAuthenticationError)


class Mailbox:
    """A connection to the broker, for looking into its queues of dead letters."""

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection

    async def count(self, queue: str) -> int:
        """How many letters lie in a queue and aren't held by anybody."""
        with _driver_errors(queue):
            async with self._connection.channel() as channel:
                found = (await channel.declare_queue(queue, passive=True)).declaration_result.message_count
        return int(found or 0)

    @contextlib.asynccontextmanager
    async def sorting(self, queue: str) -> AsyncIterator["Sorting"]:
        """Go through a queue's letters, as the only one who does; in the end, what is left is given back."""
        with _driver_errors(queue):
            await self._lock(queue)
            async with self._connection.channel(publisher_confirms=False) as channel:
                sending = await self._connection.channel(on_return_raises=True)
                sorting = Sorting(self, queue, channel, sending)
                try:
                    yield sorting
                finally:
                    await sorting.give_back()

    async def _lock(self, queue: str) -> None:
        """Keep other operators out: an exclusive queue, which lives as long as this connection.

        While one has the letters in hand, another would see an empty queue. Several passes of one connection are fine.
        """
        deadline = asyncio.get_running_loop().time() + LOCK_SECONDS
        while True:
            channel = await self._connection.channel()
            try:
                await channel.declare_queue(f"flickrhub-dlq.{queue}", exclusive=True, auto_delete=False)
            except ChannelLockedResource:
                if asyncio.get_running_loop().time() > deadline:
                    sentence = f"Somebody else is at {queue} just now; try again when they are done."
                    raise SomebodyElse(sentence) from None
                await asyncio.sleep(LOCK_PAUSE_SECONDS)
            else:
                await channel.close()
                return


class Sorting:
    """One pass through a queue of dead letters, from its oldest to the newest that was there at the start."""

    def __init__(self, mailbox: Mailbox, queue: str, channel: AbstractChannel, sending: AbstractChannel) -> None:
        self._mailbox = mailbox
        self._name = queue
        self._channel = channel
        self._sending = sending
        self._held: set[int] = set()
        self._left: list[tuple[int, int]] = []
        self._size = 0

    async def windows(self) -> AsyncIterator[list[Letter]]:
        """The letters, a few at a time, in order; not what comes in meanwhile, for a replay may fail at once."""
        total, position, size = await self._mailbox.count(self._name), 0, FIRST_WINDOW
        while position < total:
            messages = await self._next_window(min(size, total - position), tag=f"window-{position}")
            self._held = {message.delivery_tag or 0 for message in messages}
            letters = [_letter(self._name, position + n, each) for n, each in enumerate(messages, 1)]
            yield letters[: total - position]
            self._set_aside()
            if not messages:
                return
            position += len(messages)
            size = next_size(size, sum(len(message.body) for message in messages))

    async def take_away(self, letter: Letter) -> None:
        """Remove a letter for good."""
        await (await self._channel.get_underlay_channel()).basic_ack(letter.tag)
        self._held.discard(letter.tag)

    async def send(self, post: Post) -> None:
        """Send, and return when RabbitMQ has confirmed. Raises NobodyTakesIt."""
        message = aio_pika.Message(
            post.body,
            headers=dict(post.headers),
            type=post.type,
            correlation_id=post.correlation_id,
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        exchanges = self._sending
        to = await exchanges.get_exchange(post.exchange, ensure=False) if post.exchange else exchanges.default_exchange
        try:
            await to.publish(message, routing_key=post.key, mandatory=True, timeout=CONFIRM_SECONDS)
        except (PublishError, DeliveryError) as error:
            raise NobodyTakesIt from error

    async def give_back(self) -> None:
        """Give back what is held, the oldest first."""
        self._set_aside()
        left, self._left = self._left, []
        if self._channel.is_closed or not left:
            return
        underlay = await self._channel.get_underlay_channel()
        ready = await self._mailbox.count(self._name)
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
            if await self._mailbox.count(self._name) >= letters:
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
                if await self._mailbox.count(self._name) == 0:
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
async def open_mailbox(settings: RabbitSettings) -> AsyncIterator[Mailbox]:
    """A connection, closed in the end. Raises BrokerAway, or BadUsage for a URL that is none."""
    url = _url(settings)
    try:
        connection = await aio_pika.connect(url, timeout=CONNECT_SECONDS)
    except _REFUSED:
        raise BrokerAway("RabbitMQ refuses the credentials of RABBIT_URL.") from None
    except _AWAY:
        raise BrokerAway("RabbitMQ can't be reached at RABBIT_URL.") from None
    try:
        yield Mailbox(connection)
    finally:
        with contextlib.suppress(*_AWAY, asyncio.CancelledError):
            await connection.close()


def _url(settings: RabbitSettings) -> str:
    """The URL with a name that an operator sees in RabbitMQ."""
    with contextlib.suppress(ValueError):
        url = URL(settings.rabbit_url.get_secret_value())
        if url.scheme in {"amqp", "amqps"} and url.host:
            return str(url.update_query(name="flickrhub-dlq"))
    raise BadUsage("RABBIT_URL must be an amqp or amqps URL.")


@contextlib.contextmanager
def _driver_errors(queue: str) -> Any:
    try:
        yield
    except ChannelNotFoundEntity:
        raise NoSuchQueue(f"There is no queue {queue} here: the services make it when they start.") from None
    except _AWAY:
        raise BrokerAway("RabbitMQ went away; every letter that wasn't dealt with is still there.") from None


def _letter(queue: str, position: int, message: AbstractIncomingMessage) -> Letter:
    return Letter(
        position=position,
        dead_letter_queue=queue,
        type=message.type,
        body=message.body,
        headers=dict(message.headers or {}),
        correlation_id=message.correlation_id,
        timestamp=message.timestamp,
        tag=message.delivery_tag or 0,
    )
