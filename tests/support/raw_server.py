"""A server that answers with the very bytes it was told to, and ends connections in every way there is."""

import asyncio
import contextlib
import re
import socket
import struct
from collections.abc import Awaitable, Callable

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
"""An answer."""

Writes = Callable[[asyncio.StreamWriter], Awaitable[None]]


class RawServer:
    """Answers the n-th request it gets, over whatever connection, with the n-th answer, and the rest with the last.

    An answer is bytes; empty, it hangs up unanswered; a second element is what happens after it.
    """

    def __init__(self, *answers: bytes | tuple[bytes, Writes]) -> None:
        self.answers = answers
        self.requests: list[bytes] = []
        self.connections = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        self.writers.append(writer)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while await self._answer(reader, writer):
                    pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        self.requests.append(head + await reader.readexactly(int(length[1]) if length else 0))
        answer = self.answers[min(len(self.requests), len(self.answers)) - 1]
        answer, after = answer if isinstance(answer, tuple) else (answer, None)
        writer.write(answer)
        if after is not None:
            await after(writer)
        return bool(answer)


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """End the connection in order."""
    writer.close()


async def reset(writer: asyncio.StreamWriter) -> None:
    """End it rudely."""
    linger = struct.pack("ii", 1, 0)
    writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
