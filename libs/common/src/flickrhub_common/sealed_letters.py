"""Sealed values in RabbitMQ, as places to reseal: in dead letters, and in events that nobody has read yet.

Works on a plain connection of its own, for commands; services send and receive through ``broker``.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError, ChannelNotFoundEntity

from flickrhub_common.errors import Unavailable
from flickrhub_common.resealing import Sealed, sealed_in
from flickrhub_common.sealing import prefix_of
from flickrhub_common.settings import RabbitSettings
from flickrhub_common.settling import own_headers
from flickrhub_common.topology import DEAD_LETTER_EXCHANGE

SECONDS = 10.0
STORED_WITHIN_SECONDS = 3.0
"""A reader that has taken an event stores what comes of it, or gives it back, within a limit of the database's."""


class SealedLetters:
    """The dead letters of one queue. One that is resealed goes to the queue's end: otherwise it is as it was.

    The new letter is confirmed before the old one goes, so a crash in between leaves two of the same.
    """

    def __init__(self, settings: RabbitSettings, queue: str, *, purpose: str) -> None:
        self._settings = settings
        self._purpose = purpose
        self._channel: AbstractChannel | None = None
        self._current: AbstractIncomingMessage | None = None
        self.name = queue

    async def under_other_keys(self, newest: str) -> AsyncIterator[Sealed]:
        """One after the other; those that are left as they are go back when all have been looked at."""
        async with _channel(self._settings) as self._channel:
            count = await _depth(self._channel, self.name)
            if not count:
                return
            queue = await self._channel.get_queue(self.name, ensure=False)
            for _ in range(count):
                with _rabbit_errors():
                    self._current = await queue.get(fail=False, timeout=SECONDS)
                if self._current is None:
                    return
                found = sealed_in(self._current.body)
                if found is not None and not found[1].startswith(prefix_of(newest)):
                    yield Sealed(self._current.message_id or "", self._purpose, owner=found[0], text=found[1])

    async def swap(self, old: Sealed, text: str) -> bool:
        """Replace the letter that was given last."""
        letter, channel = self._current, self._channel
        if letter is None or channel is None or old.text.encode() not in letter.body:
            return False
        with _rabbit_errors():
            exchange = await channel.get_exchange(DEAD_LETTER_EXCHANGE, ensure=False)
            await exchange.publish(_copy(letter, old, text), routing_key=self.name, timeout=SECONDS)
            await letter.ack()
        return True

    async def waiting(self, newest: str) -> Mapping[str, int]:
        """Dead letters wait for nothing."""
        return {}


class UnreadEvents:
    """Events that lie in a queue: nothing can be done about them but wait until their reader has them.

    The queue is first in, first out, so once it was seen empty, everything sent before has been taken.
    """

    def __init__(self, settings: RabbitSettings, queue: str) -> None:
        self._settings = settings
        self._seen_empty = False
        self.name = queue

    async def under_other_keys(self, newest: str) -> AsyncIterator[Sealed]:
        """None that could be replaced."""
        nothing: tuple[Sealed, ...] = ()
        for each in nothing:
            yield each

    async def swap(self, old: Sealed, text: str) -> bool:
        """Never."""
        return False

    async def waiting(self, newest: str) -> Mapping[str, int]:
        """How many are unread, whatever key they carry something of, until there were none once."""
        if self._seen_empty:
            return {}
        async with _channel(self._settings) as channel:
            count = await _depth(channel, self.name)
        if count:
            return {"unread": count}
        self._seen_empty = True
        await asyncio.sleep(STORED_WITHIN_SECONDS)
        return {}


def _copy(letter: AbstractIncomingMessage, old: Sealed, text: str) -> aio_pika.Message:
    first_death = {
        name: value
        for name, value in letter.headers.items()
        if name.startswith("x-first-death-") and isinstance(value, str)
    }
    return aio_pika.Message(
        letter.body.replace(old.text.encode(), text.encode()),
        headers={**own_headers(letter.headers), **first_death},
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        content_type=letter.content_type,
        type=letter.type,
        correlation_id=letter.correlation_id,
        message_id=letter.message_id,
        app_id=letter.app_id,
    )


@contextlib.contextmanager
def _rabbit_errors() -> Iterator[None]:
    try:
        yield
    except (AMQPError, OSError, TimeoutError, RuntimeError) as error:
        raise Unavailable("rabbitmq") from error


@contextlib.asynccontextmanager
async def _channel(settings: RabbitSettings) -> AsyncIterator[AbstractChannel]:
    with _rabbit_errors():
        connection = await aio_pika.connect(settings.rabbit_url.get_secret_value(), timeout=SECONDS)
    async with connection:
        yield await connection.channel(publisher_confirms=True, on_return_raises=True)


async def _depth(channel: AbstractChannel, queue: str) -> int:
    with _rabbit_errors():
        try:
            return (await channel.declare_queue(queue, passive=True)).declaration_result.message_count or 0
        except ChannelNotFoundEntity:  # no service has been here yet
            return 0
