"""A TCP proxy that can be cut, stalled and restored: a network that fails on demand."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

CHUNK = 65536


class TcpProxy:
    """Listens on a port of its own on 127.0.0.1 and passes everything to one target, both ways."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._swallowing = False
        self.port = 0
        self.accepted = 0

    async def restore(self) -> None:
        """Listen (again), on the same port each time, and let everything flow."""
        self._flowing.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
            self.port = int(self._server.sockets[0].getsockname()[1])

    async def cut(self) -> None:
        """Refuse new connections and reset those that are open."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in tuple(self._writers):
            writer.transport.abort()
        self._flowing.set()

    def stall(self) -> None:
        """Keep every connection open and accept new ones, but pass nothing on until restored."""
        self._flowing.clear()

    def swallow(self) -> None:
        """From now on accept connections, read what comes, and never answer; the target isn't asked."""
        self._swallowing = True

    def forget(self) -> None:
        """Keep what is open open, but never pass anything on in it again; new connections work."""
        self._flowing.clear()
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        flowing = self._flowing
        if self._swallowing:
            self._writers.add(writer)
            while await reader.read(CHUNK):
                pass
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, far_writer}
        self._writers |= both
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass_on(reader, far_writer, flowing))
                group.create_task(self._pass_on(far_reader, writer, flowing))
        finally:
            self._writers -= both
            for each in both:
                each.transport.abort()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flowing: asyncio.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                await flowing.wait()
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(OSError, RuntimeError):
            writer.write_eof()


@contextlib.asynccontextmanager
async def tcp_proxy(host: str, port: int, *, listening: bool = True) -> AsyncIterator[TcpProxy]:
    """A proxy in front of a server, cut at the end; not `listening` gives one that is away but knows its port."""
    proxy = TcpProxy(host, port)
    await proxy.restore()
    if not listening:
        await proxy.cut()
    try:
        yield proxy
    finally:
        await proxy.cut()
