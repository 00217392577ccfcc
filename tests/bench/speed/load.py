"""The load: jobs handed over at a fixed rate, or as fast as some connections can, and their callbacks received."""

import asyncio
import contextlib
import json
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from yarl import URL

from tests.bench.speed.figures import Timed
from tests.bench.speed.flickr_stub import ECHO
from tests.bench.speed.wire import Arrivals, Connection, receive

PATH = "/api/v1/flickr/rest"
CONNECTIONS = 64
AT_ONCE = None
"""Due when a connection is free."""
ACCEPTED = 202
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
_JOB_ID = re.compile(rb'"job_id": *"([^"]+)"')


@dataclass(frozen=True)
class Target:
    """Whom the load is for: the gateway, and the account whose jobs they are."""

    gateway_url: str
    user_id: str

    def request(self, callback_url: str, *, method: str) -> bytes:
        """A whole HTTP request that hands a job over; every job of a phase is sent by the same bytes."""
        job = {
            "user_id": self.user_id,
            "method": method,
            "params": {"n": "1"},
            "callback_url": callback_url,
            "callback_secret": SECRET,
        }
        body = json.dumps(job, separators=(",", ":")).encode()
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: {URL(self.gateway_url).authority}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


class Load:
    """One phase of load at a time."""

    def __init__(self, target: Target, arrivals: Arrivals, *, connections: int = CONNECTIONS) -> None:
        self._target = target
        self._connections = connections
        self.arrivals = arrivals
        self._accepted: dict[bytes, tuple[float, float]] = {}
        self._idle: deque[Connection] = deque()
        self._waiting: deque[float | None] = deque()
        self._failure = ""
        self._left = 0
        self._done = asyncio.Event()
        self._request = b""

    async def offered(self, count: int, *, rate: float, method: str = ECHO) -> None:
        """Hand over so many jobs, one every 1/rate seconds, whatever becomes of those before; all must get a 202.

        A job for which no connection is free waits for one: its latency counts from the moment it was due.
        """
        async with self._phase(count, method):
            began = time.perf_counter()
            for due in schedule(began, rate=rate, count=count):
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                self._waiting.append(due)
                self._send()

    async def closed(self, count: int, *, method: str = ECHO) -> None:
        """Hand over so many jobs as fast as the connections can, one after the other on each."""
        async with self._phase(count, method):
            self._waiting.extend([AT_ONCE] * count)
            for _ in range(min(count, self._connections)):
                self._send()

    def timed(self) -> list[Timed]:
        """Every job of the last phase; all their callbacks must have come."""
        return [Timed(due, at, self.arrivals.at[job_id]) for job_id, (due, at) in self._accepted.items()]

    def accepted_at(self) -> list[float]:
        """When the 202s of the last phase came, in order."""
        return sorted(at for _, at in self._accepted.values())

    @contextlib.asynccontextmanager
    async def _phase(self, count: int, method: str) -> AsyncIterator[None]:
        """Connections of the phase's own; at the end of the block, wait for all its 202s."""
        self._accepted, self._left, self._failure = {}, count, ""
        self._waiting.clear()
        self._done.clear()
        self.arrivals.expect(count)
        self._request = self._target.request(f"http://127.0.0.1:{self.arrivals.port}/in", method=method)
        connections = await self._connect()
        try:
            yield
            await self._done.wait()
        finally:
            self._idle.clear()
            for connection in connections:
                connection.close()
        assert not self._failure, self._failure

    async def _connect(self) -> list[Connection]:
        url, loop = URL(self._target.gateway_url), asyncio.get_running_loop()
        connections = []
        for _ in range(self._connections):
            _, connection = await loop.create_connection(
                lambda: Connection(self._answered, self._lost), str(url.host), url.port or 80
            )
            connections.append(connection)
        self._idle.extend(connections)
        return connections

    def _send(self) -> None:
        """Send the next job that is due if a connection is free."""
        if self._idle and self._waiting:
            due, now = self._waiting.popleft(), time.perf_counter()
            # The loop's timer counts milliseconds: what goes out a little early mustn't gain by it.
            self._idle.popleft().post(self._request, due=now if due is AT_ONCE else min(due, now))

    def _answered(self, connection: Connection, status: int, body: bytes, at: float) -> None:
        found = _JOB_ID.search(body)
        if status != ACCEPTED or not found:
            self._failure = f"no 202 but {status or 'a lost connection'}: {body[:300].decode(errors='replace')}"
            self._done.set()
            return
        self._accepted[found[1]] = (connection.due, at)
        self._left -= 1
        if not self._left:
            self._done.set()
        self._idle.append(connection)
        self._send()

    def _lost(self, connection: Connection) -> None:
        with contextlib.suppress(ValueError):
            self._idle.remove(connection)


def schedule(began: float, *, rate: float, count: int) -> Iterator[float]:
    """When each of so many jobs is due: evenly, and never later because one was late."""
    return (began + number / rate for number in range(count))


@contextlib.asynccontextmanager
async def a_load(target: Target) -> AsyncIterator[Load]:
    """A load with its receiver, which listens inside the block."""
    arrivals = Arrivals()
    server = await receive(arrivals)
    try:
        yield Load(target, arrivals)
    finally:
        server.close()
