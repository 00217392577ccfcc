"""Receivers of callbacks, over HTTP."""

import asyncio
from contextlib import aclosing

from opentelemetry.trace import SpanKind, Tracer
from opentelemetry.trace.status import StatusCode

from flickrhub_common.addresses import REFUSED_ADDRESS, AddressPolicy, RefusedUrl, check_url
from flickrhub_common.http_client import HttpClient, HttpError, HttpReply, InvalidUrl, failure_name
from flickrhub_common.logs import logger, scrub
from flickrhub_common.telemetry import trace_headers
from flickrhub_notifier.models import Answer, Post, endpoint_of

log = logger(__name__)

MAX_RESPONSE_BYTES = 64 * 1024
EXCERPT_CHARACTERS = 1024


class HttpReceiver:
    """Posts through the guarded client. The deadline holds from DNS to the end of the response."""

    def __init__(self, client: HttpClient, *, policy: AddressPolicy, tracer: Tracer, timeout_seconds: float) -> None:
        self._client = client
        self._policy = policy
        self._tracer = tracer
        self._timeout_seconds = timeout_seconds

    async def post(self, post: Post) -> Answer:
        """Make one request; every failure is an answer, named by a fixed word."""
        attributes = {"http.request.method": "POST", "callback.endpoint": endpoint_of(post.url)}
        with self._tracer.start_as_current_span("POST callback", kind=SpanKind.CLIENT, attributes=attributes) as span:
            answer = await self._exchange(post)
            if answer.status is not None:
                span.set_attribute("http.response.status_code", answer.status)
            if not answer.succeeded:
                span.set_attribute("error.type", answer.reason)
                span.set_status(StatusCode.ERROR)
        return answer

    async def _exchange(self, post: Post) -> Answer:
        status: int | None = None
        try:
            check_url(post.url, self._policy)
            async with asyncio.timeout(self._timeout_seconds):
                headers = {**post.headers, **trace_headers()}
                async with self._client.stream("POST", post.url, content=post.body, headers=headers) as reply:
                    status = reply.status_code
                    read = await _read(reply)
            return Answer(status, None, reply.headers.get("retry-after"), _excerpt(reply, read))
        except RefusedUrl as error:
            return Answer(error="refused_address" if str(error) == REFUSED_ADDRESS else "invalid_url")
        except InvalidUrl:
            return Answer(error="invalid_url")
        except TimeoutError:
            return Answer(status, "timeout" if status is None else "too_slow")
        except HttpError as error:
            return Answer(status, failure_name(error))
        except Exception as error:  # noqa: BLE001 - a stranger's URL or reply that trips the driver counts as an attempt,
            # else the delivery would come again without end. Only the type: the text may hold the URL.
            log.error("callback_crashed", error=type(error).__name__)  # noqa: TRY400
            return Answer(status, "internal_error")


async def _read(reply: HttpReply) -> bytes:
    """At most 64 KiB as they come over the wire; leaving the rest closes the connection."""
    read = bytearray()
    async with aclosing(reply.aiter_raw()) as chunks:
        async for chunk in chunks:
            read += chunk
            if len(read) >= MAX_RESPONSE_BYTES:
                break
    return bytes(read[:MAX_RESPONSE_BYTES])


def _excerpt(reply: HttpReply, read: bytes) -> str | None:
    """The reply's beginning as text for people: printable, without credentials; nothing of what is compressed."""
    if not read or reply.headers.get("content-encoding", "identity").lower() != "identity":
        return None
    text = read[: 4 * EXCERPT_CHARACTERS].decode("utf-8", "replace")[:EXCERPT_CHARACTERS]
    return scrub("".join(ch if ch.isprintable() or ch == "\n" else "\ufffd" for ch in text))
