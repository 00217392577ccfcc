"""The OAuth walk: success bodies byte for byte, and every failure in its order."""

import re
import time
from urllib.parse import parse_qsl, urlsplit

import pytest
from oauthlib.oauth1 import SIGNATURE_HMAC_SHA256

from flickr_sim.credentials import REQUEST_TOKEN_LIFETIME_SECONDS
from tests.unit.flickr_sim.caller import BASE, Caller, parsed, verifier_in

OAUTH_TEXT = "text/plain;charset=UTF-8"


async def test_a_request_token_comes_in_flickrs_form(world_sim: Caller) -> None:
    answer = await world_sim.signed("/services/oauth/request_token", {}, client=world_sim.client(callback_uri="oob"))
    assert (answer.status_code, answer.headers["content-type"]) == (200, OAUTH_TEXT)
    form = r"oauth_callback_confirmed=true&oauth_token=\d{17}-[0-9a-f]{16}&oauth_token_secret=[0-9a-f]{16}"
    assert re.fullmatch(form, answer.text)


async def test_the_whole_oob_walk_ends_with_a_token_that_works(sim: Caller) -> None:
    token, page = await sim.approved()
    client = sim.client(
        resource_owner_key=token["oauth_token"],
        resource_owner_secret=token["oauth_token_secret"],
        verifier=verifier_in(page),
    )
    answer = await sim.signed("/services/oauth/access_token", {}, client=client)
    assert (answer.status_code, answer.headers["content-type"]) == (200, OAUTH_TEXT)
    form = (
        r"fullname=Ada%20Harbour&oauth_token=\d{17}-[0-9a-f]{16}&oauth_token_secret=[0-9a-f]{16}"
        r"&user_nsid=101234567%40N02&username=ada\.harbour"
    )
    assert re.fullmatch(form, answer.text)
    granted = sim.simulator.credentials.access_tokens[parsed(answer.text)["oauth_token"]]
    assert (await sim.ok("flickr.test.login", granted))["user"]["id"] == "101234567@N02"


async def test_a_callback_gets_the_verifier_by_redirect(sim: Caller) -> None:
    token, answer = await sim.approved("http://localhost:9/back?state=a%20b")
    assert answer.status_code == 302
    target = urlsplit(answer.headers["location"])
    query = dict(parse_qsl(target.query))
    assert answer.headers["location"].startswith("http://localhost:9/back?state=a%20b&oauth_token=")
    assert query["oauth_token"] == token["oauth_token"]
    assert re.fullmatch(r"[0-9a-f]{16}", query["oauth_verifier"])


@pytest.mark.parametrize("account", ["zoë&friends", "lamplighter"])
async def test_the_approving_account_can_be_chosen_and_its_names_are_encoded(sim: Caller, account: str) -> None:
    token, page = await sim.approved(account=account)
    client = sim.client(
        resource_owner_key=token["oauth_token"],
        resource_owner_secret=token["oauth_token_secret"],
        verifier=verifier_in(page),
    )
    answer = await sim.signed("/services/oauth/access_token", {}, client=client, verb="GET")
    person = sim.simulator.world.person(account)
    assert person is not None
    assert "+" not in answer.text
    assert parsed(answer.text)["username"] == account
    assert (parsed(answer.text)["user_nsid"], parsed(answer.text)["fullname"]) == (person.nsid, person.realname)


async def test_the_page_offers_a_button_and_every_account_escaped(sim: Caller) -> None:
    client = sim.client(callback_uri="oob")
    token = parsed((await sim.signed("/services/oauth/request_token", {}, client=client)).text)["oauth_token"]
    page = await sim.http.get(f"/services/oauth/authorize?oauth_token={token}&perms=read")
    assert page.status_code == 200
    assert '<form method="post"' in page.text
    assert page.text.count("<option") == len(sim.simulator.world.people)
    assert "<tagsoup>" not in page.text


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("perms=read", 'Oops! Flickr doesn\'t recognise the "oauth_token"'),
        ("oauth_token=1-2&perms=read", 'Oops! Flickr doesn\'t recognise the "oauth_token"'),
        ("oauth_token={token}", "Oops! Flickr doesn't recognise the permission set."),
        ("oauth_token={token}&perms=admin", "Oops! Flickr doesn't recognise the permission set."),
    ],
)
async def test_a_bad_authorize_address_shows_flickrs_oops(sim: Caller, query: str, sentence: str) -> None:
    client = sim.client(callback_uri="oob")
    token = parsed((await sim.signed("/services/oauth/request_token", {}, client=client)).text)["oauth_token"]
    page = await sim.http.get("/services/oauth/authorize?" + query.format(token=token))
    assert page.status_code == 400
    assert sentence in page.text


