"""Receivers of callbacks, over HTTP."""

import asyncio
from functools import lru_cache

from opentelemetry.trace import SpanKind, Tracer
from opentelemetry.trace.status import StatusCode

from flickrhub_common.addresses import REFUSED_ADDRESS, AddressPolicy, RefusedUrl, check_url
from flickrhub_common.call_client import CallClient, CallFailure, CallReply
from flickrhub_common.http_client import InvalidUrl, as_sent
from flickrhub_common.logs import logger, scrub
from flickrhub_notifier.models import Answer, Post, endpoint_of

log = logger(__name__)

MAX_RESPONSE_BYTES = 64 * 1024
EXCERPT_CHARACTERS = 1024
SWITCHING_PROTOCOLS = 101
URLS_KEPT = 1024
"""URLs whose verdict is remembered: who has callbacks sent has them sent to the same one."""


class HttpReceiver:
    """Posts through the guarded client. The deadline holds from DNS to the end of the response."""

    def __init__(self, client: CallClient, *, policy: AddressPolicy, tracer: Tracer, timeout_seconds: float) -> None:
        self._client = client
        self._policy = policy
        self._tracer = tracer
        self._timeout_seconds = timeout_seconds
        self._judged = lru_cache(maxsize=URLS_KEPT)(self._judge)

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
        headers = {**post.headers, "Connection": "keep-alive"}
        try:
            url = self._judged(post.url)
            async with (
                asyncio.timeout(self._timeout_seconds),
                self._client.call("POST", url, headers=headers, body=post.body) as reply,
            ):
                if reply.status == SWITCHING_PROTOCOLS:
                    return Answer(error="protocol_error")
                status = reply.status
                read = await reply.beginning(most_bytes=MAX_RESPONSE_BYTES)
            return Answer(status, None, reply.headers.get("retry-after"), _excerpt(reply, read))
        except RefusedUrl as error:
            return Answer(error="refused_address" if str(error) == REFUSED_ADDRESS else "invalid_url")
        except InvalidUrl:
            return Answer(error="invalid_url")
        except TimeoutError:
            return Answer(status, "timeout" if status is None else "too_slow")
        except CallFailure as error:
            return Answer(status, error.reason)
        except Exception as error:  # noqa: BLE001 - a stranger's URL or reply that trips the driver counts as an attempt,
            # else the delivery would come again without end. Only the type: the text may hold the URL.
            log.error("callback_crashed", error=type(error).__name__)  # noqa: TRY400
            return Answer(status, "internal_error")

    def _judge(self, url: str) -> str:
        """The URL as it is sent, if it may be called as far as can be said without DNS."""
        check_url(url, self._policy)
        return as_sent(url)


def _excerpt(reply: CallReply, read: bytes) -> str | None:
    """The reply's beginning as text for people: printable, without credentials; nothing of what is compressed."""
    if not read or reply.headers.get("content-encoding", "identity").lower() != "identity":
        return None
    text = read[: 4 * EXCERPT_CHARACTERS].decode("utf-8", "replace")[:EXCERPT_CHARACTERS]
    return scrub("".join(ch if ch.isprintable() or ch == "\n" else "\ufffd" for ch in text))
