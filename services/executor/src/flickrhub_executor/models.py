"""What the executor speaks of."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from flickrhub_common.contracts import JobCompleted, JobFailed, JobRequested, Reservation

Outcome = JobCompleted | JobFailed


@dataclass(frozen=True)
class Credentials:
    """A token lent by auth. Never shown: its text form holds nothing."""

    user_id: str
    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)
    oauth_token: str = field(repr=False)
    oauth_token_secret: str = field(repr=False)
    fingerprint: str


@dataclass(frozen=True)
class FlickrCall:
    """One REST call as Flickr takes it: all values text, in the order given."""

    method: str
    http_method: str
    params: tuple[tuple[str, str], ...] = field(repr=False)


@dataclass(frozen=True)
class FlickrReply:
    """What came back: the HTTP status, the body, ``Retry-After`` in seconds, how long it took in milliseconds."""

    status: int
    body: bytes = field(repr=False)
    retry_after: float | None
    duration_ms: int


@dataclass(frozen=True)
class Photo:
    """A photo or video on its way to Flickr: exactly ``size`` bytes, in pieces of at most a few MiB.

    ``filename`` is printable ASCII without quotes: Flickr answers 401 to any other (sybrenstuvel/flickrapi#53). It is
    Flickr's title where none is given. ``whole``: it is known already that its end is there.
    """

    size: int
    filename: str
    content_type: str
    chunks: AsyncIterator[bytes] = field(repr=False)
    whole: bool = False


@dataclass(frozen=True)
class UploadCall:
    """One upload or replacement: its text fields, all of which are signed, and the photo, which isn't."""

    fields: tuple[tuple[str, str], ...] = field(repr=False)
    photo: Photo


@dataclass(frozen=True)
class CachedReply:
    """An answer kept from before, as compact JSON text with its HTTP status."""

    flickr: str = field(repr=False)
    status: int


@dataclass(frozen=True)
class CacheKey:
    """Names a cached answer: valid only while the user's generation is the one read with it."""

    user_id: str
    digest: str


@dataclass(frozen=True)
class Go:
    """The call may be made after ``seconds`` (under half a second: shorter than the ladder is fine)."""

    seconds: float


@dataclass(frozen=True)
class WaitForTurn:
    """The job's turn comes in ``seconds``; ``reservation`` keeps its place."""

    seconds: float
    reservation: Reservation | None


@dataclass(frozen=True)
class Taken:
    """The claim is ours. ``doubtful``: an executor that died may have made this call already.

    ``owner`` names this taking, for whoever has to renew it. ``deaths``: how often this attempt was taken over from an
    executor that died or crashed.
    """

    doubtful: bool
    owner: str = ""
    deaths: int = 0


@dataclass(frozen=True)
class Held:
    """Another copy of the message is being worked on, or its outcome told, for ``seconds`` at most."""

    seconds: float


@dataclass(frozen=True)
class Concluded:
    """The job has its outcome, and telling it is ours; None when every reader has been told.

    ``buried``: it lies among the dead letters already. ``doubtful``: Flickr may have done what failed here. To a
    replay's message the outcome may be that of the run before it, not told so far.
    """

    outcome: Outcome | None
    buried: bool = False
    doubtful: bool = False


@dataclass(frozen=True)
class Superseded:
    """This attempt is over; the next one is ``retry``, due at ``due`` (Unix seconds), None if it is under way."""

    retry: JobRequested | None
    due: float


Claim = Taken | Held | Concluded | Superseded


def json_params(params: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """A client's params as Flickr takes them: booleans as 1 and 0, lists comma-separated, everything text.

    Numbers go out plainly: 5 for 5.0, as JSON makes no difference, and without an exponent.
    """
    return tuple((name, _text(value)) for name, value in params.items())


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(_text(item) for item in value)
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f").removesuffix(".0")
    return str(value)
