"""Liveness and readiness, the same in every service."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request
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
                error=_object(
                    code={"const": "ERR_UNAVAILABLE"},
                    message=_TEXT,
                    details={"type": "array", "items": _TEXT, "minItems": 1},
                ),
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


def health_router(checks: Callable[[Request], Mapping[str, Check]]) -> APIRouter:
    """``GET /health`` (the process lives) and ``GET /health/ready`` (all checks pass, or 503 naming those that don't).

    ``checks`` is asked on each request for named coroutines that raise when their dependency isn't there.
    """
    router = APIRouter(tags=["health"])

    @router.head("/health", include_in_schema=False)
    @router.get("/health", summary="Liveness", responses=_LIVE)
    async def health() -> Response:
        """The process lives; nothing else is asked."""
        return json_response('{"status":"ok"}')

    @router.head("/health/ready", include_in_schema=False)
    @router.get("/health/ready", summary="Readiness", responses=_READY)
    async def ready(request: Request) -> Response:
        """Everything the service needs is there, or 503 with the names of what isn't."""
        named = checks(request)
        verdicts = await asyncio.gather(*(_passes(check) for check in named.values()))
        missing = [name for name, passed in zip(named, verdicts, strict=True) if not passed]
        if missing:
            return problem(request, NotReady(missing))
        return envelope(request, {"status": "ready", "checks": dict.fromkeys(named, "ok")})

    return router


async def _passes(check: Check) -> bool:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check()
    except Exception:  # noqa: BLE001 - whatever went wrong, the dependency can't be used: that is the answer
        return False
    return True
