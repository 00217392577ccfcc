"""The queues of dead letters as the tool sees them: letters come out, and every failure is a sentence."""

import contextlib
from collections.abc import AsyncIterator, Iterator

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import AuthenticationError, ProbableAuthenticationError
from yarl import URL

from flickrhub_common import dead_letters
from flickrhub_common.dead_letters import DeadLetters, MissingQueue, NotTaken, QueueInUse, open_dead_letters
from flickrhub_common.errors import Unavailable
from flickrhub_common.settings import RabbitSettings
from flickrhub_dlq.errors import BadUsage, BrokerAway, NobodyTakesIt, NoSuchQueue, SomebodyElse
from flickrhub_dlq.letters import Letter
from flickrhub_dlq.replaying import Post

_REFUSED = (AuthenticationError, ProbableAuthenticationError)


class Mailbox:
    """A connection to the broker, for looking into its queues of dead letters."""

    def __init__(self, letters: DeadLetters) -> None:
        self._letters = letters

    async def count(self, queue: str) -> int:
        """How many letters lie in a queue and aren't held by anybody."""
        with _sentences(queue):
            return await self._letters.count(queue)

    @contextlib.asynccontextmanager
    async def sorting(self, queue: str) -> AsyncIterator["LetterSorting"]:
        """Go through a queue's letters, as the only one who does; in the end, what is left is given back."""
        with _sentences(queue):
            async with self._letters.sorting(queue) as sorting:
                yield LetterSorting(sorting, queue)


class LetterSorting:
    """One pass through a queue of dead letters, from its oldest to the newest that was there at the start."""

    def __init__(self, sorting: dead_letters.Sorting, queue: str) -> None:
        self._sorting = sorting
        self._queue = queue

    async def windows(self) -> AsyncIterator[list[Letter]]:
        """The letters, a few at a time, in order; not what comes in meanwhile, for a replay may fail at once."""
        position = 0
        async for messages in self._sorting.windows():
            yield [_letter(self._queue, position + n, each) for n, each in enumerate(messages, 1)]
            position += len(messages)

    async def take_away(self, letter: Letter) -> None:
        """Remove a letter for good."""
        await self._sorting.take_away(letter.tag)

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
        try:
            await self._sorting.send(message, exchange=post.exchange, key=post.key)
        except NotTaken as error:
            raise NobodyTakesIt from error


@contextlib.asynccontextmanager
async def open_mailbox(settings: RabbitSettings) -> AsyncIterator[Mailbox]:
    """A connection, closed in the end. Raises BrokerAway, or BadUsage for a URL that is none."""
    connected = False
    try:
        async with open_dead_letters(_url(settings)) as letters:
            connected = True
            yield Mailbox(letters)
    except Unavailable as error:
        if connected:
            raise
        refused = isinstance(error.__cause__, _REFUSED)
        what = "refuses the credentials of" if refused else "can't be reached at"
        raise BrokerAway(f"RabbitMQ {what} RABBIT_URL.") from None


def _url(settings: RabbitSettings) -> str:
    """The URL with a name that an operator sees in RabbitMQ."""
    with contextlib.suppress(ValueError):
        url = URL(settings.rabbit_url.get_secret_value())
        if url.scheme in {"amqp", "amqps"} and url.host:
            return str(url.update_query(name="flickrhub-dlq"))
    raise BadUsage("RABBIT_URL must be an amqp or amqps URL.")


@contextlib.contextmanager
def _sentences(queue: str) -> Iterator[None]:
    try:
        yield
    except MissingQueue:
        raise NoSuchQueue(f"There is no queue {queue} here: the services make it when they start.") from None
    except QueueInUse:
        sentence = f"Somebody else is at {queue} just now, with this tool or to reseal; try again when they are done."
        raise SomebodyElse(sentence) from None
    except Unavailable:
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
