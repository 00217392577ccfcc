"""A photo looked at on its way: nothing is sent of what Flickr wouldn't take, and never the end of what isn't whole."""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

from flickrhub_common.photo_formats import HEAD_BYTES, Completeness, PhotoFormat, recognise
from flickrhub_executor.errors import CallFailed, PermanentFailure, TransientFailure
from flickrhub_executor.models import Photo

_HAS_EXTENSION = re.compile(r".+\.[A-Za-z0-9]{2,5}")


@asynccontextmanager
async def inspected(photo: Photo) -> AsyncIterator[Photo]:
    """The same photo with what it really is, its first bytes looked at already.

    Raises PermanentFailure when it is empty, no photo or video, or too large. Its chunks raise PermanentFailure when it
    is truncated, TransientFailure when it is shorter or longer than was said; always before their last piece.
    """
    _check_size(photo.size)
    head = await _head(photo)
    found = recognise(head)
    if found is None:
        raise PermanentFailure("The file is neither a photo nor a video.", code="ERR_PHOTO_NOT_RECOGNISED")
    _check_size(photo.size, found)
    async with aclosing(_checked(photo, head, found)) as chunks:
        named = _with_extension(photo.filename, found.extension)
        yield replace(photo, filename=named, content_type=found.content_type, chunks=chunks)


def _check_size(size: int, found: PhotoFormat | None = None) -> None:
    if size == 0:
        raise PermanentFailure("The photo is empty.", code="ERR_PHOTO_EMPTY")
    if found is not None and size > found.most_bytes:
        most = found.most_bytes // 1024**2
        sentence = f"The {found.media} is too large: Flickr takes at most {most} MiB."
        raise PermanentFailure(sentence, code="ERR_PHOTO_TOO_LARGE")


async def _head(photo: Photo) -> bytes:
    """The first pieces together, as many as it takes to recognise it."""
    head = b""
    while len(head) < HEAD_BYTES and (chunk := await anext(photo.chunks, None)) is not None:
        head += chunk
    if len(head) < min(HEAD_BYTES, photo.size):
        raise _another_length()
    return head


async def _checked(photo: Photo, head: bytes, found: PhotoFormat) -> AsyncGenerator[bytes, None]:
    """Every piece when the next one is there, the last one when the photo has turned out whole."""
    completeness, size, held = None if photo.whole else Completeness(found), len(head), head
    if completeness:
        completeness.feed(head)
    async for chunk in photo.chunks:
        size += len(chunk)
        if size > photo.size:
            break
        if completeness:
            completeness.feed(chunk)
        if chunk:
            yield held
            held = chunk
    if size != photo.size:
        raise _another_length()
    if completeness and not completeness.whole:
        raise PermanentFailure("The photo is truncated: its end is missing.", code="ERR_PHOTO_TRUNCATED")
    yield held


def _another_length() -> CallFailed:
    return TransientFailure("The photo isn't as long as its source said.", code="ERR_PHOTO_UNREACHABLE")


def _with_extension(filename: str, extension: str) -> str:
    """A name Flickr can make a title of, with an extension that says what the file is."""
    name = filename or "photo"
    return name if _HAS_EXTENSION.fullmatch(name) else f"{name}.{extension}"
