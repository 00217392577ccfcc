"""A Flickr account connected for one test."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx2

from tests.support.flickrhub_client import FlickrHub
from tests.support.photographs import Photograph
from tests.support.simulator import PEOPLE, FlickrApp, Simulator

ECHO = "flickr.test.echo"
LOGIN = "flickr.test.login"
SEARCH = "flickr.photos.search"


@dataclass(frozen=True)
class Account:
    """A connection: whose calls the hub can make, and through which app."""

    user_id: str
    app: FlickrApp
    name: str
    hub: FlickrHub

    async def enqueue(self, method: str = ECHO, **body: Any) -> str:
        """Enqueue a job that must be accepted; its id."""
        return await self.hub.accepted(method=method, user_id=self.user_id, **body)

    async def status(self, job_id: str) -> dict[str, Any]:
        """A job's status data as it is now."""
        data: dict[str, Any] = (await self.hub.status(job_id, self.user_id)).raise_for_status().json()["data"]
        return data

    async def ended(self, job_id: str, *, within: float = 20.0) -> dict[str, Any]:
        """Wait for the end of a job; its status data."""
        return await self.hub.ended(job_id, self.user_id, within=within)

    async def run(self, method: str = ECHO, *, within: float = 20.0, **body: Any) -> dict[str, Any]:
        """Enqueue a job and wait for its end; its status data."""
        return await self.ended(await self.enqueue(method, **body), within=within)

    async def hand_over(self, photo: Photograph) -> str:
        """Hand a photo over, which must be taken; its `photo_ref`."""
        reply = await self.hub.hand_over(photo, self.user_id)
        assert reply.status_code == httpx2.codes.CREATED, reply.text
        return str(reply.json()["data"]["photo_ref"])

    async def enqueue_upload(self, params: dict[str, Any], *, target: str = "upload", **body: Any) -> str:
        """Enqueue an upload or replacement that must be accepted; the job's id."""
        return await self.hub.accepted(target=target, params=params, user_id=self.user_id, **body)

    async def run_upload(
        self, params: dict[str, Any], *, target: str = "upload", within: float = 20.0, **body: Any
    ) -> dict[str, Any]:
        """Enqueue an upload or replacement and wait for its end; the job's status data."""
        return await self.ended(await self.enqueue_upload(params, target=target, **body), within=within)


def photo_id_of(ended: dict[str, Any]) -> str:
    """The id of the photo that a job has uploaded or replaced, from its status data; the job must have completed."""
    assert ended["state"] == "completed", ended
    photo_id = ended["returnvalue"]["flickr"]["photoid"]["_content"]
    assert isinstance(photo_id, str), ended
    return photo_id


Connect = Callable[..., Awaitable[Account]]


def connector(hub: FlickrHub, sim: Simulator) -> Connect:
    """A function that connects accounts: each call with an app of its own, unless one is given."""

    async def connect(app: FlickrApp | None = None, *, person: int = 0) -> Account:
        mine = app or await sim.new_app()
        user_id = await hub.connect(mine.api_key, mine.api_secret, account=PEOPLE[person])
        return Account(user_id, mine, PEOPLE[person], hub)

    return connect
