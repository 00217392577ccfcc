"""An HTTP answer as a value, and how it is sent."""

import asyncio
from dataclasses import dataclass

from starlette.types import Send

TEXT = "text/plain; charset=utf-8"
OAUTH_TEXT = "text/plain;charset=UTF-8"
HTML = "text/html; charset=utf-8"

_BODILESS = (204, 304)


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body bytes and headers of one answer; Content-Length is added when it is sent.

    With `stall_seconds`, sending rests for so long in the middle of the body.
    """

    status: int
    body: bytes
    content_type: str = TEXT
    headers: tuple[tuple[str, str], ...] = ()
    stall_seconds: float = 0.0

    async def send(self, send: Send) -> None:
        """Send the answer over ASGI."""
        body = b"" if self.status in _BODILESS else self.body
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self.headers]
        if not any(name == b"content-type" for name, _ in headers):
            headers.append((b"content-type", self.content_type.encode("latin-1")))
        if self.status not in _BODILESS:
            headers.append((b"content-length", str(len(body)).encode("ascii")))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        if self.stall_seconds:
            half = len(body) // 2
            await send({"type": "http.response.body", "body": body[:half], "more_body": True})
            await asyncio.sleep(self.stall_seconds)
            body = body[half:]
        await send({"type": "http.response.body", "body": body})


def text(status: int, sentence: str, content_type: str = TEXT) -> Answer:
    """Build a plain-text answer."""
    return Answer(status, sentence.encode("utf-8", "replace"), content_type)
