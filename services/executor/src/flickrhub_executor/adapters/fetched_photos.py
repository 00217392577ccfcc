"""Photos that others' servers hold: fetched through the guarded client, whatever is at the other end."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AbstractContextManager, AsyncExitStack, aclosing, asynccontextmanager, contextmanager, suppress
from typing import IO
from urllib.parse import urljoin, urlsplit

from opentelemetry.trace import NoOpTracer, Span, SpanKind, Tracer

from flickrhub_common.addresses import AddressPolicy, RefusedUrl, check_url
from flickrhub_common.http_client import HttpClient, HttpError, HttpReply, InvalidUrl, failure_name
from flickrhub_common.photo_formats import MAX_VIDEO_BYTES
from flickrhub_common.photo_store import OpenPhoto
from flickrhub_executor.errors import CallFailed, PermanentFailure, TransientFailure

MOST_REDIRECTS = 5
MOST_REPLY_BYTES = MAX_VIDEO_BYTES + MAX_VIDEO_BYTES // 64
"""What the guarded client has to let through: the largest video, its headers, and what chunking adds."""
SPOOLED_BYTES = 1024 * 1024
"""What goes to the disk, or comes from it, at once."""

CRUMBS = 4096
CRUMB_BYTES = 256
"""So many chunks smaller than this on average cost us more than the server, and hold up other uploads."""

_ONCE = {"Connection": "close"}
"""A connection that is kept may be closed by the server in the moment in which it is used again."""
_REDIRECTS = {301, 302, 303, 307, 308}
_TRY_AGAIN = {408, 425, 429}


class FetchedPhotos:
    """Fetches photos by URL, each redirect checked like the URL itself.

    A server has ``answer_seconds`` for its headers, redirects included. Then it has ``grace_seconds`` of patience, of
    which waiting for bytes takes and every byte gives back, at ``bytes_per_second``, up to ``stall_seconds``: one that
    trickles ends with the grace, one that stalls after a good start a little later. Only waiting counts, not the time
    in which Flickr takes no more. A photo of unknown length is kept on disk first, as Flickr wants to know it.
    """

    def __init__(
        self,
        client: HttpClient,
        *,
        policy: AddressPolicy,
        bytes_per_second: float,
        tracer: Tracer | None = None,
        answer_seconds: float = 30.0,
        grace_seconds: float = 10.0,
        stall_seconds: float = 30.0,
        most_bytes: int = MAX_VIDEO_BYTES,
    ) -> None:
        self._client = client
        self._policy = policy
        self._bytes_per_second = bytes_per_second
        self._tracer = tracer or NoOpTracer()
        self._answer_seconds = answer_seconds
        self._grace_seconds = grace_seconds
        self._stall_seconds = stall_seconds
        self._most_bytes = most_bytes

    @asynccontextmanager
    async def open(self, url: str) -> AsyncIterator[OpenPhoto]:
        """The photo at a URL. Raises TransientFailure or PermanentFailure, as do its chunks."""
        async with AsyncExitStack() as stack:
            response = await self._answer(url, stack)
            size = self._announced(response)
            chunks = await stack.enter_async_context(aclosing(self._chunks(response)))
            yield await self._spooled(chunks, stack) if size is None else OpenPhoto(size, chunks)

    async def _answer(self, url: str, stack: AsyncExitStack) -> HttpReply:
        with self._span() as span, _our_failures():
            async with asyncio.timeout(self._answer_seconds):
                response = await self._follow(url, stack)
            span.set_attribute("http.response.status_code", response.status_code)
        if response.status_code != 200:
            raise _refusal(response.status_code)
        return response

    def _span(self) -> AbstractContextManager[Span]:
        return self._tracer.start_as_current_span("GET photo", kind=SpanKind.CLIENT, record_exception=False)

    async def _follow(self, url: str, stack: AsyncExitStack) -> HttpReply:
        for _ in range(1 + MOST_REDIRECTS):
            check_url(url, self._policy)
            request = self._client.build_request("GET", url, headers=_ONCE, timeout=None)
            response = await self._client.send(request, stream=True)
            stack.push_async_callback(response.aclose)
            if response.status_code not in _REDIRECTS:
                return response
            await response.aclose()
            url = _target(url, response.headers.get("location", ""))
        raise PermanentFailure("The photo's address redirects too often.", code="ERR_PHOTO_REDIRECTS")

    def _announced(self, response: HttpReply) -> int | None:
        """The photo's length in bytes; None when the server doesn't tell."""
        if response.headers.get("content-encoding", "identity").strip().lower() not in {"identity", ""}:
            raise PermanentFailure("The photo's server sent it compressed.", code="ERR_PHOTO_ENCODED")
        text = response.headers.get("content-length")
        if text is None or "transfer-encoding" in response.headers:
            return None
        if not (text.isascii() and text.isdigit()):
            raise _broken_off()
        size = int(text[:20])
        self._check_size(size)
        return size

    def _check_size(self, size: int) -> None:
        if size > self._most_bytes:
            raise PermanentFailure("The photo is larger than Flickr takes.", code="ERR_PHOTO_TOO_LARGE")
        if size == 0:
            raise PermanentFailure("The photo is empty.", code="ERR_PHOTO_EMPTY")

    async def _chunks(self, response: HttpReply) -> AsyncGenerator[bytes, None]:
        now, patience = asyncio.get_running_loop().time, self._grace_seconds
        count = size = 0
        with _our_failures():
            async with aclosing(response.aiter_raw()) as chunks:
                while True:
                    asked = now()
                    async with asyncio.timeout(patience):
                        chunk = await anext(chunks, None)
                    if chunk is None:
                        return
                    count, size = count + 1, size + len(chunk)
                    if count > CRUMBS and size < count * CRUMB_BYTES:
                        raise PermanentFailure("The photo's server sends crumbs.", code="ERR_PHOTO_REFUSED")
                    earned = len(chunk) / self._bytes_per_second
                    patience = min(patience - (now() - asked) + earned, self._stall_seconds)
                    yield chunk

    async def _spooled(self, chunks: AsyncIterator[bytes], stack: AsyncExitStack) -> OpenPhoto:
        """The photo in an unnamed file, which goes with the last who has it open, were it by a crash."""
        size, held = 0, bytearray()
        with _disk_failures():
            file = tempfile.TemporaryFile()  # noqa: SIM115 - the stack closes it
            stack.push_async_callback(asyncio.to_thread, _close, file)
            async for chunk in chunks:
                size += len(chunk)
                self._check_size(size)
                held += chunk
                if len(held) >= SPOOLED_BYTES:
                    await asyncio.to_thread(file.write, held)
                    held = bytearray()
            await asyncio.to_thread(file.write, held)
        self._check_size(size)
        return OpenPhoto(size, _read_back(file))


async def _read_back(file: IO[bytes]) -> AsyncIterator[bytes]:
    with _disk_failures():
        await asyncio.to_thread(file.seek, 0)
        while chunk := await asyncio.to_thread(file.read, SPOOLED_BYTES):
            yield chunk


def _close(file: IO[bytes]) -> None:
    """Let a spooled photo go; what couldn't be written isn't missed. In a thread: freeing a GiB takes a while."""
    with suppress(OSError):
        file.close()


def _target(url: str, location: str) -> str:
    """Where a redirect leads. Raises RefusedUrl, for what ``check_url`` can't know."""
    if not location:
        raise RefusedUrl("leads nowhere")
    target = location if urlsplit(location).scheme else urljoin(url, location)  # joined, "http:///x" would be relative
    if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
        raise RefusedUrl("leads to where anybody can listen")
    return target


