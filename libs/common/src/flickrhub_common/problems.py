"""The envelope of every JSON reply, and what each failure looks like in it (contract, section 1)."""

import hmac
import uuid
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flickrhub_common import errors
from flickrhub_common.json_text import dump
from flickrhub_common.logs import logger
from flickrhub_common.reply_headers import complete

log = logger(__name__)

REQUEST_ID_HEADER = "X-Request-ID"

_BY_STATUS: dict[int, type[errors.HubError]] = {
    kind.status: kind
    for kind in (
        errors.InvalidRequest,
        errors.Unauthorized,
        errors.Forbidden,
        errors.NotFound,
        errors.MethodNotAllowed,
        errors.RequestTimedOut,
        errors.Conflict,
        errors.PayloadTooLarge,
        errors.UnsupportedMediaType,
        errors.HeadTooLarge,
        errors.RateLimited,
    )
}


def request_id(request: Request) -> str:
    """The id of this request, as in its reply."""
    return str(request.scope["request_id"])


def envelope(request: Request, data: dict[str, Any], *, status: int = 200, twice: bool = False) -> Response:
    """A successful reply; ``twice`` repeats the data's fields at the top level (the ``/auth/*`` replies)."""
    body = {**(data if twice else {}), "request_id": request_id(request), "data": data, "error": None}
    return json_response(dump(body), status=status)


def json_response(text: str, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A reply from ready JSON text."""
    return Response(text.encode(), status_code=status, media_type="application/json", headers=headers)


def problem(request: Request, error: errors.HubError) -> Response:
    """The failure envelope of an error."""
    content: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.details:
        content["details"] = error.details
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after is not None else None
    body = dump({"request_id": request_id(request), "data": None, "error": content})
    return json_response(body, status=error.status, headers=headers)


class RequestIds:
    """ASGI middleware: gives every request its id (a UUID of the client's is kept) and every reply its headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identifier = _given_id(scope) or str(uuid.uuid4())
        scope["request_id"] = identifier
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=identifier)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID_HEADER] = identifier
                complete(headers)
            await send(message)

        await self._app(scope, receive, send_with_id)


def raw_reply(error: errors.HubError, scope: Scope | None) -> bytes:
    """The whole HTTP reply, with the envelope, to what never reaches the app; ``scope`` as far as it has come."""
    known = scope or {"headers": []}
    identifier = known.get("request_id") or _given_id(known) or str(uuid.uuid4())
    response = problem(Request({"type": "http", "request_id": identifier}), error)
    response.headers.update({REQUEST_ID_HEADER: identifier, "Connection": "close"})
    complete(response.headers)
    lines = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}".encode()]
    lines += [name + b": " + value for name, value in response.raw_headers]
    return b"\r\n".join([*lines, b"", bytes(response.body)])


def _given_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            try:
                return str(uuid.UUID(value.decode("ascii")))
            except ValueError:
                return None
    return None


def install(app: FastAPI) -> None:
    """Give an app the envelope for its own errors, the framework's and the unforeseen."""
    app.add_middleware(RequestIds)
    app.add_exception_handler(errors.HubError, _on_hub_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(ClientDisconnect, _on_gone)
    app.add_exception_handler(Exception, _on_crash)


async def _on_hub_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.HubError)  # noqa: S101 - registered for this class only
    if error.status >= 500:
        log.warning("request_failed", code=error.code, error=str(error.__cause__ or error))
    return problem(request, error)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class only
    return problem(request, errors.InvalidRequest(details=wrong_fields(list(error.errors()))))


def wrong_fields(found: list[Any]) -> list[str]:
    """One sentence for each wrong field, ``<field>: <what is wrong>``, without repeating what was sent."""
    sentences = []
    for item in found:
        path = ".".join(str(part) for part in item["loc"] if part not in {"body", "query"}) or "body"
        sentences.append(f"{path}: {item['msg'].removeprefix('Value error, ')}")
    return list(dict.fromkeys(sentences))


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    kind = _BY_STATUS.get(error.status_code, errors.InvalidRequest if error.status_code < 500 else errors.HubError)
    response = problem(request, kind())
    response.headers.update({k: v for k, v in (error.headers or {}).items() if k.lower() == "allow"})
    return response


async def _on_gone(request: Request, _: Exception) -> Response:
    return problem(request, errors.InvalidRequest("The body ended before its end."))


async def _on_crash(request: Request, error: Exception) -> Response:
    log.error("request_crashed", exc_info=error)
    response = problem(request, errors.HubError())
    # This handler runs outside the middleware that would add them.
    response.headers[REQUEST_ID_HEADER] = request_id(request)
    complete(response.headers)
    return response


def internal_only(token: str) -> Callable[[Request], Awaitable[None]]:
    """A dependency that lets only services in: ``Authorization: Bearer <INTERNAL_API_TOKEN>``, in constant time."""
    expected = f"Bearer {token}".encode()

    async def check(request: Request) -> None:
        given = [value for name, value in request.scope["headers"] if name == b"authorization"]
        if not hmac.compare_digest(b",".join(given), expected):
            raise errors.Unauthorized

    return check
