"""Counts requests on their way in, and says on every reply how its client stands."""

import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flickrhub_common.errors import RateLimited
from flickrhub_common.problems import problem
from flickrhub_common.server import UNTRACED as PROBES
from flickrhub_gateway.limits import Standing, Whose, client_address
from flickrhub_gateway.models import is_uuid
from flickrhub_gateway.uploads import Arriving, UserNamed
from flickrhub_gateway.usecases import UseCases

_TEXTS = {
    Whose.ADDRESS: "Too many requests from this address.",
    Whose.USER: "Too many requests for this user_id.",
}
_STANDING, _COUNTED, _USERS = "flickrhub.standing", "flickrhub.counted", "flickrhub.users"


class RequestLimits:
    """ASGI middleware. Requests of the paths in ``later`` count once their user is known, with one look at Redis;
    those that never get so far, before they are answered; all others at once. Probes don't count.
    """

    def __init__(self, app: ASGIApp, later: frozenset[str]) -> None:
        self._app = app
        self._later = later

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        reply = _Reply(Request(scope, receive), send)
        try:
            if scope["path"] in self._later:
                _check_refused(reply.request)
            else:
                await admit(reply.request)
        except RateLimited as error:
            await reply.refuse(error)
        else:
            await self._app(scope, receive, reply.send)


class _Reply:
    """The way out of one request."""

    def __init__(self, request: Request, send: Send) -> None:
        self.request = request
        self._send = send
        self._refused = False

    async def send(self, message: Message) -> None:
        """Pass the app's reply on, unless the request is only counted now, and has to be refused."""
        if message["type"] == "http.response.start" and _COUNTED not in self.request.scope:
            try:
                await admit(self.request)
            except RateLimited as error:
                self._refused = True
                await self.refuse(error)
        if not self._refused:
            await self._pass_on(message)

    async def refuse(self, error: RateLimited) -> None:
        """Answer with this instead."""
        await problem(self.request, error)(self.request.scope, self.request.receive, self._pass_on)

    async def _pass_on(self, message: Message) -> None:
        _say(message, self.request.scope.get(_STANDING))
        await self._send(message)


def _say(message: Message, standing: Standing | None) -> None:
    if standing is not None and message["type"] == "http.response.start":
        headers = MutableHeaders(scope=message)
        headers["RateLimit-Limit"] = str(standing.bucket.per_minute)
        headers["RateLimit-Remaining"] = str(standing.remaining)
        headers["RateLimit-Reset"] = str(math.ceil(standing.full_in))


async def admit(request: Request, user_id: object = None) -> None:
    """Count a request, for its address and for the user it names, each unless that was done. Raises RateLimited."""
    address = None if _COUNTED in request.scope else _address(request)
    request.scope[_COUNTED] = True
    user = user_id.lower() if isinstance(user_id, str) and is_uuid(user_id) else None
    users: set[str | None] = request.scope.setdefault(_USERS, set())
    if user in users:  # a form may name it again
        return
    users.add(user)
    _note(request, await _use(request).admit_request(address=address, user_id=user))


async def counted(request: Request, arriving: AsyncGenerator[Arriving, None]) -> AsyncGenerator[Arriving, None]:
    """What arrives; a user who is named among it is counted. Raises RateLimited."""
    async with aclosing(arriving) as items:
        async for item in items:
            if isinstance(item, UserNamed):
                await admit(request, item.user_id)
            yield item


def _check_refused(request: Request) -> None:
    admit_request = _use(request).admit_request
    if admit_request.refuses_anybody:
        _note(request, admit_request.refused(_address(request)))


def _note(request: Request, standing: Standing | None) -> None:
    if standing is None:
        return
    request.scope[_STANDING] = standing
    if standing.retry_after is not None:
        request.scope[_COUNTED] = True
        raise RateLimited(_TEXTS[standing.bucket.whose], retry_after=standing.retry_after)


def _address(request: Request) -> str:
    peer = request.client.host if request.client else None
    trusted = _use(request).trusted_proxies
    return client_address(peer, request.headers.getlist("x-forwarded-for") if trusted else (), trusted)


def _use(request: Request) -> UseCases:
    return cast("UseCases", request.app.state.use)
