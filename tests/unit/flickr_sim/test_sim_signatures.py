"""Signatures: the published vectors, and every place parameters can travel in."""

from urllib.parse import parse_qsl, urlencode

import httpx2
import pytest
from oauthlib.oauth1 import SIGNATURE_TYPE_BODY, SIGNATURE_TYPE_QUERY

from flickr_sim.credentials import App
from flickr_sim.errors import OAuthProblem
from flickr_sim.incoming import Incoming
from flickr_sim.verification import check_signature
from tests.unit.flickr_sim.caller import BASE, FORM, Caller

VECTOR = {
    "oauth_callback": "http://www.wackylabs.net/oauth/test",
    "oauth_consumer_key": "768fe946d252b119746fda82e1599980",
    "oauth_nonce": "C2F26CD5C075BA9050AD8EE90644CF29",
    "oauth_signature_method": "HMAC-SHA1",
    "oauth_timestamp": "1316657628",
    "oauth_version": "1.0",
}
VECTOR_APP = App("768fe946d252b119746fda82e1599980", "1a3c208e172d3edc")


def vector_request(scheme: str, signature: str) -> Incoming:
    oauth = {**VECTOR, "oauth_signature": signature}
    uri = f"{scheme}://www.flickr.com/services/oauth/request_token"
    return Incoming("oauth", "GET", uri, params=list(oauth.items()), oauth=oauth)


@pytest.mark.parametrize(
    ("scheme", "token_secret", "signature"),
    [
        ("http", "", "0fhNGlzpFNAsTme/hDfUb5HPB5U="),
        ("http", "token12345secret", "dXyfrCetFSTpzD3djSrkFhj0MIQ="),
        ("https", "", "C2dT+JtfKMQ/IGjezSsQS/OoeV8="),
        ("https", "token12345secret", "T/3qNk6oh2Yu7KEPCf8GbPsoW58="),
    ],
)
def test_the_published_vectors_are_accepted(scheme: str, token_secret: str, signature: str) -> None:
    check_signature(vector_request(scheme, signature), VECTOR_APP, token_secret)


def test_a_vector_under_the_wrong_token_secret_is_refused_with_the_raw_base_string() -> None:
    with pytest.raises(OAuthProblem) as caught:
        check_signature(vector_request("http", "0fhNGlzpFNAsTme/hDfUb5HPB5U="), VECTOR_APP, "token12345secret")
    assert caught.value.status == 401
    assert caught.value.body == (
        "oauth_problem=signature_invalid&debug_sbs="
        "GET&http%3A%2F%2Fwww.flickr.com%2Fservices%2Foauth%2Frequest_token&"
        "oauth_callback%3Dhttp%253A%252F%252Fwww.wackylabs.net%252Foauth%252Ftest%26"
        "oauth_consumer_key%3D768fe946d252b119746fda82e1599980%26"
        "oauth_nonce%3DC2F26CD5C075BA9050AD8EE90644CF29%26"
        "oauth_signature_method%3DHMAC-SHA1%26oauth_timestamp%3D1316657628%26oauth_version%3D1.0"
    )


AWKWARD = 'Zoë\'s "photo" (1*2)! 100% a+b & c=d ~ 雪\n\ttab'


@pytest.mark.parametrize("path", ["/services/rest/", "/services/rest"])
async def test_a_form_signed_in_the_header_is_accepted_at_both_addresses(world_sim: Caller, path: str) -> None:
    fields = {"method": "flickr.test.echo", "format": "json", "nojsoncallback": "1", "text": AWKWARD}
    answer = await world_sim.signed(path, fields, client=world_sim.client(world_sim.grant()))
    assert answer.json()["text"] == {"_content": AWKWARD}


