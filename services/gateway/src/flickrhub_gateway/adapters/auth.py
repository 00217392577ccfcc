"""The auth service over internal HTTP."""

import json
from typing import Any

import structlog

from flickrhub_common.errors import HubError, TokenNotFound, Unavailable
from flickrhub_common.http_client import HttpClient, HttpError
from flickrhub_common.logs import logger
from flickrhub_common.problems import REQUEST_ID_HEADER
from flickrhub_gateway.errors import passed_on
from flickrhub_gateway.models import Authorisation

log = logger(__name__)

CONNECT_SECONDS = 1.0
WALK_SECONDS = 30.0
"""Auth may have to wait for Flickr (FLICKR_TIMEOUT_SECONDS, 15 unless set) before it answers a step of the walk."""
LOOKUP_SECONDS = 2.0
PING_SECONDS = 1.0


class HttpAuth:
    """Asks auth, shows it the internal credential and turns its envelope into values and errors."""

    def __init__(self, client: HttpClient, *, token: str) -> None:
        self._client = client
        self._authorization = f"Bearer {token}"

    async def start(self, *, api_key: str, api_secret: str) -> Authorisation:
        """Begin the OAuth walk for an app."""
        body = {"api_key": api_key, "api_secret": api_secret}
        data = await self._call("POST", "/internal/v1/oauth/start", body=body, seconds=WALK_SECONDS)
        return Authorisation(
            authorize_url=data["authorize_url"],
            oauth_token=data["oauth_token"],
            state=data["state"],
            mode=data["mode"],
        )

    async def complete(self, *, oauth_token: str, oauth_verifier: str, state: str | None) -> str:
        """End the OAuth walk; the connection's user_id."""
        body = {"oauth_token": oauth_token, "oauth_verifier": oauth_verifier}
        if state is not None:
            body["state"] = state
        data = await self._call("POST", "/internal/v1/oauth/complete", body=body, seconds=WALK_SECONDS)
        return str(data["user_id"])

    async def knows(self, user_id: str) -> bool:
        """Whether there is a usable connection; ``user_id`` is a UUID."""
        try:
            await self._call("GET", f"/internal/v1/connections/{user_id}", seconds=LOOKUP_SECONDS)
        except TokenNotFound:
            return False
        return True

    async def ping(self) -> None:
        """Raise Unavailable unless auth lives and lets us in; what it needs itself is for its own readiness to say."""
        try:
            headers = {"Authorization": self._authorization}
            reply = await self._client.get("/internal/v1/health", headers=headers, timeout=PING_SECONDS)
        except HttpError as error:
            raise Unavailable("auth") from error
        if not reply.is_success:
            raise Unavailable("auth")

    async def _call(self, method: str, path: str, *, body: Any = None, seconds: float) -> dict[str, Any]:
        headers = {"Authorization": self._authorization}
        request_id = structlog.contextvars.get_contextvars().get("request_id")
        if request_id:
            headers[REQUEST_ID_HEADER] = request_id
        connect = min(CONNECT_SECONDS, seconds)
        try:
            reply = await self._client.request(
                method, path, json=body, headers=headers, timeout=(connect, seconds, seconds, connect)
            )
        except HttpError as error:
            raise Unavailable("auth") from error
        return _data(reply.status_code, reply.content, retry_after=reply.headers.get("retry-after"))


def _data(status: int, content: bytes, *, retry_after: str | None) -> dict[str, Any]:
    try:
        envelope = json.loads(content)
        data, error = envelope["data"], envelope["error"]
        if status < 400 and isinstance(data, dict):
            return data
        code = str(error["code"])
    except (ValueError, LookupError, TypeError) as nonsense:  # a proxy's page, or not auth at all
        raise Unavailable("auth") from nonsense
    failure = passed_on(
        code,
        message=error.get("message"),
        details=error.get("details"),
        retry_after=int(retry_after) if retry_after and retry_after.isdigit() else None,
    )
    if type(failure) is HubError:
        log.error("auth_misunderstood", status=status, code=code)
    raise failure
