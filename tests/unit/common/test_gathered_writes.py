"""What is written together is sent together, in order, and before whatever ends the stream."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from flickrhub_common.gathered_writes import GatheredWrites


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
