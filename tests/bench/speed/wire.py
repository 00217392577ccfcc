"""HTTP as cheap as Python gets: known requests and replies, parsed no further than the figures need.

Times are `time.perf_counter()`, since uvloop's own clock counts whole milliseconds.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_WEBHOOK_ID = re.compile(rb"\r\nwebhook-id: *([^\r]+)", re.IGNORECASE)
_NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
LOOK_SECONDS = 0.05
Answered = Callable[["Connection", int, bytes, float], None]


def first_message(data: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Head, body and rest of what came, None while it isn't a whole message. A body without a length isn't known."""
    head, blank, rest = data.partition(b"\r\n\r\n")
    if not blank:
        return None
    found = _LENGTH.search(head)
    length = int(found[1]) if found else 0
    return (head, rest[:length], rest[length:]) if len(rest) >= length else None


class Connection(asyncio.Protocol):
    """A connection to the gateway with one request on it at a time.

    `answered` is called with the connection, the status, the body and the time it came; with status 0 if the
    connection was lost over a request.
    """

    def __init__(self, answered: Answered, lost: Callable[["Connection"], None]) -> None:
        self._answered = answered
        self._lost = lost
        self._buffer = b""
        self._busy = False
        self.due = 0.0
        """When the request that is on its way should have been sent."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def post(self, request: bytes, *, due: float) -> None:
        """Send a whole request."""
        self.due, self._busy = due, True
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Pass on the reply when it is whole."""
        self._buffer += data
        message = first_message(self._buffer)
        if message is None:
            return
        head, body, self._buffer = message
        self._busy = False
        self._answered(self, int(head[9:12]), body, time.perf_counter())

    def connection_lost(self, exc: Exception | None) -> None:
        """Say so, unless there was nothing on it."""
        self._lost(self)
        if self._busy:
            self._busy = False
            self._answered(self, 0, repr(exc).encode(), time.perf_counter())

    def close(self) -> None:
        """Hang up."""
        self._transport.close()


class Arrivals:
    """When the first callback of each job came, by its id; and how many came again."""

    def __init__(self) -> None:
        self.port = 0
        self.at: dict[bytes, float] = {}
        self.again = 0
        self._wanted = 0
        self._enough = asyncio.Event()

    def expect(self, count: int) -> None:
        """Forget what came, and wait for so many."""
        self.at, self.again, self._wanted = {}, 0, count
        self._enough.clear()

    def note(self, job_id: bytes, at: float) -> None:
        """One callback."""
        if job_id in self.at:
            self.again += 1
            return
        self.at[job_id] = at
        if len(self.at) == self._wanted:
            self._enough.set()

    def times(self) -> list[float]:
        """When they came, in order."""
        return list(self.at.values())

    async def all_here(self, *, within: float) -> None:
        """Return when as many came as were expected. Raises AssertionError after so many seconds."""
        await self._until(self._enough.wait(), self._wanted, within)

    async def so_many(self, count: int, *, within: float) -> None:
        """The same for the first of them."""
        await self._until(self._reached(count), count, within)

    async def _reached(self, count: int) -> None:
        while len(self.at) < count:  # noqa: ASYNC110 - looking now and then costs less than an event for each
            await asyncio.sleep(LOOK_SECONDS)

    async def _until(self, waiting: Awaitable[object], count: int, within: float) -> None:
        try:
            async with asyncio.timeout(within):
                await waiting
        except TimeoutError:
            raise AssertionError(f"{len(self.at)} of {count} callbacks came within {within:g} s") from None


class Receiver(asyncio.Protocol):
    """One of the notifier's connections to us."""

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Note and answer every whole callback."""
        at = time.perf_counter()
        self._buffer += data
        while self._buffer and (message := first_message(self._buffer)) is not None:
            head, _, self._buffer = message
            found = _WEBHOOK_ID.search(head)
            if found:
                self._arrivals.note(found[1], at)
            self._transport.write(_NO_CONTENT)


async def receive(arrivals: Arrivals) -> Any:
    """Listen on a free port, which `arrivals` is told; the server, to be closed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Receiver(arrivals), "127.0.0.1", 0, backlog=512)
    arrivals.port = server.sockets[0].getsockname()[1]
    return server
