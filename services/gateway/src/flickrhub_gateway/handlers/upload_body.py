"""Takes an upload's body off the wire, piece by piece: raw or multipart, in good time, never the whole of it."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.requests import ClientDisconnect, Request

from flickrhub_common.body_limit import declared_length
from flickrhub_common.errors import InvalidRequest
from flickrhub_gateway.handlers.multipart import MultipartPieces, boundary_of
from flickrhub_gateway.uploads import Arriving, FileBegins

MAX_AROUND = 1024 * 1024
"""Most bytes of a body that aren't the photo's: boundaries, headers, fields."""
GRACE_SECONDS = 10.0
IDLE_SECONDS = 30.0


async def arriving(request: Request, *, filename: str | None, least_speed: int) -> AsyncGenerator[Arriving, None]:
    """What the body brings. Raises InvalidRequest for a body that breaks off, is too slow or can't be read."""
    boundary = boundary_of(request.headers.get("content-type", ""))
    declared = declared_length(request.scope) or 0
    async with aclosing(request.stream()) as raw, aclosing(paced(raw, least_speed=least_speed)) as stream:
        if boundary is None:
            yield FileBegins(filename, at_least=declared)
            async for chunk in stream:
                yield chunk
            return
        pieces = MultipartPieces(boundary, filename=filename, at_least=max(0, declared - MAX_AROUND))
        async for chunk in stream:
            for piece in pieces.of(chunk):
                yield piece
            if pieces.around > MAX_AROUND:
                raise InvalidRequest("The multipart body holds too much beside the photo.")
        pieces.end()


async def paced(
    stream: AsyncGenerator[bytes, None], *, least_speed: int, grace: float = GRACE_SECONDS, idle: float = IDLE_SECONDS
) -> AsyncGenerator[bytes, None]:
    """The stream's chunks, as long as they keep coming.

    Only the time spent waiting for the client counts, not what the store takes: after ``grace`` seconds of it the
    client must have sent ``least_speed`` bytes for every further one, and it is never silent for ``idle`` seconds.
    """
    waited, arrived = 0.0, 0
    while True:
        began = time.monotonic()
        try:
            async with asyncio.timeout(min(idle, grace + arrived / least_speed - waited)):
                chunk = await anext(stream, b"")
        except TimeoutError as error:
            raise InvalidRequest("The body came too slowly, or stopped coming.") from error
        except ClientDisconnect as error:
            raise InvalidRequest("The body ended before its end.") from error
        if not chunk:
            return
        waited += time.monotonic() - began
        arrived += len(chunk)
        yield chunk
