"""Liveness and readiness, the same in every service.

Ready means that everything the service needs answers, that its consumers are RabbitMQ's, and that it isn't stopping.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response

from flickrhub_common.errors import HubError
from flickrhub_common.problems import envelope, json_response, problem

Check = Callable[[], Awaitable[None]]

CHECK_SECONDS = 2.0

_ID = "5f0c2a52-8f0e-4c63-9b0a-0f6a2f1c7d11"


def _example(description: str, schema: dict[str, Any], value: Any) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema, "example": value}}}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


_UUID, _NULL, _TEXT = {"type": "string", "format": "uuid"}, {"type": "null"}, {"type": "string"}
_UNAVAILABLE: dict[str, Any] = {
    "code": {"const": "ERR_UNAVAILABLE"},
    "message": _TEXT,
    "details": {"type": "array", "items": _TEXT, "minItems": 1},
}
"""Without details where the process itself has no place for the request."""
_LIVE: dict[int | str, dict[str, Any]] = {
    200: _example("It lives.", _object(status={"const": "ok"}), {"status": "ok"}),
}
_READY: dict[int | str, dict[str, Any]] = {
    200: _example(
        "All there.",
        _object(
            request_id=_UUID,
            data=_object(status={"const": "ready"}, checks={"type": "object", "additionalProperties": {"const": "ok"}}),
            error=_NULL,
        ),
        {"request_id": _ID, "data": {"status": "ready", "checks": {"mongo": "ok"}}, "error": None},
    ),
    503: {
        "headers": {
            "Retry-After": {"description": "Seconds.", "required": True, "schema": {"type": "integer", "minimum": 0}}
        },
        **_example(
            "`ERR_UNAVAILABLE`",
            _object(
                request_id=_UUID,
                data=_NULL,
                error={"type": "object", "required": ["code", "message"], "properties": _UNAVAILABLE},
            ),
            {
                "request_id": _ID,
                "data": None,
                "error": {"code": "ERR_UNAVAILABLE", "message": "Not there: mongo.", "details": ["mongo"]},
            },
        ),
    },
}


class NotReady(HubError):
    """One or more of the things this service needs aren't there; ``details`` names them."""

    status, code, retryable = 503, "ERR_UNAVAILABLE", True

    def __init__(self, missing: list[str]) -> None:
        super().__init__(f"Not there: {', '.join(missing)}.", details=missing, retry_after=2)


class Stopping(HubError):
    """The service was told to stop: it lives, and is ready for nothing more."""

    status, code, retryable = 503, "ERR_UNAVAILABLE", True

    def __init__(self) -> None:
        super().__init__("It is stopping.", details=["stopping"], retry_after=2)


def retire(app: FastAPI) -> None:
    """Have the app say from now on that it isn't ready, whatever it has open still."""
    app.state.stopping = True


class _Readiness:
    """Whoever asks, and however often: one look at a time, and its verdict is good for a moment."""

    def __init__(self, good_for: float) -> None:
        self._good_for = good_for
        self._look: asyncio.Task[list[str]] | None = None
        self._good_until = 0.0

    async def missing(self, named: Mapping[str, Check]) -> list[str]:
        """The names of those that don't pass."""
        if self._look is None or (self._look.done() and time.monotonic() >= self._good_until):
            self._look = asyncio.create_task(_missing(named))
            self._look.add_done_callback(self._ended)
        return await asyncio.shield(self._look)

    def _ended(self, _: asyncio.Task[list[str]]) -> None:
        self._good_until = time.monotonic() + self._good_for


def health_router(checks: Callable[[Request], Mapping[str, Check]], *, good_for: float = 0) -> APIRouter:
    """``GET /health`` (the process lives) and ``GET /health/ready`` (all checks pass, or 503 naming those that don't).

    Once the service stops (``retire``), nothing is asked any more: it isn't ready, and lives.
    ``checks`` is asked on each request for named coroutines that raise when their dependency isn't there. There is one
    check at a time, whose verdict goes for all who ask meanwhile, and in the ``good_for`` seconds after it.
    """
    router = APIRouter(tags=["health"])
    readiness = _Readiness(good_for)

    @router.head("/health", include_in_schema=False)
    @router.get("/health", summary="Liveness", responses=_LIVE)
    async def health() -> Response:
        """The process lives; nothing else is asked."""
        return json_response('{"status":"ok"}')

    @router.head("/health/ready", include_in_schema=False)
    @router.get("/health/ready", summary="Readiness", responses=_READY)
    async def ready(request: Request) -> Response:
        """Everything the service needs is there, or 503 with the names of what isn't, or `stopping`."""
        if getattr(request.app.state, "stopping", False):
            return problem(request, Stopping())
        named = checks(request)
        missing = await readiness.missing(named)
        if missing:
            return problem(request, NotReady(missing))
        return envelope(request, {"status": "ready", "checks": dict.fromkeys(named, "ok")})

    return router


async def _missing(named: Mapping[str, Check]) -> list[str]:
    verdicts = await asyncio.gather(*(passes(check, within=CHECK_SECONDS) for check in named.values()))
    return [name for name, passed in zip(named, verdicts, strict=True) if not passed]


async def passes(check: Check, *, within: float) -> bool:
    """Whether what is checked can be used, to be found out in so many seconds."""
    try:
        async with asyncio.timeout(within):
            await check()
    except Exception:  # noqa: BLE001 - whatever went wrong, the dependency can't be used: that is the answer
        return False
    return True
