"""A caller of a simulator in this process, who signs with oauthlib's client side."""

import re
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx2
from oauthlib.oauth1 import SIGNATURE_TYPE_AUTH_HEADER, Client

from flickr_sim.app import create_app
from flickr_sim.credentials import AccessToken
from flickr_sim.images import jpeg
from flickr_sim.settings import DEMO_API_KEY, DEMO_API_SECRET
from flickr_sim.simulator import Simulator

BASE = "http://sim.test"
FORM = "application/x-www-form-urlencoded"
BOUNDARY = b"the-boundary-of-tests"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY.decode()}"
JPEG = jpeg("of the tests")


class Clock:
    """The real time, moved by as much as a test says."""

    def __init__(self) -> None:
        self.moved = 0.0

    def __call__(self) -> float:
        return time.time() + self.moved


class Caller:
    """Talks to one simulator: unsigned, signed for the demo app, and signed with a token."""

    def __init__(self, simulator: Simulator, clock: Clock) -> None:
        self.simulator = simulator
        self.clock = clock
        self.key, self.secret = DEMO_API_KEY, DEMO_API_SECRET
        transport = httpx2.ASGITransport(create_app(simulator=simulator))
        self.http = httpx2.AsyncClient(transport=transport, base_url=BASE)

    def grant(self, perms: str = "delete", account: str | None = None) -> AccessToken:
        """Give the demo app a token without walking through OAuth."""
        person = simulator_person(self.simulator, account)
        request_token = self.simulator.credentials.issue_request_token(self.key, "oob")
        self.simulator.credentials.approve(request_token, account=person, perms=perms)
        return self.simulator.credentials.exchange(request_token)

    def client(self, token: AccessToken | None = None, **arguments: Any) -> Client:
        """Return oauthlib's client for the demo app and a token."""
        secrets = {
            "client_secret": self.secret,
            "resource_owner_key": token.token if token else None,
            "resource_owner_secret": token.secret if token else None,
        }
        return Client(self.key, **{**secrets, "signature_type": SIGNATURE_TYPE_AUTH_HEADER, **arguments})

    async def signed(self, path: str, fields: dict[str, str], *, client: Client, verb: str = "POST") -> httpx2.Response:
        """Send a signed request, its fields in a form body (POST) or in the query (GET)."""
        if verb == "GET":
            url, headers, _ = client.sign(f"{BASE}{path}?{urlencode(fields)}" if fields else f"{BASE}{path}")
            return await self.http.get(url, headers=headers)
        url, headers, body = client.sign(BASE + path, "POST", body=urlencode(fields), headers={"Content-Type": FORM})
        return await self.http.post(url, headers=headers, content=body)

    async def upload(
        self,
        token: AccessToken | None,
        body: bytes = JPEG,
        /,
        *,
        kind: str = "upload/",
        filename: str = "a.jpg",
        **fields: str,
    ) -> httpx2.Response:
        """Send a photo, its fields signed; without a token nothing is signed."""
        return await self.send(token, multipart(*fields.items(), (filename, body)), fields, kind=kind)

    async def send(
        self,
        token: AccessToken | None,
        content: bytes | AsyncIterator[bytes],
        fields: dict[str, str],
        *,
        kind: str = "upload/",
    ) -> httpx2.Response:
        """Send any body to where photos are taken, with a signature over `fields`."""
        url, headers = f"{BASE}/services/{kind}", {}
        if token is not None:
            url, headers, _ = self.client(token).sign(
                url, "POST", body=urlencode(fields), headers={"Content-Type": FORM}
            )
        return await self.http.post(url, content=content, headers=headers | {"Content-Type": MULTIPART})

    async def rest(
        self, method: str, token: AccessToken | None = None, /, *, verb: str = "POST", **fields: str
    ) -> httpx2.Response:
        """Call a method: signed when there is a token, with the bare api key otherwise; JSON unless told."""
        fields = {"method": method, "format": "json", "nojsoncallback": "1", **fields}
        if token is not None:
            return await self.signed("/services/rest/", fields, client=self.client(token), verb=verb)
        fields = {"api_key": self.key, **fields}
        if verb == "GET":
            return await self.http.get("/services/rest/", params=fields)
        return await self.http.post("/services/rest/", data=fields)

    async def ok(self, method: str, token: AccessToken | None = None, /, **fields: str) -> Any:
        """Call a method and return its answer, which must be a success."""
        answer = (await self.rest(method, token, **fields)).json()
        assert answer["stat"] == "ok", answer
        return answer

    async def error(self, method: str, token: AccessToken | None = None, /, **fields: str) -> tuple[int, str]:
        """Call a method and return the code and the message of its error."""
        answer = (await self.rest(method, token, **fields)).json()
        assert answer["stat"] == "fail", answer
        return answer["code"], answer["message"]

    async def approved(self, callback: str = "oob", **fields: str) -> tuple[dict[str, str], httpx2.Response]:
        """Walk to the approved request token; return it and the page (or redirect) behind the button."""
        client = self.client(callback_uri=callback)
        token = parsed((await self.signed("/services/oauth/request_token", {}, client=client)).text)
        form = {"oauth_token": token["oauth_token"], "perms": "write", **fields}
        return token, await self.http.post("/services/oauth/authorize", data=form)


def multipart(*parts: tuple[str, str | bytes], field: str = "photo") -> bytes:
    """Write a multipart body: text is a field of that name, bytes are a file of that file name."""
    body = b""
    for name, value in parts:
        if isinstance(value, str):
            head, data = f'name="{name}"', value.encode()
        else:
            head, data = f'name="{field}"; filename="{name}"\r\nContent-Type: image/jpeg', value
        body += b"--%s\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (BOUNDARY, head.encode(), data)
    return body + b"--%s--\r\n" % BOUNDARY


def simulator_person(simulator: Simulator, account: str | None) -> str:
    """Return the NSID of an account, the first person's by default."""
    person = simulator.world.person(account) if account else simulator.world.first_person
    assert person is not None
    return person.nsid


def parsed(form: str) -> dict[str, str]:
    """Read a form-like body."""
    return dict(parse_qsl(form, keep_blank_values=True))


def verifier_in(page: httpx2.Response) -> str:
    """Return the verifier an oob page shows."""
    found = re.search(r'<code id="oauth_verifier">(\d{3}-\d{3}-\d{3})</code>', page.text)
    assert found is not None, page.text
    return found[1]
