"""The Flickr simulator as tests use it: apps of their own, faults for these apps only, and what it was asked."""

import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2

from tests.support.photographs import Photograph
from tests.support.plain_http import NOBODY
from tests.support.waiting import eventually

PEOPLE = (
    *("ada.harbour", "northern_archive", "zoë&friends", "lamplighter", "Mira K.", "pixel_gardener", "sea glass"),
    *("二月の雪", "trainspotter42", "olive+oil", "quietlens", "bicycle_thief", "stargazer", "rooftop cats", "old_maps"),
    *("mossandstone", "deep-field", "papercrane", "<tagsoup>", "windrose"),
)
"""The accounts of the simulated world; any of them may authorise an app."""


@dataclass(frozen=True)
class FlickrApp:
    """An app registered for one test; `since` is the number of the last call before it was."""

    api_key: str
    api_secret: str
    since: int = 0


class Simulator:
    """The simulator's control API. It is shared: everything here concerns one app only."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http
        self._seen = 0

    async def new_app(self) -> FlickrApp:
        """Register an app that nobody else uses."""
        pair = {"api_key": secrets.token_hex(16), "api_secret": secrets.token_hex(8)}
        (await self.http.post("/_sim/apps", json=pair)).raise_for_status()
        # A simulator that was restarted counts from 1 again, so that nothing may lie behind what was seen before.
        calls = await self._after(self._seen) or await self._after(0)
        self._seen = calls[-1]["n"] if calls else 0
        return FlickrApp(**pair, since=self._seen)

    async def fault(self, app: FlickrApp, method: str | None = None, *, times: int = 1, **effect: Any) -> None:
        """Order that the next `times` REST calls of the app (of one method) go wrong; -1 is all of them."""
        match = {"api_key": app.api_key, "kind": "rest"} | ({"method": method} if method else {})
        await self.order(match, times=times, **effect)

    async def order(self, match: dict[str, Any], *, times: int = 1, **effect: Any) -> None:
        """Order a fault for whatever fits `match`."""
        (await self.http.post("/_sim/faults", json={"match": match, "times": times, **effect})).raise_for_status()

    async def calls(self, app: FlickrApp, method: str | None = None, kind: str = "rest") -> list[dict[str, Any]]:
        """What the app asked (one method only, if given), in order. Auth's own token check isn't counted."""
        return [
            call
            for call in await self._after(app.since)
            if call["api_key"] == app.api_key
            and call["kind"] == kind
            and call["method"] != "flickr.auth.oauth.checkToken"
            and method in (None, call["method"])
        ]

    async def _after(self, number: int) -> list[dict[str, Any]]:
        reply = await self.http.get("/_sim/calls", params={"after": number})
        found: list[dict[str, Any]] = reply.raise_for_status().json()
        return found

    async def called(self, count: int, app: FlickrApp, method: str | None = None, *, within: float = 10.0) -> None:
        """Wait until the app has made so many calls."""

        async def enough() -> bool:
            return len(await self.calls(app, method)) >= count

        await eventually(enough, within=within, what=f"{count} calls of {method or 'any method'}")

    async def fault_upload(
        self,
        app: FlickrApp,
        kind: str = "upload",
        *,
        times: int = 1,
        params: dict[str, str] | None = None,
        **effect: Any,
    ) -> None:
        """Order that the next `times` uploads (or replacements) of the app go wrong: all, or those with such fields."""
        match: dict[str, Any] = {"api_key": app.api_key, "kind": kind} | ({"params": params} if params else {})
        await self.order(match, times=times, **effect)

    async def faults_left(self, app: FlickrApp) -> list[dict[str, Any]]:
        """The faults ordered for the app that no call has met yet."""
        waiting = (await self.http.get("/_sim/faults")).raise_for_status().json()
        return [fault for fault in waiting if fault["match"]["api_key"] == app.api_key]

    async def order_tickets(self, *, times: int = 1, **outcome: Any) -> None:
        """Say how the next tickets of asynchronous uploads go, whoever's: `seconds` they take, `complete` 1 or 2."""
        (await self.http.post("/_sim/tickets", json={"times": times, **outcome})).raise_for_status()

    @contextlib.asynccontextmanager
    async def late_search(self, *, seconds: float) -> AsyncIterator[None]:
        """Within the block flickr.photos.search shows an upload so late, to everybody."""
        (await self.http.post("/_sim/search", json={"lag_seconds": seconds})).raise_for_status()
        try:
            yield
        finally:
            (await self.http.post("/_sim/search", json={"lag_seconds": 0})).raise_for_status()

    async def uploaded(self, *photos: Photograph) -> list[dict[str, Any]]:
        """The photos at Flickr with the bytes of these photographs, oldest first."""
        wanted = {photo.sha256 for photo in photos}
        reply = await self.http.get("/_sim/photos", params={"uploaded": "true"})
        return [each for each in reply.raise_for_status().json() if each["sha256"] in wanted]

    async def has(self, *photos: Photograph, within: float = 20.0) -> None:
        """Wait until Flickr has every one of these photographs."""

        async def all_there() -> bool:
            return {each["sha256"] for each in await self.uploaded(*photos)} == {photo.sha256 for photo in photos}

        await eventually(all_there, within=within, what=f"{len(photos)} photographs at Flickr")

    async def revoke(self, app: FlickrApp) -> None:
        """Take back every token the app has used, as its user does on Flickr's account page."""
        for token in {call["oauth_token"] for call in await self.calls(app)}:
            (await self.http.delete(f"/_sim/tokens/{token}")).raise_for_status()


@contextlib.asynccontextmanager
async def simulator(base_url: str) -> AsyncIterator[Simulator]:
    """A client of the simulator at `base_url`."""
    async with httpx2.AsyncClient(base_url=base_url, timeout=15, verify=NOBODY, trust_env=False) as http:
        yield Simulator(http)
