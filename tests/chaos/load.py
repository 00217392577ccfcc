"""The client: hands jobs over, and again when it got no 202; remembers those with a 202 and counts no others."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx2

from tests.chaos.plan import Task, Work
from tests.chaos.receiver import Receiver
from tests.chaos.stack import Stack
from tests.support.hub_account import ECHO, SEARCH, Account
from tests.support.photographs import Photograph, jpeg

AT_ONCE = 16
PATIENCE_SECONDS = 120.0
"""How long a client tries to hand one job over; no fault lasts so long."""
AGAIN_SECONDS = 0.5
BUSY = frozenset({429, 503})
NO_SUCH_PHOTO = "999"
WORDS = ("harbour", "boat", "night", "portrait", "river", "garden")


@dataclass(frozen=True)
class User:
    """A connected account, and its photos at Flickr."""

    account: Account
    photos: tuple[str, ...]


@dataclass(frozen=True)
class Accepted:
    """A job with a 202. `mark` names this very try in what Flickr gets and in the callback's path."""

    work: Work
    mark: str
    job_id: str
    user_id: str
    round: int
    at: float
    sha256: str | None = None


class Client:
    """Several users of one hub. `replies` counts what was answered, `troubles` tells of what no client should meet."""

    def __init__(self, stack: Stack, users: Sequence[User], receiver: Receiver) -> None:
        self._stack = stack
        self._users = users
        self._receiver = receiver
        self._gate = asyncio.Semaphore(AT_ONCE)
        self.accepted: list[Accepted] = []
        self.photographs: dict[str, Photograph] = {}
        self.replies: Counter[str] = Counter()
        self.troubles: list[str] = []

    async def send(self, works: Sequence[Work], *, per_second: float, round_number: int) -> None:
        """Hand all of them over, begun at this pace."""
        async with asyncio.TaskGroup() as group:
            for work in works:
                await self._gate.acquire()
                group.create_task(self._handed_over(work, round_number))
                await asyncio.sleep(1 / per_second)

    async def _handed_over(self, work: Work, round_number: int) -> None:
        try:
            await self._until_accepted(work, round_number)
        finally:
            self._gate.release()

    async def _until_accepted(self, work: Work, round_number: int) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        attempt = 0
        while True:
            mark = f"m{work.number:05d}x{attempt}"
            reply = await self._try(work, mark)
            if reply is not None and reply.status_code == httpx2.codes.ACCEPTED:
                self._remember(work, mark, str(reply.json()["data"]["job_id"]), round_number)
                return
            if time.monotonic() > deadline:
                self.troubles.append(f"job {work.number} wasn't accepted within {PATIENCE_SECONDS:g} s")
                return
            attempt += 1
            await asyncio.sleep(AGAIN_SECONDS)

    async def _try(self, work: Work, mark: str) -> httpx2.Response | None:
        user = self._users[work.user]
        try:
            body = await self._body(work, mark, user)
            if body is None:
                return None
            if work.flickr:
                await self._stack.sim.order(_match(work, mark, user), **work.flickr)
            reply = await self._stack.hub.enqueue(user_id=user.account.user_id, **body)
        except httpx2.HTTPError as error:
            self.replies[type(error).__name__] += 1
            return None
        self.replies[str(reply.status_code)] += 1
        if reply.status_code not in BUSY | {httpx2.codes.ACCEPTED}:
            self.troubles.append(f"the gateway answered {reply.status_code}: {reply.text[:300]}")
        return reply

    async def _body(self, work: Work, mark: str, user: User) -> dict[str, Any] | None:
        """What to enqueue; None if its photo couldn't be handed over."""
        expected = self._receiver.expect(work, mark)
        callback = {"callback_url": expected.url} if expected else {}
        if expected and expected.secret:
            callback["callback_secret"] = expected.secret
        if work.task is not Task.UPLOAD:
            return {**asked(work, mark, user), **callback, "meta": {"mark": mark}}
        photo = self.photographs[mark] = jpeg()
        reply = await self._stack.hub.hand_over(photo, user.account.user_id)
        self.replies[f"photo {reply.status_code}"] += 1
        if reply.status_code not in BUSY | {httpx2.codes.CREATED}:
            self.troubles.append(f"the gateway answered {reply.status_code} to a photo: {reply.text[:300]}")
        if reply.status_code != httpx2.codes.CREATED:
            return None
        params = {"photo_ref": reply.json()["data"]["photo_ref"], "title": mark}
        return {"target": "upload", "params": params, **callback, "meta": {"mark": mark}}

    def _remember(self, work: Work, mark: str, job_id: str, round_number: int) -> None:
        photo = self.photographs.get(mark)
        self.accepted.append(
            Accepted(
                work,
                mark,
                job_id,
                self._users[work.user].account.user_id,
                round_number,
                time.monotonic(),
                photo.sha256 if photo else None,
            )
        )


def asked(work: Work, mark: str, user: User) -> dict[str, Any]:
    """Method and params of a job that carries no photo."""
    photo = user.photos[work.photo % len(user.photos)]
    match work.task:
        case Task.ECHO:
            return {"method": ECHO, "params": {"mark": mark}}
        case Task.SEARCH:
            return {"method": SEARCH, "params": {"text": WORDS[work.photo % len(WORDS)], "per_page": "5"}}
        case Task.TAG:
            return {"method": "flickr.photos.addTags", "params": {"photo_id": photo, "tags": mark}}
        case Task.META:
            return {"method": "flickr.photos.setMeta", "params": {"photo_id": photo, "title": mark}}
        case Task.SET:
            return {"method": "flickr.photosets.create", "params": {"title": mark, "primary_photo_id": photo}}
        case _:
            return {"method": "flickr.photos.addTags", "params": {"photo_id": NO_SUCH_PHOTO, "tags": mark}}


def mark_of(params: dict[str, str]) -> str | None:
    """The mark in a call as the simulator received it."""
    return next((params[name] for name in ("mark", "tags", "title") if is_mark(params.get(name, ""))), None)


def is_mark(text: str) -> bool:
    """Whether a text is a mark of ours."""
    number, _, attempt = text.removeprefix("m").partition("x")
    return text.startswith("m") and number.isdigit() and attempt.isdigit()


def _match(work: Work, mark: str, user: User) -> dict[str, Any]:
    """The call of this very try, for the simulator's faults."""
    app = {"api_key": user.account.app.api_key}
    if work.task is Task.UPLOAD:
        return {**app, "kind": "upload", "params": {"title": mark}}
    params = {name: value for name, value in asked(work, mark, user)["params"].items() if value == mark}
    return {
        **app,
        "kind": "rest",
        "method": asked(work, mark, user)["method"],
        **({"params": params} if params else {}),
    }
