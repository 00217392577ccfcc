"""FlickrHub, its simulated Flickr and its dead letters, as the demo asks them."""

import asyncio
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aio_pika
import httpx2
from aio_pika.exceptions import AMQPError

from deploy.local.demo_screen import StepFailed
from flickrhub_common.topology import FLICKR_DLQ

POLL_SECONDS = 0.05
ENDED = ("completed", "failed")
_VERIFIER = re.compile(r'id="oauth_verifier"[^>]*>\s*([^<\s]+)\s*<')


class Hub:
    """The gateway and the simulator. Every call raises StepFailed with a sentence when the other side says no."""

    def __init__(self, http: httpx2.Client, *, gateway: str, simulator: str) -> None:
        self._http = http
        self._gateway = gateway
        self._simulator = simulator

    def register_app(self) -> dict[str, str]:
        """Register an app at the simulated Flickr, so that every demo has its own cache, limits and faults."""
        pair = {"api_key": secrets.token_hex(16), "api_secret": secrets.token_hex(8)}
        self._ask("POST", f"{self._simulator}/_sim/apps", json=pair)
        return pair

    def order_fault(self, api_key: str, method: str, **fault: Any) -> None:
        """Have calls of a method fail at the simulated Flickr."""
        match = {"kind": "rest", "api_key": api_key, "method": method}
        self._ask("POST", f"{self._simulator}/_sim/faults", json={"match": match, **fault})

    def lose_the_answer_of_an_upload(self, api_key: str) -> None:
        """Have the simulated Flickr store the next photo of this app, and cut the connection instead of answering."""
        match = {"kind": "upload", "api_key": api_key}
        self._ask("POST", f"{self._simulator}/_sim/faults", json={"match": match, "times": 1, "drop": "after"})

    def hand_over(self, photo: bytes, *, user_id: str, filename: str) -> dict[str, Any]:
        """Give the gateway a photo; what it says of it."""
        files = {"photo": (filename, photo, "image/jpeg")}
        reply = self._ask("POST", f"{self._gateway}/api/v1/uploads", data={"user_id": user_id}, files=files)
        data: dict[str, Any] = reply.json()["data"]
        return data

    def photos_at_flickr(self, *, sha256: str) -> list[dict[str, Any]]:
        """The uploaded photos with these bytes that the simulated Flickr has."""
        photos = self._ask("GET", f"{self._simulator}/_sim/photos", params={"uploaded": "true"}).json()
        return [photo for photo in photos if photo["sha256"] == sha256]

    def press_the_button(self, authorize_url: str) -> str:
        """What the account's owner does on Flickr's page; the code it shows."""
        found = _VERIFIER.search(self._ask("POST", authorize_url).text)
        if found is None:
            raise StepFailed("Flickr's page shows no code")
        return found[1]

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """A call of the gateway's API; the data of its reply."""
        data: dict[str, Any] = self._ask("POST", f"{self._gateway}/api/v1{path}", json=body).json()["data"]
        return data

    def follow(self, job_id: str, user_id: str, *, seconds: float) -> tuple[list[str], dict[str, Any]]:
        """Ask for a job until it has ended; the states it went through, and its last status data."""
        deadline = time.monotonic() + seconds
        states: list[str] = []
        while True:
            data = self.post("/flickr/jobs/status", {"job_id": job_id, "user_id": user_id})
            if data["state"] not in states[-1:]:
                states.append(data["state"])
            if data["state"] in ENDED:
                return states, data
            if time.monotonic() > deadline:
                raise StepFailed(f"job {job_id} is still {data['state']} after {seconds:g} s")
            time.sleep(POLL_SECONDS)

    def _ask(self, method: str, url: str, **request: Any) -> httpx2.Response:
        try:
            reply = self._http.request(method, url, **request)
        except httpx2.HTTPError as error:
            raise StepFailed(f"{url} doesn't answer ({type(error).__name__})") from error
        if reply.status_code >= 400:
            raise StepFailed(f"{url} answered {reply.status_code}: {reply.text[:300]}")
        return reply


@contextmanager
def hub(env: dict[str, str]) -> Iterator[Hub]:
    """The hub whose addresses are in `.run/env`, past any proxy of the caller's."""
    with httpx2.Client(timeout=15, trust_env=False) as http:
        yield Hub(http, gateway=env["GATEWAY_URL"], simulator=env["SIM_URL"])


def dead_letters_of(job_id: str, *, rabbit_url: str) -> list[dict[str, Any]]:
    """The headers of a job's letters in `flickr_dlq`, which stay there. Raises StepFailed."""
    try:
        return asyncio.run(_peek(job_id, rabbit_url))
    except (AMQPError, OSError, TimeoutError) as error:
        raise StepFailed(f"RabbitMQ can't be asked for its dead letters ({type(error).__name__})") from error


async def _peek(job_id: str, rabbit_url: str) -> list[dict[str, Any]]:
    found = []
    async with await aio_pika.connect(rabbit_url, timeout=10) as connection, connection.channel() as channel:
        queue = await channel.get_queue(FLICKR_DLQ, ensure=False)
        # Nothing is acknowledged, so closing the channel gives everything back.
        while (letter := await queue.get(fail=False)) is not None:
            if letter.headers.get("job_id") == job_id:
                found.append(dict(letter.headers))
    return found
