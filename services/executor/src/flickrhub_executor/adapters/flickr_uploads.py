"""Flickr's upload and replace endpoints: one signed request with a photo in it, one reply.

The multipart body is written here: the driver's own takes file objects only, and reads them in the event loop. Its
length is always told, never chunked.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

from flickrhub_common.http_client import HttpClient, HttpError
from flickrhub_executor.adapters.call_signing import authorization, escaped
from flickrhub_executor.adapters.flickr_http import no_answer, read_reply, retry_after_seconds
from flickrhub_executor.errors import TransientFailure
from flickrhub_executor.models import Credentials, FlickrReply, UploadCall

MAX_REPLY_BYTES = 64 * 1024
SMALL_BYTES = 32 * 1024
"""Smaller chunks are put together: a write costs the same whatever its length. Larger ones aren't worth copying."""
JOINED_BYTES = 256 * 1024
LARGEST_BYTES = 1024 * 1024
"""Larger chunks are cut, so that a slow line takes each piece in time."""
CONNECT_SECONDS = 10.0
WRITE_SECONDS = 60.0
"""How long Flickr may take in nothing of what is being sent."""

_TIMEOUTS = (CONNECT_SECONDS, None, WRITE_SECONDS, CONNECT_SECONDS)  # for the answer the time limit of the whole
_QUOTED = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})


class FlickrUploads:
    """Signs all text fields and not the photo, at the last moment, each time afresh."""

    def __init__(self, client: HttpClient, *, url: str, timeout_seconds: float) -> None:
        self._client = client
        self._url = url
        self._timeout_seconds = timeout_seconds

    async def send(self, call: UploadCall, credentials: Credentials, *, before_end: Callable[[], None]) -> FlickrReply:
        """Send one upload within the time limit; an answer that comes early ends the sending.

        ``before_end`` is called before the last bytes go out. Raises what it or the photo's chunks raise, as it is;
        TransientFailure when no whole answer came, in doubt only if every byte had been handed over.
        """
        body = _Body(call, before_end)
        headers = {**self._signature(call, credentials), **body.headers}
        started = time.perf_counter()
        try:
            async with (
                asyncio.timeout(self._timeout_seconds),
                self._client.stream(
                    "POST", self._url, headers=headers, content=body.pieces(), timeout=_TIMEOUTS
                ) as response,
            ):
                content = await read_reply(response.aiter_bytes(), most_bytes=MAX_REPLY_BYTES)
        except _Stopped as stop:
            raise stop.reason from stop.reason.__cause__
        except (TimeoutError, HttpError) as error:
            raise body.failure(error) from error
        duration = round((time.perf_counter() - started) * 1000)
        retry_after = retry_after_seconds(response.headers.get("retry-after"))
        return FlickrReply(response.status_code, content, retry_after, duration)

    def _signature(self, call: UploadCall, credentials: Credentials) -> dict[str, str]:
        """The ``Authorization`` of the fields as a form: RFC 5849 would leave a multipart body out, Flickr doesn't."""
        return {"Authorization": authorization("POST", self._url, escaped(call.fields), credentials)}


class _Stopped(Exception):
    """Carries what stopped a body past the driver, which would take an error of its own kind for its own, and forgets
    where others come from.
    """

    def __init__(self, reason: Exception) -> None:
        self.reason = reason


class _Body:
    """A multipart body on its way. ``sent``: its last bytes have been handed over."""

    def __init__(self, call: UploadCall, before_end: Callable[[], None]) -> None:
        boundary = f"flickrhub-{secrets.token_hex(16)}"
        self._chunks = call.photo.chunks
        self._before_end = before_end
        self._head = _head(call, boundary)
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self._size = len(self._head) + call.photo.size
        self.headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(self._size + len(self._tail)),
        }
        self.sent = False
        self._came_too_slowly = False

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body's bytes, the last ones held back until it is certain that the photo is whole."""
        held, left = b"", self._size
        try:
            async with aclosing(_put_together(self._head, self._chunks)) as pieces:
                async for piece in pieces:
                    left -= len(piece)
                    if left < 0:
                        break
                    if held:
                        yield held
                    held = piece
            self._end(left)
        except asyncio.CancelledError:
            self._came_too_slowly = True
            raise
        except Exception as error:
            raise _Stopped(error) from error
        self.sent = True
        yield held + self._tail

    def _end(self, left: int) -> None:
        if left:
            raise TransientFailure("The photo isn't as long as was announced.", code="ERR_PHOTO_UNREACHABLE")
        self._before_end()

    def failure(self, error: Exception) -> TransientFailure:
        """Why there is no answer."""
        if self._came_too_slowly:
            return TransientFailure("The photo didn't come in time.", code="ERR_PHOTO_TIMEOUT")
        return no_answer(error, sent=self.sent)


def _head(call: UploadCall, boundary: str) -> bytes:
    """Everything before the photo's first byte."""
    texts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name.translate(_QUOTED)}"\r\n\r\n{value}\r\n'
        for name, value in call.fields
    ]
    filename, content_type = call.photo.filename.translate(_QUOTED), call.photo.content_type
    disposition = f'Content-Disposition: form-data; name="photo"; filename="{filename}"'
    return f"{''.join(texts)}--{boundary}\r\n{disposition}\r\nContent-Type: {content_type}\r\n\r\n".encode()


async def _put_together(head: bytes, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The head and the chunks in pieces worth a write: small ones joined, others as they are, very large ones cut."""
    joined = bytearray(head)
    async for chunk in chunks:
        large = len(chunk) >= SMALL_BYTES
        if joined and (large or len(joined) + len(chunk) > JOINED_BYTES):
            yield bytes(joined)
            joined = bytearray()
        if not large:
            joined += chunk
        elif len(chunk) <= LARGEST_BYTES:
            yield chunk
        else:
            for at in range(0, len(chunk), LARGEST_BYTES):
                yield chunk[at : at + LARGEST_BYTES]
    if joined:
        yield bytes(joined)
