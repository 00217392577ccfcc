"""FlickrHub as its clients use it: plain HTTP against a running gateway, the replies unjudged."""

import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2

from tests.support.photographs import Photograph
from tests.support.plain_http import NOBODY
from tests.support.waiting import eventually

UPLOADS = "/api/v1/uploads"
ENDED = frozenset({"completed", "failed"})
VERIFIER = re.compile(r'id="oauth_verifier"[^>]*>\s*([^<\s]+)\s*<')


class FlickrHub:
    """The public API. Calls return the reply itself; `connect`, `accepted` and `ended` are short ways there."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http

    async def start(self, api_key: str, api_secret: str) -> httpx2.Response:
        """`POST /api/v1/auth/start`."""
        return await self.post("/api/v1/auth/start", {"api_key": api_key, "api_secret": api_secret})

    async def complete(self, oauth_token: str, oauth_verifier: str, **more: Any) -> httpx2.Response:
        """`POST /api/v1/auth/complete`; `state` goes in by name."""
        body = {"oauth_token": oauth_token, "oauth_verifier": oauth_verifier, **more}
        return await self.post("/api/v1/auth/complete", body)

    async def enqueue(self, **body: Any) -> httpx2.Response:
        """`POST /api/v1/flickr/rest`."""
        return await self.post("/api/v1/flickr/rest", body)

    async def status(self, job_id: str, user_id: str) -> httpx2.Response:
        """`POST /api/v1/flickr/jobs/status`."""
        return await self.post("/api/v1/flickr/jobs/status", {"job_id": job_id, "user_id": user_id})

    async def hand_over(self, photo: Photograph, user_id: str) -> httpx2.Response:
        """`POST /api/v1/uploads` as a form."""
        files = {"photo": (photo.filename, photo.data, photo.content_type)}
        return await self.http.post(UPLOADS, data={"user_id": user_id}, files=files)

    async def hand_over_raw(
        self, body: bytes | AsyncIterator[bytes], *, content_type: str = "image/jpeg", **query: str
    ) -> httpx2.Response:
        """`POST /api/v1/uploads` with the photo as the whole body; `user_id` and `filename` go into the query."""
        return await self.http.post(UPLOADS, content=body, params=query, headers={"Content-Type": content_type})

    async def presign(self, **body: Any) -> httpx2.Response:
        """`POST /api/v1/uploads/presign`."""
        return await self.post(f"{UPLOADS}/presign", body)

    async def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> httpx2.Response:
        """POST a body: bytes and text as they are (say what they are in `headers`), anything else as JSON."""
        if isinstance(body, bytes | str):
            return await self.http.post(path, content=body, headers=headers)
        return await self.http.post(path, json=body, headers=headers)

    async def connect(self, api_key: str, api_secret: str, *, account: str | None = None) -> str:
        """Walk the whole oob login, approving at the simulator (as `account`, else its first person); the `user_id`."""
        started = (await self.start(api_key, api_secret)).raise_for_status().json()
        verifier = await self.approve(started["authorize_url"], account=account)
        done = (await self.complete(started["oauth_token"], verifier, state=started["state"])).raise_for_status()
        return str(done.json()["user_id"])

    async def approve(self, authorize_url: str, *, account: str | None = None) -> str:
        """Press the button of the simulator's authorize page (oob); the verifier it shows."""
        page = (await self.http.post(authorize_url, data={"account": account} if account else None)).text
        shown = VERIFIER.search(page)
        assert shown, f"no verifier in the simulator's page: {page[:500]}"
        return shown[1]

    async def accepted(self, **body: Any) -> str:
        """Enqueue a job that must be accepted; its id."""
        reply = await self.enqueue(**body)
        assert reply.status_code == httpx2.codes.ACCEPTED, reply.text
        return str(reply.json()["data"]["job_id"])

    async def ended(self, job_id: str, user_id: str, *, within: float = 20.0) -> dict[str, Any]:
        """Wait for the end of a job; its status data."""

        async def data() -> dict[str, Any] | None:
            found: dict[str, Any] = (await self.status(job_id, user_id)).raise_for_status().json()["data"]
            return found if found["state"] in ENDED else None

        return await eventually(data, within=within, what=f"the end of job {job_id}")


@contextlib.asynccontextmanager
async def flickrhub(base_url: str) -> AsyncIterator[FlickrHub]:
    """A client of the gateway at `base_url`."""
    async with httpx2.AsyncClient(base_url=base_url, timeout=15, verify=NOBODY, trust_env=False) as http:
        yield FlickrHub(http)
