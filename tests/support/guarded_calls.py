"""The quick guarded client with the face of the other, so that the same tests judge both."""

import asyncio
from dataclasses import dataclass
from typing import Any, Self

from flickrhub_common.addresses import AddressPolicy
from flickrhub_common.call_client import CallFailure
from flickrhub_common.guarded_calls import make_guarded_call_client
from flickrhub_common.http_client import HttpError, as_sent

MOST_READ = 256 * 1024


class CallError(HttpError):
    """A call failed; `reason` is the client's word for it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class Answered:
    """What came."""

    status_code: int


class FacedCalls:
    """Makes calls within a deadline."""

    def __init__(self, policy: AddressPolicy, *, timeout_seconds: float, max_connections: int = 100, **_: Any) -> None:
        self._made = (policy, timeout_seconds, max_connections)

    async def __aenter__(self) -> Self:
        policy, self._seconds, most = self._made
        self._client = make_guarded_call_client(policy, timeout_seconds=self._seconds + 1, max_connections=most)
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.__aexit__()

    async def post(self, url: str, content: bytes = b"") -> Answered:
        """Send this."""
        return await self._call("POST", url, content)

    async def get(self, url: str) -> Answered:
        """Ask for this."""
        return await self._call("GET", url, None)

    async def _call(self, method: str, url: str, body: bytes | None) -> Answered:
        try:
            async with (
                asyncio.timeout(self._seconds),
                self._client.call(method, as_sent(url), headers={}, body=body) as reply,
            ):
                await reply.beginning(most_bytes=MOST_READ)
                return Answered(reply.status)
        except CallFailure as error:
            raise CallError(error.reason) from error
