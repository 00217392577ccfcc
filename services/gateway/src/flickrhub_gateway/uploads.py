"""Uploads as the gateway sees them: photos that were handed over, and whose and for which job they are."""

import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from urllib.parse import unquote, urlsplit

from flickrhub_common.errors import InvalidRequest, PayloadTooLarge
from flickrhub_common.photo_formats import HEAD_BYTES, Completeness, PhotoFormat, recognise

MAX_FILENAME = 255

EMPTY = "is empty"
NOT_RECOGNISED = "is neither a photo nor a video that Flickr takes, by its first bytes"
TRUNCATED = "is cut off: its end is missing"

_QUOTES_AND_SLASHES = str.maketrans(dict.fromkeys("\"'`<>|:*?", "_"))


class UploadState(StrEnum):
    """Where an upload is: on its way in, here, promised by a presigned URL, or on its way out."""

    RECEIVING = "receiving"
    READY = "ready"
    PRESIGNED = "presigned"
    DOOMED = "doomed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """The record of a photo in the photo store; it is there before the first byte and goes after the last.

    ``job_id`` is the job that claimed it, at ``claimed_at``. A ``hidden`` one came inside a job's own call: nobody else
    can name it. Until ``put_until`` a presigned URL may bring bytes, again and again.
    """

    ref: str
    user_id: str | None
    state: UploadState
    filename: str | None
    created_at: datetime
    expires_at: datetime
    hidden: bool = False
    job_id: str | None = None
    claimed_at: datetime | None = None
    put_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A photo that is whole and stored, as its client hears of it."""

    ref: str
    size: int
    sha256: str
    content_type: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Presigned:
    """Where a client may put a photo itself, and until when."""

    ref: str
    url: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class InlinePhoto:
    """A small photo that came inside the call, checked."""

    data: bytes = field(repr=False)
    format: PhotoFormat


@dataclass(frozen=True, slots=True)
class UserNamed:
    """On the way in: the user_id, where it comes among the body's parts."""

    user_id: str


@dataclass(frozen=True, slots=True)
class FileBegins:
    """On the way in: the photo's bytes follow.

    ``at_least`` is how many they are for certain, by what the request says of its length.
    """

    filename: str | None
    at_least: int


Arriving = UserNamed | FileBegins | bytes | memoryview
"""What a request's body brings, piece by piece; the user_id may come at any place, once."""


def wrong_photo(what: str) -> InvalidRequest:
    """The refusal of a photo, in the words every call uses."""
    return InvalidRequest(details=[f"photo: {what}"])


def too_large(format: PhotoFormat) -> PayloadTooLarge:  # noqa: A002 - as photo_formats names it
    """The refusal of a photo or video over Flickr's limit."""
    return PayloadTooLarge(f"Flickr takes a {format.media} of at most {format.most_bytes // 1024**2} MiB.")


def inspect_inline(data: bytes) -> InlinePhoto:
    """A small photo, if it is one from its first byte to its last. Raises ValueError with what is wrong with it."""
    if not data:
        raise ValueError(EMPTY)
    found = recognise(data[:HEAD_BYTES])
    if found is None:
        raise ValueError(NOT_RECOGNISED)
    whole = Completeness(found)
    whole.feed(data)
    if not whole.whole:
        raise ValueError(TRUNCATED)
    return InlinePhoto(data, found)


def plain_filename(name: str | None) -> str | None:
    """A client's file name as it may stand in a header: its last part, printable ASCII, no quotes; or None.

    Accents go, other characters become ``_``: Flickr takes the file's name for a title where there is none.
    """
    last = (name or "").replace("\\", "/").rstrip("/").rpartition("/")[2]
    letters = (letter for letter in unicodedata.normalize("NFKD", last) if not unicodedata.combining(letter))
    ascii_only = "".join(letter if " " <= letter <= "~" else "_" for letter in letters)
    return ascii_only.translate(_QUOTES_AND_SLASHES).strip(" .")[:MAX_FILENAME] or None


def filename_of_url(url: str) -> str | None:
    """The file name a URL ends with, if it does."""
    return plain_filename(unquote(urlsplit(url).path).rpartition("/")[2])
