"""Flickr's REST endpoint: one signed call, one reply."""

import asyncio
import time

from flickrhub_common.http_client import HttpClient, HttpError
from flickrhub_executor.adapters.flickr_http import (
    form,
    no_answer,
    read_reply,
    retry_after_seconds,
    signed_form,
    signer,
)
from flickrhub_executor.models import Credentials, FlickrCall, FlickrReply

MAX_REPLY_BYTES = 8 * 1024 * 1024
LONGEST_QUERY = 6000
"""Beyond this a read goes out as POST, which Flickr takes too; a long GET gets a 414 (sybrenstuvel/flickrapi#59)."""


class FlickrRest:
    """Signs at the last moment, each time afresh."""

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
                content = await read_reply(response.aiter_bytes(), most_bytes=MAX_REPLY_BYTES)
        except (TimeoutError, HttpError) as error:
            raise no_answer(error) from error
        duration = round((time.perf_counter() - started) * 1000)
        retry_after = retry_after_seconds(response.headers.get("retry-after"))
        return FlickrReply(response.status_code, content, retry_after, duration)

    def _signed(self, call: FlickrCall, credentials: Credentials) -> tuple[str, str, dict[str, str], bytes | None]:
        pairs = [*call.params, ("method", call.method), ("format", "json"), ("nojsoncallback", "1")]
        encoded = form(pairs)
        if call.http_method == "GET" and len(encoded) <= LONGEST_QUERY:
            url, headers, _ = signer(credentials).sign(f"{self._url}?{encoded}", "GET")
            return "GET", url, dict(headers), None
        return "POST", self._url, signed_form(self._url, encoded, credentials), encoded.encode()
