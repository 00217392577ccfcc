"""How much of a request's body is taken, and how a body is refused before its end."""

import asyncio
import contextlib
from collections.abc import Mapping

from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flickrhub_common import errors
from flickrhub_common.problems import problem

LINGER_SECONDS = 30.0
QUIET_SECONDS = 5.0


class BodyLimit:
    """ASGI middleware: refuses a body over the limit, by what it says of itself or by what arrives.

    ``larger`` names the paths that have a limit of their own; there an answer given before the body's end lingers.
    FastAPI's ``max_body_size`` isn't used: it answers a declared length in plain text.
    """

    def __init__(self, app: ASGIApp, most: int, larger: Mapping[str, int]) -> None:
        self._app = app
        self._most = most
        self._larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._larger.get(scope["path"])
        if most is None:
            await self._limited(self._most, scope, receive, send)
            return
        lingering = _Lingering(receive, send)
        await self._limited(most, scope, lingering.receive, lingering.send)

    async def _limited(self, most: int, scope: Scope, receive: Receive, send: Send) -> None:
        if (declared_length(scope) or 0) > most:
            await problem(Request(scope), errors.PayloadTooLarge())(scope, receive, send)
            return
        arrived = 0

        async def receive_counted() -> Message:
            nonlocal arrived
            message = await receive()
            arrived += len(message.get("body", b""))
            if arrived > most:
                raise errors.PayloadTooLarge
            return message

        await self._app(scope, receive_counted, send)


def declared_length(scope: Scope) -> int | None:
    """What a request says of its body's length; None if it says nothing."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value[:18]) if value.isdigit() else None  # 18 digits are enough to be too much
    return None


class _Lingering:
    """Gives the whole answer at once, then takes what the client still sends for a while, and closes.

    A large body is refused long before its end. Closing at once would reset the connection under a client that is
    still sending, and many never get to read the answer then; reading on for good would cost what was saved.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._body_ended = False
        self._lingers = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._body_ended = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and not self._body_ended:
            self._lingers = True
            MutableHeaders(scope=message)["Connection"] = "close"
        if not self._lingers or message["type"] != "http.response.body" or message.get("more_body", False):
            await self._send(message)
            return
        await self._send({**message, "more_body": True})
        await self._take_the_rest()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _take_the_rest(self) -> None:
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):  # or the service stops
            async with asyncio.timeout(LINGER_SECONDS):
                while not self._body_ended:
                    async with asyncio.timeout(QUIET_SECONDS):
                        await self.receive()
