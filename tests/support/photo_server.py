"""Servers of photos, good and bad, on loopback: each method makes one photo's URL, which behaves as it says."""

import asyncio
import contextlib
import gzip
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any

from tests.support.listening import listening

Behaviour = Callable[[asyncio.StreamWriter], Coroutine[Any, Any, object]]

SLICE = 1024 * 1024


class PhotoServer:
    """Every connection serves one request. `asked` holds the paths in the order in which they came."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.heads: list[bytes] = []
        self.port = 0
        self.connections = 0
        self._behaviours: dict[str, Behaviour] = {}
        self._numbers = itertools.count(1)

    def url(self, path: str) -> str:
        """The address of a path here, also of one that nothing is at: that is a 404."""
        return f"http://127.0.0.1:{self.port}{path}"

    def whole(self, photo: bytes, headers: Mapping[str, str] | None = None, path: str | None = None) -> str:
        """All of it, with its length."""
        return self.behaving(_then(_head(200, {"Content-Length": len(photo), **(headers or {})}), photo), path)

    def lying(self, photo: bytes, *, says: int) -> str:
        """Another length than it has; then the end of the connection."""
        return self.whole(photo, {"Content-Length": str(says)})

    def hanging_up(self, photo: bytes, *, after: int) -> str:
        """The right length, but only the first bytes; then the end of the connection."""
        return self.lying(photo[:after], says=len(photo))

    def chunked(self, photo: bytes, *, piece: int = 64 * 1024, whole: bool = True) -> str:
        """Of unknown length, in chunks; without the last one unless `whole`."""

        async def serve(writer: asyncio.StreamWriter) -> None:
            writer.write(_head(200, {"Transfer-Encoding": "chunked"}))
            for at in range(0, len(photo), piece):
                part = photo[at : at + piece]
                writer.write(b"%x\r\n%b\r\n" % (len(part), part))
                await writer.drain()
            if whole:
                writer.write(b"0\r\n\r\n")

        return self.behaving(serve)

    def until_closed(self, photo: bytes) -> str:
        """Of unknown length, as HTTP/1.0 had it: the connection's end is the photo's."""
        return self.behaving(_then(b"HTTP/1.0 200 OK\r\n\r\n", photo))

    def endless(self, *, piece: bytes = bytes(SLICE)) -> str:
        """Of unknown length and without an end."""

        async def serve(writer: asyncio.StreamWriter) -> None:
            writer.write(_head(200, {"Transfer-Encoding": "chunked"}))
            while True:
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                await writer.drain()

        return self.behaving(serve)

    def trickling(self, photo: bytes, *, at_once: int = 0, every: float = 1.0) -> str:
        """With its length, so many bytes at once and then one every so many seconds."""

        async def serve(writer: asyncio.StreamWriter) -> None:
            writer.write(_head(200, {"Content-Length": len(photo)}) + photo[:at_once])
            for byte in photo[at_once:]:
                await writer.drain()
                await asyncio.sleep(every)
                writer.write(bytes([byte]))

        return self.behaving(serve)

    def bomb(self, size: int = 16 * SLICE) -> str:
        """Zeros, a thousandth of their size on the wire."""
        return self.whole(gzip.compress(bytes(size)), {"Content-Encoding": "gzip", "Content-Type": "image/jpeg"})

    def answering(self, status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> str:
        """Some status."""
        return self.behaving(_then(_head(status, {"Content-Length": len(body), **(headers or {})}), body))

    def redirecting(self, to: str, status: int = 302) -> str:
        """Elsewhere."""
        return self.answering(status, {"Location": to}, b"<a>elsewhere</a>")

    def looping(self) -> str:
        """To itself."""
        path = f"/{next(self._numbers)}/loop.jpg"
        return self.behaving(_then(_head(302, {"Location": path, "Content-Length": 0}), b""), path)

    def silent(self) -> str:
        """No answer, ever."""
        return self.behaving(lambda _: asyncio.Event().wait())

    def endless_headers(self) -> str:
        """Headers without an end."""

        async def serve(writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\n")
            for number in itertools.count():
                writer.write(b"X-%d: %b\r\n" % (number, b"x" * 1000))
                await writer.drain()

        return self.behaving(serve)

    def in_turn(self, *urls: str) -> str:
        """Like each of these URLs once, and then like the last for good."""
        waiting = [self._behaviours[url.removeprefix(self.url(""))] for url in urls]

        async def serve(writer: asyncio.StreamWriter) -> None:
            await (waiting.pop(0) if len(waiting) > 1 else waiting[0])(writer)

        return self.behaving(serve)

    def behaving(self, behaviour: Behaviour, path: str | None = None) -> str:
        """Whatever a coroutine function writes after a request; the connection ends with it."""
        path = path or f"/{next(self._numbers)}/photo.jpg"
        self._behaviours[path] = behaviour
        return self.url(path)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split(b" ", 2)[1].decode()
                self.heads.append(head)
                self.asked.append(path)
                behaviour = self._behaviours.get(path, _then(_head(404, {"Content-Length": 0}), b""))
                await _unless_left(behaviour(writer), reader)
                writer.close()
                await writer.wait_closed()
        finally:
            self.connections -= 1
            writer.transport.abort()


async def _unless_left(serving: Coroutine[Any, Any, object], reader: asyncio.StreamReader) -> None:
    """Serve, but no longer than the client stays."""
    tasks = {asyncio.create_task(serving), asyncio.create_task(reader.read(1))}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _head(status: int, headers: Mapping[str, object]) -> bytes:
    said = {"Connection": "close", **headers}
    lines = [f"HTTP/1.1 {status} Some Reason", *(f"{name}: {value}" for name, value in said.items()), "", ""]
    return "\r\n".join(lines).encode()


def _then(head: bytes, body: bytes) -> Behaviour:
    async def serve(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        view = memoryview(body)
        for at in range(0, len(body), SLICE):
            writer.write(view[at : at + SLICE])
            await writer.drain()

    return serve


@contextlib.asynccontextmanager
async def photo_server() -> AsyncIterator[PhotoServer]:
    """A server that listens on a free port of 127.0.0.1 inside the block."""
    photos = PhotoServer()
    async with listening(photos.serve) as photos.port:
        yield photos
