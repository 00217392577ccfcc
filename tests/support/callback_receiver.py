"""A local receiver of callbacks: records every request, answers as scripted."""

import asyncio
import contextlib
import json
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import h11

from tests.support.listening import listening
from tests.support.waiting import eventually


@dataclass(frozen=True)
class Received:
    """One request as it came; `at` is monotonic seconds, header names are lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    def json(self) -> Any:
        """The body read as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What to answer: after `delay` seconds, and `drop` cuts the connection instead of answering."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    delay: float = 0.0
    drop: bool = False


class CallbackReceiver:
    """Answers 200 to everything, unless something else was scripted for the path."""

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.port = 0
        self._scripts: dict[str, deque[Reply]] = defaultdict(deque)
        self._default = Reply()

    def url(self, path: str = "/") -> str:
        """The address of a path here."""
        return f"http://127.0.0.1:{self.port}{path}"

    def script(self, path: str, *replies: Reply) -> None:
        """Answer the next requests for `path` (without its query) so, in this order; after them again as by default."""
        self._scripts[path].extend(replies)

    def always(self, reply: Reply) -> None:
        """Answer so whatever isn't scripted."""
        self._default = reply

    def at(self, path: str) -> list[Received]:
        """What came for a path so far."""
        return [request for request in self.requests if request.path == path]

    async def received(self, count: int, path: str, *, within: float = 15.0) -> list[Received]:
        """Wait until at least so many requests came for a path; all of them."""
        await eventually(
            lambda: len(self.at(path)) >= count, within=within, every=0.01, what=f"{count} requests for {path}"
        )
        return self.at(path)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until either side closes it."""
        connection = h11.Connection(h11.SERVER)
        try:
            while (request := await self._read(connection, reader)) is not None:
                self.requests.append(request)
                script = self._scripts[request.path.partition("?")[0]]
                reply = script.popleft() if script else self._default
                await asyncio.sleep(reply.delay)
                if reply.drop:
                    break
                await self._answer(connection, writer, reply)
                if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                    break
                connection.start_next_cycle()
        except (OSError, h11.ProtocolError):
            pass  # the sender went away, or is none: what it sent until then is recorded
        finally:
            writer.transport.abort()

    async def _read(self, connection: h11.Connection, reader: asyncio.StreamReader) -> Received | None:
        head: h11.Request | None = None
        body = b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(65536))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
                return Received(head.method.decode(), head.target.decode(), headers, body, time.monotonic())
            else:
                return None

    async def _answer(self, connection: h11.Connection, writer: asyncio.StreamWriter, reply: Reply) -> None:
        headers = {"content-length": str(len(reply.body)), **reply.headers}
        for event in (
            h11.Response(status_code=reply.status, headers=list(headers.items())),
            h11.Data(data=reply.body),
            h11.EndOfMessage(),
        ):
            writer.write(connection.send(event) or b"")
        await writer.drain()


@contextlib.asynccontextmanager
async def callback_receiver() -> AsyncIterator[CallbackReceiver]:
    """A receiver that listens on a free port of 127.0.0.1 inside the block."""
    receiver = CallbackReceiver()
    async with listening(receiver.serve) as receiver.port:
        yield receiver