async def test_a_request_token_is_used_up_by_its_access_token(sim: Caller) -> None:
    token, page = await sim.approved()
    client = sim.client(
        resource_owner_key=token["oauth_token"],
        resource_owner_secret=token["oauth_token_secret"],
        verifier=verifier_in(page),
    )
    assert (await sim.signed("/services/oauth/access_token", {}, client=client)).status_code == 200
    again = await sim.signed("/services/oauth/access_token", {}, client=client)
    assert (again.status_code, again.text) == (401, "oauth_problem=token_rejected")


@pytest.mark.parametrize("spoilt", ["verifier", "approval", "age", "app"])
async def test_a_request_token_is_rejected(sim: Caller, spoilt: str) -> None:
    """For a wrong verifier, without approval, when it is too old, and when it belongs to another app."""
    client = sim.client(callback_uri="oob")
    token = parsed((await sim.signed("/services/oauth/request_token", {}, client=client)).text)
    verifier = "123-456-789"
    if spoilt != "approval":
        form = {"oauth_token": token["oauth_token"], "perms": "read"}
        shown = verifier_in(await sim.http.post("/services/oauth/authorize", data=form))
        verifier = "000-000-000" if spoilt == "verifier" else shown
    if spoilt == "age":
        sim.clock.moved = REQUEST_TOKEN_LIFETIME_SECONDS + 1
        stamp = str(int(sim.clock()))
        client = sim.client(callback_uri="oob", timestamp=stamp)
        await sim.signed("/services/oauth/request_token", {}, client=client)
    if spoilt == "app":
        await sim.http.post("/_sim/apps", json={"api_key": "ab" * 16, "api_secret": "cd" * 8})
        sim.key, sim.secret = "ab" * 16, "cd" * 8
    client = sim.client(
        resource_owner_key=token["oauth_token"],
        resource_owner_secret=token["oauth_token_secret"],
        verifier=verifier,
        timestamp=str(int(sim.clock())),
    )
    answer = await sim.signed("/services/oauth/access_token", {}, client=client)
    assert (answer.status_code, answer.text) == (401, "oauth_problem=token_rejected")


async def test_a_callback_that_is_no_url_is_refused(world_sim: Caller) -> None:
    client = world_sim.client(callback_uri="test")
    answer = await world_sim.signed("/services/oauth/request_token", {}, client=client)
    assert answer.status_code == 400
    assert answer.text == "oauth_problem=parameter_rejected&oauth_parameters_rejected=oauth_callback"


async def test_absent_parameters_are_named_and_joined_by_an_escaped_ampersand(world_sim: Caller) -> None:
    query = f"oauth_consumer_key={world_sim.key}&oauth_signature=x&oauth_callback=oob"
    answer = await world_sim.http.get("/services/oauth/request_token?" + query)
    assert (answer.status_code, answer.headers["content-type"]) == (400, OAUTH_TEXT)
    assert answer.text == (
        "oauth_problem=parameter_absent&oauth_parameters_absent=oauth_signature_method%26oauth_nonce%26oauth_timestamp"
    )


async def test_a_request_token_needs_a_callback(world_sim: Caller) -> None:
    answer = await world_sim.signed("/services/oauth/request_token", {}, client=world_sim.client())
    assert (answer.status_code, answer.text) == (
        400,
        "oauth_problem=parameter_absent&oauth_parameters_absent=oauth_callback",
    )


async def test_rest_with_oauth_parameters_needs_a_token(world_sim: Caller) -> None:
    fields = {"method": "flickr.test.echo", "format": "json"}
    answer = await world_sim.signed("/services/rest/", fields, client=world_sim.client())
    assert (answer.status_code, answer.text) == (
        400,
        "oauth_problem=parameter_absent&oauth_parameters_absent=oauth_token",
    )


WRONG_IN_ORDER = ["absent", "key", "method", "timestamp", "nonce", "token", "signature"]
ANSWERS_IN_ORDER = [
    (400, "oauth_problem=parameter_absent&oauth_parameters_absent=oauth_nonce"),
    (401, "oauth_problem=consumer_key_unknown"),
    (400, "oauth_problem=signature_method_rejected"),
    (401, "oauth_problem=timestamp_refused"),
    (401, "oauth_problem=nonce_used"),
    (200, "Invalid auth token"),
    (401, "oauth_problem=signature_invalid&debug_sbs=GET&http%3A%2F%2Fsim.test%2Fservices%2Frest%2F&"),
]


