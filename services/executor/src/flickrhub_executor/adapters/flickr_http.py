"""What calls and uploads to Flickr have in common: what no reply becomes, and how a reply is read."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from flickrhub_common.http_client import ConnectFailure, failure_name
from flickrhub_executor.errors import TransientFailure


async def read_reply(chunks: AsyncIterator[bytes], *, most_bytes: int) -> bytes:
    """The whole body. Raises TransientFailure, in doubt, when it is larger than ``most_bytes``."""
    parts, size = [], 0
    async for chunk in chunks:
        size += len(chunk)
        if size > most_bytes:
            raise too_large()
        parts.append(chunk)
    return b"".join(parts)


def no_answer(error: Exception, *, sent: bool = True) -> TransientFailure:
    """What a time-out or one of httpx2's errors means, in doubt if everything had been sent."""
    if isinstance(error, ConnectFailure):
        return not_reached()
    if isinstance(error, TimeoutError) or failure_name(error) == "timeout":
        return too_late(sent=sent)
    return broken_off(sent=sent)


def not_reached() -> TransientFailure:
    """There was no connection."""
    return TransientFailure("Flickr can't be reached.", code="ERR_FLICKR_UNREACHABLE")


def too_late(*, sent: bool) -> TransientFailure:
    """The time limit came before the answer."""
    return TransientFailure("Flickr didn't answer in time.", code="ERR_FLICKR_TIMEOUT", doubtful=sent)


def broken_off(*, sent: bool) -> TransientFailure:
    """The connection ended before the answer did."""
    return TransientFailure("The connection to Flickr broke.", code="ERR_FLICKR_UNREACHABLE", doubtful=sent)


def too_large() -> TransientFailure:
    """There is an answer, of which nobody knows the end."""
    return TransientFailure("Flickr's answer is too large.", code="ERR_FLICKR_BAD_REPLY", doubtful=True)


def retry_after_seconds(value: str | None) -> float | None:
    """``Retry-After`` in seconds, given as seconds or as an HTTP date; None when absent or unreadable."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
