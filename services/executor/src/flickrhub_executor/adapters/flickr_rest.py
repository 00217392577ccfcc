"""Flickr's REST endpoint: one signed call, one reply."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote, urlencode

from oauthlib.oauth1 import SIGNATURE_HMAC_SHA1, SIGNATURE_TYPE_AUTH_HEADER, Client

from flickrhub_common.http_client import ConnectFailure, HttpClient, HttpError, failure_name
from flickrhub_executor.errors import TransientFailure
from flickrhub_executor.models import Credentials, FlickrCall, FlickrReply

MAX_REPLY_BYTES = 8 * 1024 * 1024
LONGEST_QUERY = 6000
"""Beyond this a read goes out as POST, which Flickr takes too; a long GET gets a 414 (sybrenstuvel/flickrapi#59)."""

_FORM = "application/x-www-form-urlencoded"


class FlickrRest:
    """Signs by OAuth 1.0a (HMAC-SHA1, the only one Flickr takes) at the last moment, each time afresh."""

    def __init__(self, client: HttpClient, *, url: str, timeout_seconds: float) -> None:
        self._client = client
        self._url = url
        self._timeout_seconds = timeout_seconds

    async def call(self, call: FlickrCall, credentials: Credentials) -> FlickrReply:
        """Make one call within the time limit. Raises TransientFailure when no whole answer came."""
        method, url, headers, body = self._signed(call, credentials)
        started = time.perf_counter()
        try:
            async with (
                asyncio.timeout(self._timeout_seconds),
                self._client.stream(method, url, headers=headers, content=body) as response,
            ):
                content = await _read(response.aiter_bytes())
        except (TimeoutError, HttpError) as error:
            raise _no_answer(error) from error
        duration = round((time.perf_counter() - started) * 1000)
        return FlickrReply(response.status_code, content, _retry_after(response.headers.get("retry-after")), duration)

    def _signed(self, call: FlickrCall, credentials: Credentials) -> tuple[str, str, dict[str, str], bytes | None]:
        pairs = [*call.params, ("method", call.method), ("format", "json"), ("nojsoncallback", "1")]
        encoded = urlencode(pairs, quote_via=quote, safe="-._~")
        client = Client(
            credentials.api_key,
            client_secret=credentials.api_secret,
            resource_owner_key=credentials.oauth_token,
            resource_owner_secret=credentials.oauth_token_secret,
            signature_method=SIGNATURE_HMAC_SHA1,
            signature_type=SIGNATURE_TYPE_AUTH_HEADER,
        )
        if call.http_method == "GET" and len(encoded) <= LONGEST_QUERY:
            url, headers, _ = client.sign(f"{self._url}?{encoded}", "GET")
            return "GET", url, dict(headers), None
        _, headers, _ = client.sign(self._url, "POST", body=encoded, headers={"Content-Type": _FORM})
        return "POST", self._url, dict(headers), encoded.encode()


async def _read(chunks: AsyncIterator[bytes]) -> bytes:
    parts, size = [], 0
    async for chunk in chunks:
        size += len(chunk)
        if size > MAX_REPLY_BYTES:
            raise TransientFailure("Flickr's answer is too large.", code="ERR_FLICKR_BAD_REPLY", doubtful=True)
        parts.append(chunk)
    return b"".join(parts)


def _no_answer(error: Exception) -> TransientFailure:
    if isinstance(error, ConnectFailure):
        return TransientFailure("Flickr can't be reached.", code="ERR_FLICKR_UNREACHABLE")
    if isinstance(error, TimeoutError) or failure_name(error) == "timeout":
        return TransientFailure("Flickr didn't answer in time.", code="ERR_FLICKR_TIMEOUT", doubtful=True)
    return TransientFailure("The connection to Flickr broke.", code="ERR_FLICKR_UNREACHABLE", doubtful=True)


def _retry_after(value: str | None) -> float | None:
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