@pytest.mark.parametrize("first", range(len(WRONG_IN_ORDER)))
async def test_of_several_faults_the_first_in_order_is_answered(world_sim: Caller, first: int) -> None:
    """The call is wrong in every way from `first` on, and the answer names only that one."""
    wrong = set(WRONG_IN_ORDER[first:])
    token = world_sim.grant()
    nonce = f"once-{first}"
    client = world_sim.client(token, nonce=nonce)
    used = await world_sim.signed("/services/rest/", {"method": "flickr.test.null"}, client=client, verb="GET")
    assert used.status_code == 200
    params = {
        "oauth_consumer_key": "0" * 32 if "key" in wrong else world_sim.key,
        "oauth_signature_method": "PLAINTEXT" if "method" in wrong else "HMAC-SHA1",
        "oauth_timestamp": "1" if "timestamp" in wrong else timestamp_of(used.request.headers["authorization"]),
        "oauth_nonce": nonce if "nonce" in wrong else "fresh-" + nonce,
        # A nonce is used up for its token, so a call can't be wrong in both ways.
        "oauth_token": "dead" if "token" in wrong and "nonce" not in wrong else token.token,
        "oauth_signature": "d3Jvbmc=",
        "method": "flickr.test.null",
    }
    if "absent" in wrong:
        del params["oauth_nonce"]
    answer = await world_sim.http.get("/services/rest/", params=params)
    status, text = ANSWERS_IN_ORDER[first]
    assert answer.status_code == status
    assert text in answer.text


def timestamp_of(header: str) -> str:
    found = re.search(r'oauth_timestamp="(\d+)"', header)
    assert found is not None
    return found[1]


async def test_a_nonce_spoilt_by_a_forger_is_still_good_for_its_owner(world_sim: Caller) -> None:
    client = world_sim.client(world_sim.grant(), nonce="mine", timestamp=str(int(time.time())))
    url, headers, _ = client.sign(f"{BASE}/services/rest/?method=flickr.test.null")
    forged = headers["Authorization"].replace('oauth_signature="', 'oauth_signature="x')
    assert (await world_sim.http.get(url, headers={"Authorization": forged})).status_code == 401
    assert (await world_sim.http.get(url, headers=headers)).status_code == 200
    assert (await world_sim.http.get(url, headers=headers)).text == "oauth_problem=nonce_used"


@pytest.mark.parametrize("skew", [-601, 601])
async def test_a_clock_ten_minutes_off_is_refused(world_sim: Caller, skew: int) -> None:
    client = world_sim.client(world_sim.grant(), timestamp=str(int(time.time()) + skew + (1 if skew > 0 else -1)))
    answer = await world_sim.signed("/services/rest/", {"method": "flickr.test.null"}, client=client)
    assert (answer.status_code, answer.text) == (401, "oauth_problem=timestamp_refused")


async def test_a_clock_nine_minutes_off_is_taken(world_sim: Caller) -> None:
    client = world_sim.client(world_sim.grant(), timestamp=str(int(time.time()) - 540))
    answer = await world_sim.signed("/services/rest/", {"method": "flickr.test.null"}, client=client)
    assert answer.status_code == 200


@pytest.mark.parametrize("stamp", ["", "soon", "-1", "1e9", "\uff19" * 10, "9" * 400])
async def test_a_timestamp_that_is_none_is_refused(world_sim: Caller, stamp: str) -> None:
    token = world_sim.grant()
    params = {
        "oauth_consumer_key": world_sim.key,
        "oauth_signature_method": "HMAC-SHA1",
        "oauth_timestamp": stamp,
        "oauth_nonce": "n",
        "oauth_token": token.token,
        "oauth_signature": "x",
    }
    answer = await world_sim.http.get("/services/rest/", params=params)
    assert (answer.status_code, answer.text) == (401, "oauth_problem=timestamp_refused")


async def test_only_hmac_sha1_is_taken(world_sim: Caller) -> None:
    client = world_sim.client(world_sim.grant(), signature_method=SIGNATURE_HMAC_SHA256)
    answer = await world_sim.signed("/services/rest/", {"method": "flickr.test.null"}, client=client)
    assert (answer.status_code, answer.text) == (400, "oauth_problem=signature_method_rejected")


@pytest.mark.parametrize("header", ["OAuth", "oauth", "OAuth nonsense", 'OAuth realm="x"', "OAuth ,,,="])
async def test_a_header_without_parameters_lacks_them_all(world_sim: Caller, header: str) -> None:
    answer = await world_sim.http.get("/services/rest/?method=flickr.test.null", headers={"Authorization": header})
    assert answer.status_code == 400
    assert "oauth_parameters_absent=oauth_consumer_key%26" in answer.text


async def test_another_scheme_of_authorization_is_nobodys_business(world_sim: Caller) -> None:
    answer = await world_sim.http.get(
        f"/services/rest/?method=flickr.test.echo&api_key={world_sim.key}", headers={"Authorization": "Basic eDp5"}
    )
    assert '<rsp stat="ok">' in answer.text
