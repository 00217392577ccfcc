"""The short way to the handlers that every job calls."""

from collections.abc import Awaitable, Callable, Mapping

from fastapi import Request
from opentelemetry import trace
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from flickrhub_common.errors import HubError

Handler = Callable[[Request], Awaitable[Response]]
Refused = Callable[[Request, Exception], Awaitable[Response]]
"""The app's own answer to an error of ours."""


class Direct:
    """ASGI middleware, the innermost: a POST to one of these paths goes straight to its handler.

    The handlers take a request and give a response, so the framework's way to them (matching routes, solving
    dependencies, exit stacks, three more requests) brings nothing, and takes more time than they do themselves. They
    are routes of the app all the same, which describes them and answers every other method.
    """

    def __init__(self, app: ASGIApp, handlers: Mapping[str, Handler], refused: Refused) -> None:
        self._app = app
        self._handlers = handlers
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = self._handlers.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if handler is None:
            await self._app(scope, receive, send)
            return
        _name_span(scope["path"])
        request = Request(scope, receive, send)
        try:
            response = await handler(request)
        except HubError as error:
            response = await self._refused(request, error)
        await response(scope, receive, send)


def _name_span(path: str) -> None:
    """As the framework does for its routes."""
    span = trace.get_current_span()
    if span.is_recording():
        span.set_attribute("http.route", path)
        span.update_name(f"POST {path}")
