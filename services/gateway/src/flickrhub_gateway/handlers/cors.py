"""Whether web pages of other origins may call the API from a browser: by CORS_ORIGINS, and not without it."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

METHODS = ("GET", "HEAD", "POST")
READABLE = ("X-Request-ID", "Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "traceparent")


class Cors(CORSMiddleware):
    """ASGI middleware: answers preflights of these origins and lets them read replies; others notice nothing of it.

    There are no credentials in this API that a browser would add by itself, so none are allowed.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        super().__init__(app, allow_origins=origins, allow_methods=METHODS, allow_headers="*", expose_headers=READABLE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stand aside for everybody else."""
        origin = Headers(scope=scope).get("origin") if scope["type"] == "http" else None
        if origin is None or not self.is_allowed_origin(origin):
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def preflight_response(self, request_headers: Headers) -> Response:
        """The allowances alone: the browser compares them with what it asked, so no text of its own is needed."""
        allowed = super().preflight_response(request_headers).headers
        kept = {name: value for name, value in allowed.items() if name.startswith("access-control-") or name == "vary"}
        return Response(status_code=204, headers=kept)