def _refusal(status: int) -> CallFailed:
    """What a status other than 200 means."""
    if status in {404, 410}:
        return PermanentFailure("There is no photo at its address.", code="ERR_PHOTO_NOT_FOUND")
    if status >= 500:
        return TransientFailure(f"The photo's server failed with status {status}.", code="ERR_PHOTO_UNREACHABLE")
    kind = TransientFailure if status in _TRY_AGAIN else PermanentFailure
    return kind(f"The photo's server answered with status {status}.", code="ERR_PHOTO_REFUSED")


def _broken_off() -> TransientFailure:
    return TransientFailure("The photo's server can't be reached or broke off.", code="ERR_PHOTO_UNREACHABLE")


@contextmanager
def _our_failures() -> Iterator[None]:
    """Raise what goes wrong on the way as our own errors, whose words name neither the server nor its address."""
    try:
        yield
    except TimeoutError as error:
        raise TransientFailure("The photo's server was too slow.", code="ERR_PHOTO_TIMEOUT") from error
    except HttpError as error:
        if failure_name(error) == "timeout":
            raise TransientFailure("The photo's server was too slow.", code="ERR_PHOTO_TIMEOUT") from error
        raise _broken_off() from error
    except (
        InvalidUrl,
        ValueError,
    ) as error:  # RefusedUrl is a ValueError, and so is what odd names make the driver say
        raise PermanentFailure(
            "The photo's address isn't one that may be fetched from.", code="ERR_PHOTO_ADDRESS"
        ) from error


@contextmanager
def _disk_failures() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TransientFailure("There was no room to fetch the photo.", code="ERR_PHOTO_UNREACHABLE") from error
