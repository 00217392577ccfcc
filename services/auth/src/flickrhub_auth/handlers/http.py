"""The internal HTTP API. Every call carries ``Authorization: Bearer <INTERNAL_API_TOKEN>``."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from flickrhub_auth.models import CompleteRequest, StartRequest
from flickrhub_auth.usecases import UseCases
from flickrhub_common.problems import envelope, internal_only


def _usecases(request: Request) -> UseCases:
    usecases: UseCases = request.app.state.usecases
    return usecases


Cases = Annotated[UseCases, Depends(_usecases)]


def internal_router(token: str) -> APIRouter:
    """The routes, for callers that show ``token``; they find their use cases in ``app.state.usecases``."""
    router = APIRouter(prefix="/internal/v1", dependencies=[Depends(internal_only(token))])
    router.add_api_route("/health", let_in, methods=["GET"], tags=["health"])
    router.add_api_route("/oauth/start", start, methods=["POST"], tags=["oauth"])
    router.add_api_route("/oauth/complete", complete, methods=["POST"], tags=["oauth"])
    router.add_api_route("/connections/{user_id}", find, methods=["GET"], tags=["connections"])
    router.add_api_route("/connections/{user_id}/lend", lend, methods=["POST"], tags=["connections"])
    return router


async def let_in(request: Request) -> Response:
    """Say that auth lives, and that whoever asks has the right credential."""
    return envelope(request, {"status": "ok"})


async def start(request: Request, body: StartRequest, usecases: Cases) -> Response:
    """Begin to connect an account."""
    return envelope(request, asdict(await usecases.start(body)))


async def complete(request: Request, body: CompleteRequest, usecases: Cases) -> Response:
    """Finish connecting an account."""
    return envelope(request, {"user_id": await usecases.complete(body)})


async def find(request: Request, user_id: str, usecases: Cases) -> Response:
    """Say whether a user_id is connected."""
    return envelope(request, {"user_id": await usecases.find(user_id)})


async def lend(request: Request, user_id: str, usecases: Cases) -> Response:
    """Lend a connection's token."""
    return envelope(request, (await usecases.lend(user_id)).lent())