async def test_a_signature_for_the_address_without_slash_is_wrong_for_the_one_with_it(world_sim: Caller) -> None:
    fields = {"method": "flickr.test.echo"}
    client = world_sim.client(world_sim.grant())
    _, headers, body = client.sign(f"{BASE}/services/rest", "POST", urlencode(fields), {"Content-Type": FORM})
    answer = await world_sim.http.post("/services/rest/", content=body, headers=headers)
    assert answer.status_code == 401
    assert "%2Fservices%2Frest%2F&" in answer.text


async def test_everything_may_travel_in_the_query(world_sim: Caller) -> None:
    client = world_sim.client(world_sim.grant(), signature_type=SIGNATURE_TYPE_QUERY)
    url = f"{BASE}/services/rest/?{urlencode({'method': 'flickr.test.login', 'text': AWKWARD, 'format': 'json'})}"
    answer = await world_sim.http.get(client.sign(url)[0])
    assert answer.text.startswith('jsonFlickrApi({"user"')


async def test_everything_may_travel_in_the_form(world_sim: Caller) -> None:
    client = world_sim.client(world_sim.grant(), signature_type=SIGNATURE_TYPE_BODY)
    form = urlencode({"method": "flickr.test.login", "text": AWKWARD})
    url, headers, body = client.sign(f"{BASE}/services/rest/", "POST", form, {"Content-Type": FORM})
    assert '<rsp stat="ok">' in (await world_sim.http.post(url, headers=headers, content=body)).text


async def test_multipart_text_fields_are_signed_and_the_file_is_not(world_sim: Caller) -> None:
    fields = {"method": "flickr.test.login", "text": AWKWARD}
    client = world_sim.client(world_sim.grant())
    photo = ("p.jpg", b"\xff\xd8 not signed", "image/jpeg")

    async def send(sent: dict[str, str]) -> httpx2.Response:
        url, headers, _ = client.sign(f"{BASE}/services/rest/", "POST", urlencode(fields), {"Content-Type": FORM})
        only_header = {"Authorization": headers["Authorization"]}
        return await world_sim.http.post(url, headers=only_header, data=sent, files={"photo": photo})

    assert '<rsp stat="ok">' in (await send(fields)).text
    answer = await send({**fields, "text": "something else"})
    assert answer.status_code == 401
    assert answer.text.startswith("oauth_problem=signature_invalid&debug_sbs=POST&")


async def test_multipart_may_carry_the_oauth_parameters_too(world_sim: Caller) -> None:
    client = world_sim.client(world_sim.grant(), signature_type=SIGNATURE_TYPE_BODY)
    form = urlencode({"method": "flickr.test.login", "text": AWKWARD})
    url, _, body = client.sign(f"{BASE}/services/rest/", "POST", form, {"Content-Type": FORM})
    assert isinstance(body, str)
    parts = {name: (None, value) for name, value in parse_qsl(body)}
    assert '<rsp stat="ok">' in (await world_sim.http.post(url, files=parts)).text


async def test_a_callback_beside_the_header_counts_as_one_request(world_sim: Caller) -> None:
    """flickrapi sends oauth_callback in the form and the rest in the header; flickypedia sends it in the query."""
    for verb in ("GET", "POST"):
        fields = {"oauth_callback": "oob"}
        answer = await world_sim.signed("/services/oauth/request_token", fields, client=world_sim.client(), verb=verb)
        assert answer.status_code == 200, answer.text


async def test_one_changed_letter_makes_the_signature_invalid(world_sim: Caller) -> None:
    client = world_sim.client(world_sim.grant())
    form = urlencode({"method": "flickr.test.login"})
    url, headers, body = client.sign(f"{BASE}/services/rest/", "POST", form, {"Content-Type": FORM})
    tampered = str(body).replace("login", "logim")
    answer = await world_sim.http.post(url, headers=headers, content=tampered)
    assert (answer.status_code, answer.headers["content-type"]) == (401, "text/plain;charset=UTF-8")
    assert "method%3Dflickr.test.logim" in answer.text
    assert "oauth_signature%3D" not in answer.text
