"""What is written together is sent together, in order, before whatever ends the stream; a connection ends for good."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, cast

import pytest
from yarl import URL

from flickrhub_common.gathered_writes import GatheredWrites, GatheringConnection


class Sent:
    """A stream's writer that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[bytes | str] = []
        self.transport = "the transport"

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
    assert writing(Sent()).transport == "the transport"


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
