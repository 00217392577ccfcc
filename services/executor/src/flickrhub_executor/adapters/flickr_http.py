"""What calls and uploads to Flickr have in common: who signs, how a reply is read, what no reply becomes."""

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote, urlencode

from oauthlib.oauth1 import SIGNATURE_HMAC_SHA1, SIGNATURE_TYPE_AUTH_HEADER, Client

from flickrhub_common.http_client import ConnectFailure, failure_name
from flickrhub_executor.errors import TransientFailure
from flickrhub_executor.models import Credentials

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def form(pairs: Iterable[tuple[str, str]]) -> str:
    """Fields as a form's body, or a query. To sign, give it as text: of pairs oauthlib drops all but one of a name."""
    return urlencode(list(pairs), quote_via=quote, safe="-._~")


def signed_form(url: str, encoded: str, credentials: Credentials) -> dict[str, str]:
    """The headers of a form's POST."""
    _, headers, _ = signer(credentials).sign(url, "POST", body=encoded, headers=dict(_FORM))
    return dict(headers)


def signer(credentials: Credentials) -> Client:
    """Signs by OAuth 1.0a (HMAC-SHA1, the only one Flickr takes), each time with a fresh nonce and time."""
    return Client(
        credentials.api_key,
        client_secret=credentials.api_secret,
        resource_owner_key=credentials.oauth_token,
        resource_owner_secret=credentials.oauth_token_secret,
        signature_method=SIGNATURE_HMAC_SHA1,
        signature_type=SIGNATURE_TYPE_AUTH_HEADER,
    )


async def read_reply(chunks: AsyncIterator[bytes], *, most_bytes: int) -> bytes:
    """The whole body. Raises TransientFailure, in doubt, when it is larger than ``most_bytes``."""
    parts, size = [], 0
    async for chunk in chunks:
        size += len(chunk)
        if size > most_bytes:
            raise TransientFailure("Flickr's answer is too large.", code="ERR_FLICKR_BAD_REPLY", doubtful=True)
        parts.append(chunk)
    return b"".join(parts)


def no_answer(error: Exception, *, sent: bool = True) -> TransientFailure:
    """What a time-out or one of the driver's errors means, in doubt if everything had been sent."""
    if isinstance(error, ConnectFailure):
        return TransientFailure("Flickr can't be reached.", code="ERR_FLICKR_UNREACHABLE")
    if isinstance(error, TimeoutError) or failure_name(error) == "timeout":
        return TransientFailure("Flickr didn't answer in time.", code="ERR_FLICKR_TIMEOUT", doubtful=sent)
    return TransientFailure("The connection to Flickr broke.", code="ERR_FLICKR_UNREACHABLE", doubtful=sent)


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
