"""Sealed values in RabbitMQ, as places to reseal: in dead letters, and in events that nobody has read yet.

Works on a plain connection of its own, for commands; services send and receive through ``broker``.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from yarl import URL

from flickrhub_common.dead_letters import (
    DeadLetters,
    MissingQueue,
    NotTaken,
    QueueInUse,
    Sorting,
    buried_at,
    open_dead_letters,
    queue_of,
    reason_of,
)
from flickrhub_common.errors import Unavailable
from flickrhub_common.rabbit_errors import rabbit_errors
from flickrhub_common.resealing import InUse, Left, Sealed, sealed_in
from flickrhub_common.sealing import prefix_of
from flickrhub_common.settings import RabbitSettings
from flickrhub_common.settling import FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, own_headers
from flickrhub_common.topology import (
    DEAD_LETTER_EXCHANGE,
    DELAY_LEVELS,
    DELAY_UNIT_SECONDS,
    delay_queue,
)

STORED_WITHIN_SECONDS = 5.0
"""A reader that has taken an event stores what comes of it, or gives it back, within a limit of Redis' and one of
the database's."""
LOOK_SECONDS = FIRST_WAIT_SECONDS / 2
"""Whatever waits in the ladder is there for two looks."""
LADDER = [
    delay_queue(level)
    for level in reversed(range(DELAY_LEVELS))
    if FIRST_WAIT_SECONDS <= 2**level * DELAY_UNIT_SECONDS <= LONGEST_WAIT_SECONDS
]
"""Where an event waits whose reader couldn't handle it: each of its waits is one level's."""
MOST_REASON_CHARACTERS = 8_000
"""All headers share one AMQP frame of 128 KiB."""


class SealedLetters:
    """The dead letters of one queue. One that is resealed goes to the queue's end, with its time, reason and queue.

    The new letter is confirmed before the old one goes, so a crash in between leaves two of the same.
    """

    def __init__(self, settings: RabbitSettings, queue: str, *, purpose: str) -> None:
        self._url = _named(settings)
        self._purpose = purpose
        self._sorting: Sorting | None = None
        self._current: AbstractIncomingMessage | None = None
        self.name = queue

    async def under_other_keys(self, newest: str) -> AsyncGenerator[Sealed, None]:
        """One after the other, as the only one at the queue; in the end, those left as they are go back in order."""
        try:
            async with open_dead_letters(self._url) as letters, letters.sorting(self.name) as self._sorting:
                async for window in self._sorting.windows():
                    for self._current in window:
                        found = sealed_in(self._current.body)
                        if found is not None and not found[1].startswith(prefix_of(newest)):
                            yield Sealed(self._current.message_id or "", self._purpose, owner=found[0], text=found[1])
        except MissingQueue:  # no service has been here yet
            return
        except QueueInUse:
            raise InUse(
                f"flickrhub-dlq, or another reseal, has the letters of {self.name} in hand: run this when it is done"
            ) from None

    async def swap(self, old: Sealed, text: str) -> bool:
        """Replace the letter that was given last."""
        letter, sorting = self._current, self._sorting
        if letter is None or sorting is None or old.text.encode() not in letter.body:
            return False
        with rabbit_errors():
            try:
                await sorting.send(_copy(letter, old, text), exchange=DEAD_LETTER_EXCHANGE, key=self.name)
            except NotTaken as error:
                raise Unavailable("rabbitmq") from error
            await sorting.take_away(letter.delivery_tag or 0)
        return True

    async def waiting(self, newest: str) -> Left:
        """Dead letters wait for nothing."""
        return Left()


class UnreadEvents:
    """Events that nobody has made anything of yet: nothing can be done about them but wait until their reader has.

    They lie in the queue, are in the reader's hands, or wait in the delay ladder because it couldn't handle them. The
    queue is first in, first out, so once it was seen empty, everything sent before has been taken. If nothing was in
    the ladder either for as long as a reader may have an event in hand, there is none. Else somebody else's messages
    may be in the ladder: then every event has been back when its longest wait is over and the queue is empty again.
    """

    def __init__(self, settings: RabbitSettings, queue: str) -> None:
        self._url = _named(settings)
        self._empty_since: float | None = None
        self._all_read = False
        self.name = queue

    async def under_other_keys(self, newest: str) -> AsyncGenerator[Sealed, None]:
        """None that could be replaced."""
        nothing: tuple[Sealed, ...] = ()
        for each in nothing:
            yield each

    async def swap(self, old: Sealed, text: str) -> bool:
        """Never."""
        return False

    async def waiting(self, newest: str) -> Left:
        """How many are unread or may come back, whatever key they carry something of, until there were none once."""
        left = Left()
        if not self._all_read:
            async with open_dead_letters(self._url) as letters:
                left = Left(Counter(await self._looked(letters)))
            self._all_read = not left
        return left

    async def _looked(self, letters: DeadLetters) -> dict[str, int]:
        loop = asyncio.get_running_loop()
        unread = await _depth(letters, self.name)
        if unread:
            return {"unread": unread}
        began = loop.time()
        self._empty_since = began if self._empty_since is None else self._empty_since
        waiting = await self._on_the_way(letters)
        while loop.time() < began + STORED_WITHIN_SECONDS + LOOK_SECONDS:
            await asyncio.sleep(LOOK_SECONDS)
            waiting = max(waiting, await self._on_the_way(letters))
        if waiting and began < self._empty_since + STORED_WITHIN_SECONDS + LONGEST_WAIT_SECONDS:
            return {"delayed": waiting}
        return {}

    async def _on_the_way(self, letters: DeadLetters) -> int:
        """From the top of the ladder down to the queue: as messages go, so that none goes past."""
        return sum([await _depth(letters, queue) for queue in (*LADDER, self.name)])


def _named(settings: RabbitSettings) -> str:
    """The URL with a name that an operator sees in RabbitMQ."""
    return str(URL(settings.rabbit_url.get_secret_value()).update_query(name="flickrhub-reseal"))


def _copy(letter: AbstractIncomingMessage, old: Sealed, text: str) -> aio_pika.Message:
    told = {"reason": reason_of(letter.headers)[:MOST_REASON_CHARACTERS], "queue": queue_of(letter.headers)}
    return aio_pika.Message(
        letter.body.replace(old.text.encode(), text.encode()),
        headers={**own_headers(letter.headers), **{name: value for name, value in told.items() if value}},
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        content_type=letter.content_type,
        type=letter.type,
        correlation_id=letter.correlation_id,
        message_id=letter.message_id,
        timestamp=buried_at(letter.headers, letter.timestamp),
        app_id=letter.app_id,
    )


async def _depth(letters: DeadLetters, queue: str) -> int:
    try:
        return await letters.count(queue)
    except MissingQueue:  # no service has been here yet
        return 0
