"""Flickr's REST endpoint: one signed call, one reply."""

import asyncio
import time

from opentelemetry.trace import SpanKind, Tracer, get_current_span

from flickrhub_common.call_client import BrokenOff, CallClient, NotSent, ReplyTooLong
from flickrhub_executor.adapters.call_signing import authorization, escaped, joined
from flickrhub_executor.adapters.flickr_http import broken_off, not_reached, retry_after_seconds, too_large, too_late
from flickrhub_executor.errors import TransientFailure
from flickrhub_executor.models import Credentials, FlickrCall, FlickrReply

MAX_REPLY_BYTES = 8 * 1024 * 1024
LONGEST_QUERY = 6000
"""Beyond this a read goes out as POST, which Flickr takes too; a long GET gets a 414 (sybrenstuvel/flickrapi#59)."""

_AS_JSON = (("format", "json"), ("nojsoncallback", "1"))
_PACKED = {"Accept-Encoding": "gzip, deflate"}
_FORM = {"Content-Type": "application/x-www-form-urlencoded", **_PACKED}


class FlickrRest:
    """Signs at the last moment, each time afresh."""

    def __init__(self, client: CallClient, *, url: str, tracer: Tracer, timeout_seconds: float) -> None:
        self._client = client
        self._url = url
        self._tracer = tracer
        self._timeout_seconds = timeout_seconds

    async def call(self, call: FlickrCall, credentials: Credentials) -> FlickrReply:
        """Make one call within the time limit. Raises TransientFailure when no whole answer came."""
        if not get_current_span().is_recording():  # of a span that nobody sees, making it is all that is left
            return await self._exchange(call, credentials)
        # No query: it holds what the client asked for.
        attributes = {"http.request.method": call.http_method, "url.full": self._url, "flickr.method": call.method}
        with self._tracer.start_as_current_span(
            f"{call.http_method} Flickr", kind=SpanKind.CLIENT, attributes=attributes, record_exception=False
        ) as span:
            reply = await self._exchange(call, credentials)
            span.set_attribute("http.response.status_code", reply.status)
        return reply

    async def _exchange(self, call: FlickrCall, credentials: Credentials) -> FlickrReply:
        method, url, headers, body = self._signed(call, credentials)
        started = time.perf_counter()
        try:
            async with (
                asyncio.timeout(self._timeout_seconds),
                self._client.call(method, url, headers=headers, body=body) as reply,
            ):
                content = await reply.whole(most_bytes=MAX_REPLY_BYTES, unpack=True)
        except (NotSent, BrokenOff, ReplyTooLong, TimeoutError) as error:
            raise _no_answer(error) from error
        duration = round((time.perf_counter() - started) * 1000)
        return FlickrReply(reply.status, content, retry_after_seconds(reply.headers.get("Retry-After")), duration)

    def _signed(self, call: FlickrCall, credentials: Credentials) -> tuple[str, str, dict[str, str], bytes | None]:
        fields = [*escaped((*call.params, ("method", call.method))), *_AS_JSON]
        encoded = joined(fields)
        if call.http_method == "GET" and len(encoded) <= LONGEST_QUERY:
            signed = {"Authorization": authorization("GET", self._url, fields, credentials)}
            return "GET", f"{self._url}?{encoded}", _PACKED | signed, None
        signed = {"Authorization": authorization("POST", self._url, fields, credentials)}
        return "POST", self._url, _FORM | signed, encoded.encode()


def _no_answer(error: Exception) -> TransientFailure:
    """What became of a call without a whole answer: in doubt, unless nothing was sent."""
    match error:
        case NotSent():
            return not_reached()
        case TimeoutError():
            return too_late(sent=True)
        case ReplyTooLong():
            return too_large()
    return broken_off(sent=True)
