"""How auth calls Flickr: signed, with nothing in a URL, within its time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx2
import pytest
from oauthlib.oauth1.rfc5849 import signature

from flickrhub_auth.adapters.flickr import FlickrOAuth
from flickrhub_auth.models import App, Grant, RequestToken
from flickrhub_common.errors import UpstreamFailed

APP = App("768fe946d252b119746fda82e1599980", "1a3c208e172d3edc")
TOKEN = RequestToken("72157636219286366-5d598e9d1faaa85c", "request(secret)*")
GRANT = Grant("72157636219286367-5d598e9d1faaa85d", "access secret&", "1@N01", "ann")
SECRETS = (
    TOKEN.token,
    TOKEN.secret,
    GRANT.oauth_token,
    GRANT.oauth_token_secret,
    APP.api_key,
    APP.api_secret,
    "123-456",
)

ANSWERS = {
    "/services/oauth/request_token": "oauth_callback_confirmed=true&oauth_token=7-a&oauth_token_secret=b",
    "/services/oauth/access_token": "fullname=&oauth_token=7-c&oauth_token_secret=d&user_nsid=1%40N01&username=ann",
    "/services/rest/": '{"oauth":{"perms":{"_content":"write"}},"stat":"ok"}',
}


class Flickr:
    """Answers every call well and remembers it, unless `answer` is set."""

    def __init__(self) -> None:
        self.requests: list[httpx2.Request] = []
        self.answer: Callable[[], httpx2.Response] | None = None
        self.delay = 0.0

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        await asyncio.sleep(self.delay)
        return self.answer() if self.answer else httpx2.Response(200, text=ANSWERS[request.url.path])


@pytest.fixture
def flickr() -> Flickr:
    return Flickr()


@pytest.fixture
async def oauth(flickr: Flickr) -> AsyncIterator[FlickrOAuth]:
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(flickr)) as client:
        yield FlickrOAuth(
            client,
            oauth_url="https://www.flickr.com/services/oauth/",
            rest_url="https://api.flickr.com/services/rest/",
            perms="delete",
            timeout_seconds=0.2,
        )


class Received:
    """What oauthlib's verifying side reads of a request."""

    def __init__(self, request: httpx2.Request) -> None:
        self.http_method = request.method
        self.uri = str(request.url)
        pairs = signature.collect_parameters(
            headers={"Authorization": request.headers["Authorization"]},
            body=parse_qsl(request.content.decode()),
            exclude_oauth_signature=False,
        )
        self.signature = dict(pairs)["oauth_signature"]
        self.params = [(name, value) for name, value in pairs if name != "oauth_signature"]
        self.oauth = {name: value for name, value in self.params if name.startswith("oauth_")}
        self.form = {name: value for name, value in self.params if not name.startswith("oauth_")}

    def signed_with(self, api_secret: str, token_secret: str) -> bool:
        """Whether oauthlib's verifying side takes the signature."""
        return bool(signature.verify_hmac_sha1(cast("Any", self), api_secret, token_secret))


async def test_the_request_token_is_asked_for_with_a_good_signature(flickr: Flickr, oauth: FlickrOAuth) -> None:
    assert await oauth.request_token(APP, callback_url=None) == RequestToken("7-a", "b")
    received = Received(flickr.requests[0])
    assert received.signed_with(APP.api_secret, "")
    assert received.oauth["oauth_callback"] == "oob"
    assert received.http_method == "POST"


async def test_the_callback_url_is_given_to_flickr(flickr: Flickr, oauth: FlickrOAuth) -> None:
    await oauth.request_token(APP, callback_url="https://hub.test/callback?a=b c")
    received = Received(flickr.requests[0])
    assert received.signed_with(APP.api_secret, "")
    assert received.oauth["oauth_callback"] == "https://hub.test/callback?a=b c"


async def test_the_verifier_is_exchanged_with_a_good_signature(flickr: Flickr, oauth: FlickrOAuth) -> None:
    grant = await oauth.access_token(APP, TOKEN, verifier="123-456-789")
    assert grant == Grant("7-c", "d", "1@N01", "ann", "")
    received = Received(flickr.requests[0])
    assert received.signed_with(APP.api_secret, TOKEN.secret)
    assert (received.oauth["oauth_token"], received.oauth["oauth_verifier"]) == (TOKEN.token, "123-456-789")


async def test_perms_are_asked_for_with_a_good_signature(flickr: Flickr, oauth: FlickrOAuth) -> None:
    assert await oauth.perms(APP, GRANT) == "write"
    received = Received(flickr.requests[0])
    assert received.signed_with(APP.api_secret, GRANT.oauth_token_secret)
    assert received.form == {"method": "flickr.auth.oauth.checkToken", "format": "json", "nojsoncallback": "1"}


async def test_no_url_and_no_body_ever_holds_a_secret(flickr: Flickr, oauth: FlickrOAuth) -> None:
    await oauth.request_token(APP, callback_url=None)
    await oauth.access_token(APP, TOKEN, verifier="123-456-789")
    await oauth.perms(APP, GRANT)
    for request in flickr.requests:
        assert request.url.query == b""
        assert not [secret for secret in SECRETS if secret in request.content.decode() + str(request.url)]


def test_the_user_is_sent_to_flickr_with_the_perms_that_are_wanted(oauth: FlickrOAuth) -> None:
    url = urlsplit(oauth.authorize_url(TOKEN))
    assert (url.scheme, url.netloc, url.path) == ("https", "www.flickr.com", "/services/oauth/authorize")
    assert parse_qs(url.query) == {"oauth_token": [TOKEN.token], "perms": ["delete"]}


async def test_a_slow_answer_is_given_up_in_time(flickr: Flickr, oauth: FlickrOAuth) -> None:
    flickr.delay = 30
    loop = asyncio.get_running_loop()
    begun = loop.time()
    with pytest.raises(UpstreamFailed):
        await oauth.request_token(APP, callback_url=None)
    assert loop.time() - begun < 2


async def test_an_answer_that_trickles_is_given_up_in_time(flickr: Flickr, oauth: FlickrOAuth) -> None:
    async def drops() -> AsyncIterator[bytes]:
        while True:
            yield b"o"
            await asyncio.sleep(0.05)

    flickr.answer = lambda: httpx2.Response(200, content=drops())
    with pytest.raises(UpstreamFailed):
        await oauth.request_token(APP, callback_url=None)


async def test_an_endless_answer_is_given_up_early(flickr: Flickr, oauth: FlickrOAuth) -> None:
    sent = 0

    async def flood() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 16_384
            yield b"o" * 16_384

    flickr.answer = lambda: httpx2.Response(200, content=flood())
    with pytest.raises(UpstreamFailed):
        await oauth.request_token(APP, callback_url=None)
    assert sent <= 8 * 16_384


async def test_a_connection_that_breaks_is_a_failure_of_flickrs(flickr: Flickr, oauth: FlickrOAuth) -> None:
    def broken() -> httpx2.Response:
        raise httpx2.ReadError("connection reset by api.flickr.com")

    flickr.answer = broken
    with pytest.raises(UpstreamFailed) as caught:
        await oauth.request_token(APP, callback_url=None)
    assert "flickr.com" not in caught.value.message


async def test_a_redirect_is_not_followed(flickr: Flickr, oauth: FlickrOAuth) -> None:
    flickr.answer = lambda: httpx2.Response(302, headers={"Location": "https://elsewhere.test/"})
    with pytest.raises(UpstreamFailed):
        await oauth.request_token(APP, callback_url=None)
    assert len(flickr.requests) == 1
