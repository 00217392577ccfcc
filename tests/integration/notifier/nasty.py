"""Receivers that misbehave."""

import asyncio
import contextlib
import gzip
import itertools
import socket
import struct
from collections.abc import AsyncIterator

from tests.support.listening import Serve, listening


class Nasty:
    """One misbehaving receiver; `connections` says how many came, `hung_up` is set when a client closes on it."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self.connections = 0
        self.hung_up = asyncio.Event()
        self.port = 0

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}/in"

    @property
    def tls_url(self) -> str:
        """Its address, for those that are to believe it speaks TLS."""
        return f"https://127.0.0.1:{self.port}/in"

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Misbehave until the other side gives up."""
        self.connections += 1
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            self.hung_up.set()
        finally:
            writer.transport.abort()


@contextlib.asynccontextmanager
async def nasty(serve: Serve) -> AsyncIterator[Nasty]:
    """A receiver that behaves so on a free port of 127.0.0.1 inside the block."""
    receiver = Nasty(serve)
    async with listening(receiver.accept) as receiver.port:
        yield receiver


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def _over_and_over(writer: asyncio.StreamWriter, data: bytes, *, every: float = 0.0) -> None:
    while True:
        await _send(writer, data)
        await asyncio.sleep(every)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes everything, answers nothing."""
    while await reader.read(65536):
        pass
    raise ConnectionResetError


async def trickling(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Promises a body and sends it byte by byte."""
    await reader.read(65536)
    await _send(writer, b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    await _over_and_over(writer, b"x", every=0.02)


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends a body without end as fast as it goes."""
    await reader.read(65536)
    await _send(writer, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    await _over_and_over(writer, b"4000\r\n" + b"x" * 0x4000 + b"\r\n")


async def slow_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends one header after the other."""
    await reader.read(65536)
    await _send(writer, b"HTTP/1.1 200 OK\r\n")
    await _over_and_over(writer, b"x-filler: y\r\n", every=0.02)


async def endless_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends headers without end as fast as it goes."""
    await reader.read(65536)
    await _send(writer, b"HTTP/1.1 200 OK\r\n")
    await _over_and_over(writer, b"x-filler: " + b"y" * 1000 + b"\r\n")


async def interim(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says that it goes on, and goes on saying so."""
    await reader.read(65536)
    await _over_and_over(writer, b"HTTP/1.1 102 Processing\r\n\r\n", every=0.001)


async def resetting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Cuts the connection after the request."""
    await reader.read(65536)


async def half_a_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Cuts the connection in the middle of the body."""
    await reader.read(65536)
    await _send(writer, b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")


async def not_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Speaks something else."""
    await reader.read(64)
    await _send(writer, b"220 mail.example ESMTP\r\n")


async def switching(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers 101 and stays."""
    await reader.read(65536)
    await _send(writer, b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n")
    await reader.read()


async def _hang(reader: asyncio.StreamReader) -> None:
    while await reader.read(65536):
        pass
    raise ConnectionResetError


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close so that the other side sees a reset, whatever is on its way."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


REPLY = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 1000\r\n\r\n" + b"x" * 1000
STAGES = {
    "nothing": 0,
    "half a status line": 6,
    "half the headers": REPLY.index(b"plain"),
    "the headers": REPLY.index(b"\r\n\r\n") + 4,
    "half the body": len(REPLY) - 500,
}


def hanging_after(stage: str) -> Serve:
    """Sends so much of a reply, then nothing more."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        await _send(writer, REPLY[: STAGES[stage]])
        await _hang(reader)

    return serve


def resetting_after(stage: str) -> Serve:
    """Sends so much of a reply, then resets the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        await _send(writer, REPLY[: STAGES[stage]])
        await asyncio.sleep(0.05)
        _reset(writer)

    return serve


async def resetting_at_once(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes the connection and resets it."""
    _reset(writer)


def dripping(data: bytes) -> Serve:
    """Sends this byte by byte, and its last byte again and again."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        for byte in itertools.chain(data, itertools.repeat(data[-1])):
            await _send(writer, bytes([byte]))
            await asyncio.sleep(0.05)

    return serve


def storming(interim: bytes) -> Serve:
    """Says that it goes on as fast as it can, and never does."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        await _over_and_over(writer, interim * 100)

    return serve


async def endless_zip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends zeros without end, each megabyte as a kilobyte of gzip."""
    await reader.read(65536)
    await _send(writer, b"HTTP/1.1 500 No\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n")
    await _over_and_over(writer, gzip.compress(b"\0" * 1_000_000))


async def stalling_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Begins a TLS handshake and never ends it."""
    await reader.read(65536)
    await _send(writer, b"\x16\x03\x03\x40\x00\x02")
    await _over_and_over(writer, b"\x00", every=0.05)
