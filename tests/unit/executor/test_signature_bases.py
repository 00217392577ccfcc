"""Our OAuth signatures against two judges: oauthlib's server side, and the rules of RFC 5849 written down plainly."""

import base64
import hashlib
import hmac
import re
from typing import Literal
from urllib.parse import quote, unquote, urlencode, urlsplit

from hypothesis import given
from hypothesis import strategies as st
from oauthlib.oauth1 import SIGNATURE_HMAC_SHA1, SIGNATURE_TYPE_AUTH_HEADER, Client
from oauthlib.oauth1.rfc5849 import signature

from flickrhub_executor.adapters.call_signing import authorization, escaped, joined
from flickrhub_executor.models import Credentials

# What can be in UTF-8, and what a form of ours can hold.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["a b", "ä+ß", "%2F", "&=", "~-._", "a=b&c", "☃", "é", "e\u0301", "\u0000", "+", "%", "\r\n"]
)
pairs = st.lists(st.tuples(texts | st.sampled_from(["a", "b"]), texts), max_size=8)
secrets = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
credentials = st.builds(
    Credentials,
    api_key=st.just("key"),
    api_secret=secrets,
    oauth_token=st.just("token"),
    oauth_token_secret=secrets,
)
URLS = (
    "https://api.flickr.com/services/rest",
    "http://127.0.0.1:8080/services/rest/",
    "HTTPS://API.Flickr.com:443/a%20b",
)


def _header_fields(authorization: str) -> dict[str, str]:
    return {name: unquote(value) for name, value in re.findall(r'(\w+)="([^"]*)"', authorization)}


def _plain_reference(method: str, url: str, fields: list[tuple[str, str]], secrets_: tuple[str, str]) -> str:
    """RFC 5849, sections 3.4.1 to 3.4.2, step by step."""

    def escaped(text: str) -> str:
        return quote(text.encode(), safe="~")  # 3.6: unreserved characters only; quote keeps - . _ itself

    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    shown = f":{port}" if port and (parts.scheme, port) not in {("http", 80), ("https", 443)} else ""
    base_url = f"{parts.scheme}://{host}{shown}{parts.path or '/'}"
    encoded = sorted((escaped(name), escaped(value)) for name, value in fields)
    normalised = "&".join(f"{name}={value}" for name, value in encoded)
    base = "&".join((method, escaped(base_url), escaped(normalised)))
    key = "&".join(escaped(secret) for secret in secrets_)
    return base64.b64encode(hmac.new(key.encode(), base.encode(), hashlib.sha1).digest()).decode()


class _Received:
    """A request as oauthlib's verifier reads it."""

    def __init__(self, method: str, uri: str, params: list[tuple[str, str]], given_signature: str) -> None:
        self.http_method, self.uri, self.params, self.signature = method, uri, params, given_signature


def _judge(method: str, url: str, fields: list[tuple[str, str]], authorization: str, of: Credentials) -> None:
    oauth = _header_fields(authorization)
    given_signature = oauth.pop("oauth_signature")
    signed = [*fields, *oauth.items()]
    plain = _plain_reference(method, url, signed, (of.api_secret, of.oauth_token_secret))
    assert given_signature == plain
    received = _Received(method, url, signed, given_signature)
    assert signature.verify_hmac_sha1(received, of.api_secret, of.oauth_token_secret)  # type: ignore[arg-type]
    spoiled = _Received(method, url, [*signed, ("a", "")], given_signature)
    assert not signature.verify_hmac_sha1(spoiled, of.api_secret, of.oauth_token_secret)  # type: ignore[arg-type]


@given(fields=pairs, url=st.sampled_from(URLS), of=credentials, method=st.sampled_from(["GET", "POST"]))
def test_a_call_is_signed_as_every_server_reads_it(
    fields: list[tuple[str, str]], url: str, of: Credentials, method: Literal["GET", "POST"]
) -> None:
    _judge(method, url, fields, authorization(method, url, escaped(fields), of), of)


@given(
    fields=pairs,
    url=st.sampled_from(URLS),
    of=st.builds(Credentials, api_key=secrets, api_secret=secrets, oauth_token=secrets, oauth_token_secret=secrets),
    method=st.sampled_from(["GET", "POST"]),
    nonce=st.text("0123456789", min_size=1),
    timestamp=st.text("0123456789", min_size=1),
)
def test_a_call_s_signature_is_the_very_header_that_oauthlib_s_client_would_send(
    fields: list[tuple[str, str]],
    url: str,
    of: Credentials,
    method: Literal["GET", "POST"],
    nonce: str,
    timestamp: str,
) -> None:
    client = Client(
        of.api_key,
        client_secret=of.api_secret,
        resource_owner_key=of.oauth_token,
        resource_owner_secret=of.oauth_token_secret,
        signature_method=SIGNATURE_HMAC_SHA1,
        signature_type=SIGNATURE_TYPE_AUTH_HEADER,
        nonce=nonce,
        timestamp=timestamp,
    )
    encoded = joined(escaped(fields))
    assert encoded == urlencode(fields, quote_via=quote, safe="~")
    if method == "GET":
        _, headers, _ = client.sign(f"{url}?{encoded}" if encoded else url, "GET")
    else:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        _, headers, _ = client.sign(url, "POST", body=encoded, headers=headers)
    ours = authorization(method, url, escaped(fields), of, nonce=nonce, timestamp=timestamp)
    assert ours == headers["Authorization"]
