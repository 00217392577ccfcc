"""Liveness and readiness, the same in every service."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter, Request
from starlette.responses import Response

from flickrhub_common.errors import HubError
from flickrhub_common.problems import envelope, json_response, problem

Check = Callable[[], Awaitable[None]]

CHECK_SECONDS = 2.0


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

    @router.get("/health", summary="Liveness")
    async def health() -> Response:
        return json_response('{"status":"ok"}')

    @router.get("/health/ready", summary="Readiness")
    async def ready(request: Request) -> Response:
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
