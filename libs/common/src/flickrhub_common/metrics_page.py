"""The page `/metrics`: a small app of its own, which asks little and is bounded whoever asks, and however often.

Beside it `/health` says that the process lives, where a crowd of clients keeps nobody from asking.
"""

import asyncio
import time
from collections.abc import Callable

from starlette.types import Receive, Scope, Send

from flickrhub_common.logs import logger
from flickrhub_common.metrics import CONTENT_TYPE, Metrics, Sample

log = logger(__name__)

PATH = "/metrics"
LIVES = "/health"
METHODS = ("GET", "HEAD")
GOOD_SECONDS = 5.0
"""How long figures that others were asked for are good, whoever looks meanwhile."""
SAMPLE_SECONDS = 2.0
"""How long one of those asked may take; then its figures aren't shown."""
PATIENCE_SECONDS = 1.0
"""How long a look waits for fresh figures; then it is shown those there are."""
PAGE_SECONDS = 0.5
"""How long a page is good: it takes milliseconds to write."""


class MetricsPage:
    """ASGI app: ``GET /metrics`` and ``GET /health``, nothing else. It never waits longer than a second for anybody."""

    def __init__(self, metrics: Metrics, *, now: Callable[[], float] = time.monotonic) -> None:
        self._metrics = metrics
        self._now = now
        self._round: asyncio.Task[None] | None = None
        self._fresh_until = self._page_until = 0.0
        self._page = b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        status, kind, body = 200, CONTENT_TYPE, b""
        if scope["path"] not in (PATH, LIVES):
            status = 404
        elif scope["method"] not in METHODS:
            status = 405
        elif scope["path"] == LIVES:
            kind, body = "application/json", b'{"status":"ok"}'
        else:
            body = await self.page()
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        if status == 405:
            headers.append((b"allow", ", ".join(METHODS).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def page(self) -> bytes:
        """Everything in Prometheus' text form."""
        if self._round is None or (self._round.done() and self._now() >= self._fresh_until):
            self._round = asyncio.create_task(self._sample(), name="metrics")
        if not self._round.done():
            await asyncio.wait({self._round}, timeout=PATIENCE_SECONDS)
        if self._now() >= self._page_until:
            self._page = self._metrics.render()
            self._page_until = self._now() + PAGE_SECONDS
        return self._page

    async def _sample(self) -> None:
        await asyncio.gather(*(_taken(sample) for sample in self._metrics.samples))
        self._fresh_until = self._now() + GOOD_SECONDS


async def _taken(sample: Sample) -> None:
    """Take a sample, or forget its figures: an old one would be taken for how things are."""
    try:
        async with asyncio.timeout(SAMPLE_SECONDS):
            await sample.take()
    except Exception as error:  # noqa: BLE001 - the edge of a page: who can't be asked has no figures, the others have
        log.debug("figures_not_taken", error=type(error).__name__)
        for gauge in sample.gauges:
            gauge.forget()
