"""A listener to which nobody should ever connect."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass


@dataclass
class Planted:
    """Where it listens, and how often somebody came."""

    port: int = 0
    connections: int = 0

    def accept(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Count, and hang up."""
        self.connections += 1
        writer.transport.abort()


@contextlib.asynccontextmanager
async def planted(*hosts: str, port: int = 0) -> AsyncIterator[Planted]:
    """A listener on these addresses, all on one port; on 127.0.0.1 and, where there is one, ::1 if none are named."""
    listener = Planted(port=port)
    async with contextlib.AsyncExitStack() as stack:
        for host in hosts or ("127.0.0.1", "::1"):
            try:
                server = await asyncio.start_server(listener.accept, host, listener.port)
            except OSError:
                if host == "::1":  # a machine without IPv6
                    continue
                raise
            stack.callback(server.close)
            listener.port = server.sockets[0].getsockname()[1]
        yield listener
