"""One ASGI application an address: read the call, log it, let its fault happen, answer it."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from flickr_sim import formats, recorded
from flickr_sim.answers import OAUTH_TEXT, Answer, text
from flickr_sim.calls import Call
from flickr_sim.errors import ApiError, ConnectionCut, NotSimulated, OAuthProblem, Unreadable
from flickr_sim.faults import Fault
from flickr_sim.incoming import Incoming, assembled, read_incoming
from flickr_sim.receiving import receive_upload, swallow
from flickr_sim.server import cut_connection
from flickr_sim.simulator import Simulator

AnswerOf = Callable[[Incoming], Answer]


class Endpoint:
    """Serve one of Flickr's addresses; `answer_of` does the work once nothing stands in its way."""

    def __init__(self, simulator: Simulator, *, kind: str, answer_of: AnswerOf, verbs: tuple[str, ...]) -> None:
        self._simulator = simulator
        self._kind = kind
        self._answer_of = answer_of
        self._verbs = verbs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["method"] not in self._verbs:
            refused = Answer(405, b"Method Not Allowed", headers=(("Allow", ", ".join(self._verbs)),))
            await refused.send(send)
            return
        try:
            answer = await self._received(scope, receive)
        except Unreadable as error:
            answer = text(error.status, str(error))
        except ConnectionCut:
            await cut_connection(scope, receive)
            return
        await answer.send(send)

    async def _received(self, scope: Scope, receive: Receive) -> Answer:
        incoming = await self._read(scope, receive)
        call = self._simulator.calls.record(incoming)
        fault = self._simulator.faults.take(incoming, call.method)
        answer = await self._faulty(fault, call, incoming) if fault else self._worked(incoming)
        call.status = answer.status
        return answer

    async def _read(self, scope: Scope, receive: Receive) -> Incoming:
        return await read_incoming(scope, receive, self._kind)

    async def _faulty(self, fault: Fault, call: Call, incoming: Incoming) -> Answer:
        if fault.latency_ms:
            await asyncio.sleep(fault.latency_ms / 1000)
        if fault.drop == "before":
            raise ConnectionCut
        replacement = fault.answer(incoming)
        own = self._worked(incoming) if replacement is None or fault.works_first else None
        if fault.drop == "after":
            raise ConnectionCut
        answer = replacement or own
        if answer is None:
            raise ConnectionCut
        return replace(answer, stall_seconds=(fault.stall_ms or 0) / 1000)

    def _worked(self, incoming: Incoming) -> Answer:
        """Do the work, or say why not in the words of this kind of address."""
        if not self._simulator.budget.spend(incoming.api_key or ""):
            return recorded.too_many_requests()
        try:
            return self._answer_of(incoming)
        except OAuthProblem as problem:
            return text(problem.status, problem.body, OAUTH_TEXT)
        except ApiError as error:
            return formats.failure(incoming.format_fields, error)
        except NotSimulated as error:
            return text(501, str(error))
        except Unreadable as error:
            return text(error.status, str(error))


class UploadEndpoint(Endpoint):
    """An address that takes photos: the body is taken in as a stream, and may be cut while it comes."""

    async def _read(self, scope: Scope, receive: Receive) -> Incoming:
        headers = Headers(scope=scope)
        await self._cut_during(assembled(scope, self._kind, []), headers, receive)
        pairs, photo = await receive_upload(headers, receive)
        return assembled(scope, self._kind, pairs, photo)

    async def _cut_during(self, opening: Incoming, headers: Headers, receive: Receive) -> None:
        """Cut the connection in the middle of the body if a fault wants it, knowing only query and header."""
        fault = self._simulator.faults.take(opening, None, before_body=True)
        if fault is None:
            return
        self._simulator.calls.record(opening)
        await asyncio.sleep((fault.latency_ms or 0) / 1000)
        length = headers.get("content-length", "")
        await swallow(receive, at_least=int(length) // 2 if length.isdecimal() else 0)
        raise ConnectionCut
