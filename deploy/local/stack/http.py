"""Small HTTP questions to our own processes, past any proxy of the caller's."""

import base64
import http.client
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Reply:
    """Status 0: nobody answered, `reason` says why."""

    status: int
    reason: str
    body: bytes = b""

    def json(self) -> Any:
        """The body as JSON, None when there is none."""
        return json.loads(self.body) if self.body else None


def get(url: str) -> Reply:
    """GET, credentials in the URL as Basic authentication; never raises for what the other side does."""
    return _send(url, None)


def put(url: str, body: Any) -> Reply:
    """PUT of a JSON body; never raises for what the other side does."""
    return _send(url, json.dumps(body).encode())


def _send(url: str, body: bytes | None) -> Reply:
    parts = urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    headers = {"Content-Type": "application/json"} if body is not None else {}
    if login:
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    address = urlunsplit(parts._replace(netloc=host))
    request = urllib.request.Request(address, data=body, headers=headers, method="PUT" if body is not None else "GET")  # noqa: S310
    try:
        with _opener.open(request, timeout=5) as response:
            return Reply(response.status, response.reason, response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, f"HTTP {error.code} {error.read(200).decode(errors='replace')}".strip())
    except (OSError, http.client.HTTPException) as error:
        return Reply(0, f"no answer ({type(getattr(error, 'reason', error)).__name__})")
