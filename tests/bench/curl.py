"""curl, timed by its own clock."""

import asyncio
import sys
from pathlib import Path
from urllib.parse import parse_qs

import httpx2
from oauthlib.oauth1 import Client

from tests.support.flickrhub_client import VERIFIER
from tests.support.simulator import FlickrApp

_signers: dict[str, Client] = {}


async def curl(*arguments: str) -> tuple[str, float]:
    """Run curl; the reply's body, and how many seconds it all took."""
    command = ("curl", "-sS", "--noproxy", "*", "-H", "Expect:", "-w", "\n%{time_total}", *arguments)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    body, _, seconds = out.decode().rpartition("\n")
    return body, float(seconds)


async def straight_to_flickr(sim_url: str, app: FlickrApp, photo: Path) -> float:
    """Send a photo by curl, signed, to the simulated Flickr; the seconds it took."""
    url = f"{sim_url}/services/upload/"
    _, headers, _ = (await _signer(sim_url, app)).sign(url, "POST")
    authorization = f"Authorization: {headers['Authorization']}"
    said, seconds = await curl("-H", authorization, "-F", f"photo=@{photo};type=image/jpeg", url)
    if 'stat="ok"' not in said:
        sys.exit(f"curl's own upload was refused: {said[:300]}")
    return seconds


async def _signer(sim_url: str, app: FlickrApp) -> Client:
    """An account's signer, by the whole OAuth walk; made once for each app."""
    if app.api_key not in _signers:
        async with httpx2.AsyncClient(base_url=f"{sim_url}/services/oauth", timeout=15, trust_env=False) as http:
            asking = Client(app.api_key, app.api_secret, callback_uri="oob")
            token, secret = await _token(http, asking, "/request_token")
            page = await http.post(f"/authorize?oauth_token={token}&perms=write")
            found = VERIFIER.search(page.text)
            assert found, page.text[:300]
            walking = Client(app.api_key, app.api_secret, token, secret, verifier=found[1])
            token, secret = await _token(http, walking, "/access_token")
        _signers[app.api_key] = Client(app.api_key, app.api_secret, token, secret)
    return _signers[app.api_key]


async def _token(http: httpx2.AsyncClient, signer: Client, path: str) -> tuple[str, str]:
    url, headers, _ = signer.sign(f"{http.base_url}".rstrip("/") + path, "POST")
    reply = await http.post(url, headers=headers)
    answered = parse_qs(reply.raise_for_status().text)
    return answered["oauth_token"][0], answered["oauth_token_secret"][0]
