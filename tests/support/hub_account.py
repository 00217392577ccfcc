"""A Flickr account connected for one test."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.support.flickrhub_client import FlickrHub
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


Connect = Callable[..., Awaitable[Account]]


def connector(hub: FlickrHub, sim: Simulator) -> Connect:
    """A function that connects accounts: each call with an app of its own, unless one is given."""

    async def connect(app: FlickrApp | None = None, *, person: int = 0) -> Account:
        mine = app or await sim.new_app()
        user_id = await hub.connect(mine.api_key, mine.api_secret, account=PEOPLE[person])
        return Account(user_id, mine, PEOPLE[person], hub)

    return connect
