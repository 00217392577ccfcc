"""What the tests of auth are made of: an auth in this process, its user, and listeners to its events."""

import asyncio
import contextlib
import re
import secrets
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import httpx2
from oauthlib.oauth1 import Client

from flickrhub_auth.settings import AuthSettings
from flickrhub_auth.wiring import build_app
from flickrhub_common.broker import Messaging
from flickrhub_common.contracts import Message, TokenReplaced, TokenRevoked
from flickrhub_common.settings import RabbitSettings
from tests.support.plain_http import NOBODY
from tests.support.simulator import FlickrApp, Simulator
from tests.support.waiting import eventually

INTERNAL_TOKEN = "internal-" + secrets.token_hex(8)


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Reply:
    """A reply of auth's: its status and the whole envelope."""

    status: int
    body: dict[str, Any]

    @property
    def data(self) -> dict[str, Any]:
        """The data of a success."""
        assert self.status == 200, self
        data: dict[str, Any] = self.body["data"]
        return data

    @property
    def failure(self) -> tuple[int, str]:
        """The status and code of a failure."""
        return self.status, self.body["error"]["code"]


class Auth:
    """Auth's internal API."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http

    async def start(self, api_key: str, api_secret: str) -> Reply:
        """Begin to connect."""
        return await self._call("POST", "/internal/v1/oauth/start", {"api_key": api_key, "api_secret": api_secret})

    async def complete(self, oauth_token: str, verifier: str, **more: str) -> Reply:
        """Finish connecting."""
        body = {"oauth_token": oauth_token, "oauth_verifier": verifier, **more}
        return await self._call("POST", "/internal/v1/oauth/complete", body)

    async def find(self, user_id: str) -> Reply:
        """Ask whether there is a connection."""
        return await self._call("GET", f"/internal/v1/connections/{user_id}")

    async def lend(self, user_id: str) -> Reply:
        """Borrow a token."""
        return await self._call("POST", f"/internal/v1/connections/{user_id}/lend")

    async def _call(self, method: str, path: str, body: dict[str, str] | None = None) -> Reply:
        response = await self.http.request(method, path, json=body)
        return Reply(response.status_code, response.json())


@contextlib.asynccontextmanager
async def running_auth(settings: AuthSettings) -> AsyncIterator[Auth]:
    """The real app in this process, everything opened, and closed at the end."""
    app = build_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app, raise_app_exceptions=False),
            base_url="http://auth",
            headers={"Authorization": f"Bearer {INTERNAL_TOKEN}"},
        ) as http,
    ):
        yield Auth(http)


async def agree(started: Reply, *, account: str = "ada.harbour") -> httpx2.Response:
    """Be the user: open the page, press the button. Returns what Flickr shows then."""
    url = started.data["authorize_url"]
    async with httpx2.AsyncClient(verify=NOBODY, trust_env=False) as browser:
        (await browser.get(url)).raise_for_status()
        page = urlsplit(url)
        form = {**dict(parse_qsl(page.query)), "account": account}
        return await browser.post(f"{page.scheme}://{page.netloc}{page.path}", data=form)


async def verifier(started: Reply, *, account: str = "ada.harbour") -> str:
    """Agree, and read the code off the page."""
    found = re.search(r'<code id="oauth_verifier">([0-9-]+)</code>', (await agree(started, account=account)).text)
    assert found
    return found.group(1)


async def start(auth: Auth, app: FlickrApp) -> Reply:
    """Begin to connect, which must work."""
    started = await auth.start(app.api_key, app.api_secret)
    assert started.status == 200, started
    return started


async def connect(auth: Auth, app: FlickrApp, *, account: str = "ada.harbour") -> str:
    """The whole walk; returns the user_id."""
    started = await start(auth, app)
    code = await verifier(started, account=account)
    user_id: str = (await auth.complete(started.data["oauth_token"], code)).data["user_id"]
    return user_id


async def call(sim: Simulator, lent: dict[str, str], method: str) -> dict[str, object]:
    """Make a signed call with a lent token, as an executor would."""
    signer = Client(lent["api_key"], lent["api_secret"], lent["oauth_token"], lent["oauth_token_secret"])
    url = f"{sim.http.base_url}/services/rest/?method={method}&format=json&nojsoncallback=1"
    _, headers, _ = signer.sign(url)
    found: dict[str, object] = (await sim.http.get(url, headers=headers)).json()
    return found


class Ear:
    """Hears every token event of this test's vhost."""

    def __init__(self, settings: RabbitSettings) -> None:
        self.heard: list[Message] = []
        self.messaging = Messaging(settings, service="ear", drain_seconds=2)
        self.messaging.subscribe_every_instance("token.*", (TokenReplaced, TokenRevoked), self._hear)

    async def __aenter__(self) -> Self:
        await self.messaging.start()
        await self.messaging.ping()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.messaging.stop()

    async def hears(self, count: int) -> list[Message]:
        """Wait until so many events have come."""
        await eventually(lambda: len(self.heard) >= count, what=f"{count} token events")
        return self.heard

    async def _hear(self, event: Message) -> None:
        self.heard.append(event)


@contextlib.asynccontextmanager
async def process(module: str, env: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of ours, its output to be read from `stdout`; ended at the end if it still runs."""
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-P", "-m", module),
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield running
    finally:
        if running.returncode is None:
            running.terminate()
        await running.communicate()


async def answers(url: str, status: int = 200) -> httpx2.Response:
    """Wait until a GET of this address is answered with this status."""
    async with httpx2.AsyncClient(verify=NOBODY, trust_env=False) as http:

        async def asked() -> httpx2.Response | None:
            with contextlib.suppress(httpx2.TransportError):
                response = await http.get(url)
                return response if response.status_code == status else None
            return None

        response = await eventually(asked, within=20, what=f"{status} from {url}")
        assert response is not None
        return response
