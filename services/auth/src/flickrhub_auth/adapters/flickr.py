"""Flickr's OAuth endpoints over HTTP.

Every call is a POST whose OAuth parameters are in the ``Authorization`` header, so that no URL, and nothing that
records URLs, ever holds one. oauthlib signs.
"""

import asyncio
from collections.abc import Mapping
from urllib.parse import urlencode

from oauthlib.oauth1 import Client

from flickrhub_auth.adapters.flickr_answers import Answer, grant_of, perms_of, request_token_of
from flickrhub_auth.errors import UnexpectedAnswer
from flickrhub_auth.models import App, Grant, RequestToken
from flickrhub_common.errors import UpstreamFailed
from flickrhub_common.http_client import HttpClient, HttpError

OUT_OF_BAND = "oob"
FORM = "application/x-www-form-urlencoded"
MAX_ANSWER_BYTES = 64 * 1024
PERMS_SECONDS = 5.0
"""Time limit of asking for the perms, which a connection can do without."""


class FlickrOAuth:
    """The four steps of OAuth 1.0a with Flickr; ``timeout_seconds`` limits each call as a whole."""

    def __init__(
        self, client: HttpClient, *, oauth_url: str, rest_url: str, perms: str, timeout_seconds: float
    ) -> None:
        self._client = client
        self._oauth_url = oauth_url.rstrip("/")
        self._rest_url = rest_url
        self._perms = perms
        self._timeout = timeout_seconds

    async def request_token(self, app: App, *, callback_url: str | None) -> RequestToken:
        """Ask for a request token; without a callback URL, out of band. Raises AppRefused or UpstreamFailed."""
        signer = Client(app.api_key, app.api_secret, callback_uri=callback_url or OUT_OF_BAND)
        return request_token_of(await self._oauth_step("request_token", signer))

    def authorize_url(self, request_token: RequestToken) -> str:
        """The page on which the user agrees."""
        return f"{self._oauth_url}/authorize?{urlencode({'oauth_token': request_token.token, 'perms': self._perms})}"

    async def access_token(self, app: App, request_token: RequestToken, *, verifier: str) -> Grant:
        """Exchange an agreed request token. Raises VerifierRefused, AppRefused or UpstreamFailed."""
        signer = Client(app.api_key, app.api_secret, request_token.token, request_token.secret, verifier=verifier)
        return grant_of(await self._oauth_step("access_token", signer))

    async def perms(self, app: App, grant: Grant) -> str:
        """What the user allowed: read, write or delete. Raises UpstreamFailed."""
        signer = Client(app.api_key, app.api_secret, grant.oauth_token, grant.oauth_token_secret)
        form = {"method": "flickr.auth.oauth.checkToken", "format": "json", "nojsoncallback": "1"}
        limit = min(self._timeout, PERMS_SECONDS)
        return perms_of(await self._post("checkToken", self._rest_url, signer, form=form, limit_seconds=limit))

    async def _oauth_step(self, step: str, signer: Client) -> Answer:
        return await self._post(step, f"{self._oauth_url}/{step}", signer, form={}, limit_seconds=self._timeout)

    async def _post(
        self, step: str, url: str, signer: Client, *, form: Mapping[str, str], limit_seconds: float
    ) -> Answer:
        body = list(form.items()) or None
        _, headers, _ = signer.sign(url, "POST", body=body, headers={"Content-Type": FORM} if body else None)
        try:
            async with (
                asyncio.timeout(limit_seconds),  # of the whole exchange: the client's own limits are per read
                self._client.stream("POST", url, data=dict(form) or None, headers=headers) as response,
            ):
                content = b""
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > MAX_ANSWER_BYTES:
                        raise UpstreamFailed from UnexpectedAnswer(f"{step}: the answer is too long")
                return Answer(step, response.status_code, content.decode("utf-8", "replace"))
        except (HttpError, TimeoutError) as error:
            raise UpstreamFailed from UnexpectedAnswer(f"{step}: {type(error).__name__}")
