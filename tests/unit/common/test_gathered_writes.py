"""What is written together is sent together, in order, before whatever ends the stream; a connection ends for good."""

import asyncio
import socket
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from yarl import URL

from flickrhub_common.gathered_writes import GatheredWrites, GatheringConnection


class Sent:
    """A stream's writer that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[bytes | str] = []
        self.transport = self
        self.closed = False

    def is_closing(self) -> bool:
        return self.closed

    def write(self, data: bytes) -> None:
        self.told.append(data)

    async def drain(self) -> None:
        self.told.append("drain")

    def write_eof(self) -> None:
        self.told.append("eof")

    def close(self) -> None:
        self.told.append("close")


def writing(sent: Sent) -> GatheredWrites:
    return GatheredWrites(cast("asyncio.StreamWriter", sent))


async def test_what_is_written_in_one_turn_is_sent_as_one_in_the_next() -> None:
    sent = Sent()
    writer = writing(sent)
    writer.write(b"a")
    writer.write(b"b")
    assert sent.told == []
    await asyncio.sleep(0)
    assert sent.told == [b"ab"]
    writer.write(b"c")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert sent.told == [b"ab", b"c"]


@pytest.mark.parametrize(
    ("end", "said"),
    [(lambda writer: writer.write_eof(), "eof"), (lambda writer: writer.close(), "close")],
    ids=["eof", "close"],
)
async def test_the_end_comes_after_what_was_written(end: Callable[[Any], None], said: str) -> None:
    sent = Sent()
    writer = writing(sent)
    writer.write(b"a")
    end(writer)
    await asyncio.sleep(0)
    assert sent.told == [b"a", said]


async def test_draining_sends_at_once() -> None:
    sent = Sent()
    writer = writing(sent)
    writer.write(b"a")
    await writer.drain()
    assert sent.told == [b"a", "drain"]


async def test_the_rest_is_the_stream_s_own() -> None:
    sent = Sent()
    assert cast("object", writing(sent).transport) is sent


async def test_nothing_is_sent_when_the_other_end_is_gone() -> None:
    sent = Sent()
    writer = writing(sent)
    writer.write(b"a")
    sent.closed = True
    await asyncio.sleep(0)
    assert sent.told == []
    writer.write(b"b")
    await writer.drain()  # which tells of it
    assert sent.told == ["drain"]


class Transport:
    """A connection to RabbitMQ over which nothing can be opened."""

    def __init__(self, *, is_closed: bool) -> None:
        self.connection = SimpleNamespace(is_closed=is_closed)

    async def ready(self) -> None:
        raise RuntimeError("closed")


async def closed_channel(transport: Transport | None) -> BaseException | None:
    """What a channel makes of its end, with what is left of its connection."""
    connection: Any = GatheringConnection(URL("amqp://127.0.0.1:1"))
    connection.transport = Transport(is_closed=False)
    channel: Any = connection.channel()
    channel._RobustChannel__restored.set()
    connection.transport = transport
    closing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    closing.set_exception(ConnectionResetError())
    found: BaseException | None = await channel._on_close(closing)
    return found


@pytest.mark.parametrize("transport", [None, Transport(is_closed=True)], ids=["away", "closed"])
async def test_a_channel_that_ended_with_its_connection_is_left_to_it(transport: Transport | None) -> None:
    assert isinstance(await closed_channel(transport), (RuntimeError, ConnectionResetError))


async def test_one_that_can_not_be_opened_again_over_its_connection_says_so() -> None:
    with pytest.raises(RuntimeError, match="closed"):
        await closed_channel(Transport(is_closed=False))


async def test_of_a_connection_that_cant_be_made_nothing_is_left() -> None:
    connection = GatheringConnection(URL("amqp://127.0.0.1:1"))
    with pytest.raises(OSError, match="Connect call failed"):
        await connection.connect()
    assert connection.is_closed


async def test_nor_of_one_that_nobody_waits_for_any_more() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connection = GatheringConnection(URL(f"amqp://127.0.0.1:{silent.getsockname()[1]}"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await connection.connect()
    is_closed, tasks = connection.is_closed, asyncio.all_tasks()
    await connection.close()  # one that goes on trying hears no cancellation: the loop would never end
    assert is_closed
    assert tasks == {asyncio.current_task()}


class Silent:
    """A transport whose other end doesn't take leave."""

    async def close(self, _: object) -> None:
        await asyncio.Event().wait()


async def test_a_close_that_is_cut_off_is_the_last() -> None:
    connection = GatheringConnection(URL("amqp://127.0.0.1:1"))
    connection.transport = cast("Any", Silent())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await connection.close()
    assert connection.is_closed
