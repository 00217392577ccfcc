"""A client that goes on handing jobs over, to whichever gateway takes connections, while processes come and go."""

import asyncio
import base64
import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.support.callback_receiver import CallbackReceiver
from tests.support.flickrhub_client import FlickrHub
from tests.support.hub_account import ECHO, Account
from tests.support.photographs import Photograph, jpeg
from tests.support.waiting import eventually

PATH = "/load"
PERIOD = 10
"""Of so many jobs one is an upload and one a replacement."""


@dataclass
class SteadyLoad:
    """What was accepted, and what else came; only a refused connection sends it to the next gateway."""

    account: Account
    gateways: Sequence[FlickrHub]
    receiver: CallbackReceiver
    replaced: str
    every_seconds: float = 0.1
    accepted: list[str] = field(default_factory=list)
    photos: dict[str, Photograph] = field(default_factory=dict)
    refused: int = 0
    failures: list[str] = field(default_factory=list)

    async def run(self) -> None:
        """Hand over until cancelled."""
        for number in itertools.count():
            await self._one(number)
            await asyncio.sleep(self.every_seconds)

    async def _one(self, number: int) -> None:
        photo = jpeg(2000)
        body = self._body(number, photo)
        for gateway in self.gateways:
            try:
                reply = await gateway.enqueue(**body)
            except httpx2.ConnectError:
                self.refused += 1
                continue
            except httpx2.HTTPError as error:
                self.failures.append(repr(error))
                return
            if reply.status_code != httpx2.codes.ACCEPTED:
                self.failures.append(reply.text)
                return
            job_id = reply.json()["data"]["job_id"]
            self.accepted.append(job_id)
            if body.get("target") == "upload":
                self.photos[job_id] = photo
            return
        self.failures.append("no gateway takes connections")

    def _body(self, number: int, photo: Photograph) -> dict[str, Any]:
        common = {"user_id": self.account.user_id, "callback_url": self.receiver.url(PATH)}
        source = {"photo_base64": base64.b64encode(photo.data).decode()}
        if number % PERIOD == 3:
            return {**common, "target": "upload", "params": source}
        if number % PERIOD == 7:
            return {**common, "target": "replace", "params": {**source, "photo_id": self.replaced}}
        return {**common, "method": ECHO, "params": {"n": number}}

    async def goes_on(self, count: int = 5) -> None:
        """Wait until so many more jobs are accepted."""
        enough = len(self.accepted) + count
        await eventually(lambda: len(self.accepted) >= enough, within=30, what="more jobs")

    def told(self) -> Counter[str]:
        """How often the callback of each job came."""
        return Counter(request.json()["job_id"] for request in self.receiver.at(PATH))

    def all_told(self) -> bool:
        """Whether every accepted job has called back."""
        return set(self.accepted) <= set(self.told())

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Hand over while the block runs."""
        task = asyncio.create_task(self.run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
