"""The HTTP client for long requests: it hears an answer that comes while it is still sending.

The driver reads nothing before a request is out. A server that refuses a body early (401, 413) answers and hangs up,
and the reset that follows throws its answer away unread: a dead token would look like a broken network. So here each
connection listens while it writes, and writes no more once it was answered.
"""

import asyncio
import ssl
from typing import Any

import anyio
import httpcore2
import httpx2

from flickrhub_common.http_client import USER_AGENT, HttpClient, no_cookies

_HEARD_BYTES = 64 * 1024


def make_upload_client(*, timeout_seconds: float, max_connections: int = 100) -> HttpClient:
    """A client for configured addresses: no redirects, no proxies from the environment, no cookies kept.

    Every request has a connection of its own: on one that the server closes in that very moment, a small photo would go
    out whole and get no answer, and be in doubt. The driver goes on to the answer after a write that failed, so what
    is raised is why there was none.
    """
    return httpx2.AsyncClient(
        transport=_ListeningTransport(max_connections),
        timeout=httpx2.Timeout(timeout_seconds, connect=min(timeout_seconds, 5.0)),
        follow_redirects=False,
        trust_env=False,
        headers={"User-Agent": USER_AGENT},
        cookies=no_cookies(),
    )


class _ListeningTransport(httpx2.AsyncHTTPTransport):
    """httpx2's transport over a pool of listening connections; ``_pool`` is the same seam as the guarded client's."""

    def __init__(self, max_connections: int) -> None:
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=max_connections,
            max_keepalive_connections=0,
            network_backend=_ListeningBackend(),
        )


class _ListeningBackend(httpcore2.AnyIOBackend):
    async def connect_tcp(self, *args: Any, **kwargs: Any) -> httpcore2.AsyncNetworkStream:
        return _ListeningStream(await super().connect_tcp(*args, **kwargs))


class _ListeningStream(httpcore2.AsyncNetworkStream):
    """A connection that reads as soon as something is written, and keeps what it heard for the next ``read``."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream
        self._heard: asyncio.Task[bytes] | None = None
        self._writing: anyio.CancelScope | None = None

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - the driver's
        if self._heard is None:
            self._heard = asyncio.create_task(self._stream.read(_HEARD_BYTES))
            self._heard.add_done_callback(self._stop_writing)
        if _is_answer(self._heard):
            raise httpcore2.WriteError("answered already")
        with anyio.CancelScope() as self._writing:
            await self._stream.write(buffer, timeout)
        stopped, self._writing = self._writing.cancelled_caught, None
        if stopped:
            raise httpcore2.WriteError("answered already")

    def _stop_writing(self, heard: asyncio.Task[bytes]) -> None:
        if self._writing is not None and not heard.cancelled() and _is_answer(heard):
            self._writing.cancel()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - the driver's
        if self._heard is None:
            return await self._stream.read(max_bytes, timeout)
        await asyncio.wait({self._heard}, timeout=timeout)
        if not self._heard.done():
            raise httpcore2.ReadTimeout
        heard, self._heard = self._heard, None
        return heard.result()

    async def aclose(self) -> None:
        await self._stream.aclose()
        if self._heard is not None:
            self._heard.cancel()
            await asyncio.wait({self._heard})
            if not self._heard.cancelled():
                self._heard.exception()  # seen: else the loop would complain

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the driver's
    ) -> httpcore2.AsyncNetworkStream:
        try:
            return _ListeningStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))
        except asyncio.CancelledError:
            await self._stream.aclose()  # the driver closes after an error only
            raise

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _is_answer(heard: asyncio.Task[bytes]) -> bool:
    """Whether there is no point in writing on: a final answer has begun, or the connection has ended.

    After an interim one (``100 Continue``, ``103 Early Hints``) the server waits for the rest.
    """
    return heard.done() and not (heard.exception() is None and heard.result().startswith(b"HTTP/1.1 1"))
