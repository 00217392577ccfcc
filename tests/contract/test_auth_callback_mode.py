"""Contract, section 2: callback mode, with a hub of its own that asks for it."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from tests.support.envelopes import failure, success
from tests.support.flickrhub_client import FlickrHub
from tests.support.own_hub import OwnHub, own_hub
from tests.support.simulator import FlickrApp, Simulator

CALLBACK = "/api/v1/auth/callback"


@pytest.fixture(scope="module")
async def asking(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OwnHub]:
    settings = {"OAUTH_MODE": "callback", "CALLBACK_URL": "{gateway}" + CALLBACK, "FLICKR_PERMS": "delete"}
    async with own_hub(settings, logs=tmp_path_factory.mktemp("callback-mode"), redis_db=11) as running:
        yield running


@pytest.fixture
def client(asking: OwnHub) -> FlickrHub:
    return asking.client


async def redirected(client: FlickrHub, data: dict[str, Any]) -> str:
    """Press the button; where the browser is sent."""
    reply = await client.http.post(data["authorize_url"], follow_redirects=False)
    assert reply.status_code == httpx2.codes.FOUND
    return str(reply.headers["location"])


async def test_start_says_callback_and_asks_for_the_configured_perms(client: FlickrHub, app: FlickrApp) -> None:
    data = success(await client.start(app.api_key, app.api_secret))
    assert data["mode"] == "callback"
    assert parse_qs(urlsplit(data["authorize_url"]).query)["perms"] == ["delete"]


async def test_the_browser_comes_back_to_the_gateway_which_answers_ok(client: FlickrHub, app: FlickrApp) -> None:
    data = success(await client.start(app.api_key, app.api_secret))
    target = await redirected(client, data)
    assert target.startswith(str(client.http.base_url).rstrip("/") + CALLBACK + "?")
    reply = await client.http.get(target)
    done = success(reply)
    assert set(done) == {"status", "user_id"}
    assert done["status"] == "ok"
    assert {name: reply.json()[name] for name in done} == done
    assert (await client.enqueue(method="flickr.test.echo", user_id=done["user_id"])).status_code == 202


async def test_the_same_visit_twice_is_refused(client: FlickrHub, app: FlickrApp) -> None:
    target = await redirected(client, success(await client.start(app.api_key, app.api_secret)))
    success(await client.http.get(target))
    failure(await client.http.get(target), 400, "ERR_INVALID_STATE")


async def test_a_wrong_verifier_is_refused(client: FlickrHub, app: FlickrApp) -> None:
    data = success(await client.start(app.api_key, app.api_secret))
    await redirected(client, data)
    query = {"oauth_token": data["oauth_token"], "oauth_verifier": "0123456789abcdef"}
    failure(await client.http.get(CALLBACK, params=query), 400, "ERR_INVALID_STATE")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "oauth_token"),
        ({"oauth_token": "t"}, "oauth_verifier"),
        ({"oauth_verifier": "v"}, "oauth_token"),
        ({"oauth_token": "", "oauth_verifier": "v"}, "oauth_token"),
        ({"oauth_token": "t" * 5000, "oauth_verifier": "v"}, "oauth_token"),
        ({"oauth_token": "t\0", "oauth_verifier": "v"}, "oauth_token"),
    ],
)
async def test_a_query_without_its_two_fields_is_refused(client: FlickrHub, query: dict[str, str], field: str) -> None:
    error = failure(await client.http.get(CALLBACK, params=query), 400, "ERR_INVALID_REQUEST")
    assert any(sentence.startswith(field) for sentence in error["details"]), error


async def test_the_verifier_may_also_be_posted_to_complete(client: FlickrHub, app: FlickrApp, sim: Simulator) -> None:
    data = success(await client.start(app.api_key, app.api_secret))
    query = parse_qs(urlsplit(await redirected(client, data)).query)
    reply = await client.complete(query["oauth_token"][0], query["oauth_verifier"][0], state=data["state"])
    assert set(success(reply)) == {"user_id"}


async def test_the_callback_works_in_oob_mode_too(hub: FlickrHub, app: FlickrApp) -> None:
    data = success(await hub.start(app.api_key, app.api_secret))
    query = {"oauth_token": data["oauth_token"], "oauth_verifier": await hub.approve(data["authorize_url"])}
    assert success(await hub.http.get(CALLBACK, params=query))["status"] == "ok"


async def test_no_verifier_stands_in_a_log(asking: OwnHub, app: FlickrApp) -> None:
    target = await redirected(asking.client, success(await asking.client.start(app.api_key, app.api_secret)))
    success(await asking.client.http.get(target))
    query = parse_qs(urlsplit(target).query)
    for process in asking.processes:
        log = asking.log(process)
        assert log, f"{process} wrote nothing"
        for secret in (query["oauth_verifier"][0], query["oauth_token"][0], app.api_secret):
            assert secret not in log, process
