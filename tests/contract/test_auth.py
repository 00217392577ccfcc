"""Contract, section 2: connecting an account (the out-of-band walk; callback mode has a file of its own)."""

import asyncio
import hashlib
import re
import uuid
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from flickrhub_common.mongo import Database
from flickrhub_common.redis import make_redis
from flickrhub_common.settings import RedisSettings
from tests.support.envelopes import failure, success
from tests.support.flickrhub_client import FlickrHub
from tests.support.hub_account import Connect
from tests.support.run_env import needed
from tests.support.simulator import PEOPLE, FlickrApp, Simulator

START_FIELDS = {"authorize_url", "oauth_token", "state", "mode"}


@pytest.fixture
async def redis() -> AsyncIterator[Redis]:
    client = make_redis(RedisSettings(redis_url=SecretStr(needed("REDIS_URL"))), max_connections=2)
    yield client
    await client.aclose()


async def started(hub: FlickrHub, app: FlickrApp) -> dict[str, Any]:
    return success(await hub.start(app.api_key, app.api_secret))


async def test_start_carries_its_fields_at_the_top_and_under_data(hub: FlickrHub, app: FlickrApp) -> None:
    reply = await hub.start(app.api_key, app.api_secret)
    data = success(reply)
    assert set(data) == START_FIELDS
    body = reply.json()
    assert {name: body[name] for name in START_FIELDS} == data
    assert set(body) == START_FIELDS | {"request_id", "data", "error"}
    assert data["mode"] == "oob"


async def test_the_authorize_url_names_the_token_and_asks_for_write(hub: FlickrHub, app: FlickrApp) -> None:
    data = await started(hub, app)
    query = parse_qs(urlsplit(data["authorize_url"]).query)
    assert query["oauth_token"] == [data["oauth_token"]]
    assert query["perms"] == ["write"]


async def test_the_authorize_page_is_for_people(hub: FlickrHub, app: FlickrApp) -> None:
    data = await started(hub, app)
    page = (await hub.http.get(data["authorize_url"])).raise_for_status().text
    assert app.api_key in page
    assert "<button" in page
    assert re.fullmatch(r"\d{3}-\d{3}-\d{3}", await hub.approve(data["authorize_url"]))


@pytest.mark.parametrize("with_state", [True, False])
async def test_complete_answers_a_user_id_at_the_top_and_under_data(
    hub: FlickrHub, app: FlickrApp, *, with_state: bool
) -> None:
    data = await started(hub, app)
    verifier = await hub.approve(data["authorize_url"])
    more = {"state": data["state"]} if with_state else {}
    reply = await hub.complete(data["oauth_token"], verifier, **more)
    completed = success(reply)
    assert set(completed) == {"user_id"}
    assert str(uuid.UUID(completed["user_id"])) == completed["user_id"]
    assert reply.json()["user_id"] == completed["user_id"]
    assert set(reply.json()) == {"user_id", "request_id", "data", "error"}


async def test_a_failed_auth_call_carries_nothing_at_the_top(hub: FlickrHub) -> None:
    failure(await hub.start("", "x"), 400, "ERR_INVALID_REQUEST")
    failure(await hub.complete("", "x"), 400, "ERR_INVALID_REQUEST")


async def test_a_wrong_verifier_is_refused_and_the_right_one_still_works(hub: FlickrHub, app: FlickrApp) -> None:
    data = await started(hub, app)
    verifier = await hub.approve(data["authorize_url"])
    failure(await hub.complete(data["oauth_token"], "000-000-000"), 400, "ERR_INVALID_STATE")
    success(await hub.complete(data["oauth_token"], verifier))


async def test_completing_before_the_button_was_pressed_is_refused(hub: FlickrHub, app: FlickrApp) -> None:
    data = await started(hub, app)
    failure(await hub.complete(data["oauth_token"], "123-456-789"), 400, "ERR_INVALID_STATE")


async def test_a_used_verifier_is_refused(hub: FlickrHub, app: FlickrApp) -> None:
    data = await started(hub, app)
    verifier = await hub.approve(data["authorize_url"])
    success(await hub.complete(data["oauth_token"], verifier))
    failure(await hub.complete(data["oauth_token"], verifier), 400, "ERR_INVALID_STATE")
    failure(await hub.complete(data["oauth_token"], verifier, state=data["state"]), 400, "ERR_INVALID_STATE")


async def test_a_state_that_is_sent_must_match(hub: FlickrHub, app: FlickrApp) -> None:
    data = await started(hub, app)
    verifier = await hub.approve(data["authorize_url"])
    wrong = await hub.complete(data["oauth_token"], verifier, state=data["state"] + "x")
    failure(wrong, 400, "ERR_INVALID_STATE")
    success(await hub.complete(data["oauth_token"], verifier, state=data["state"]))


async def test_the_state_of_another_walk_does_not_match(hub: FlickrHub, app: FlickrApp) -> None:
    first, second = await started(hub, app), await started(hub, app)
    assert first["state"] != second["state"]
    verifier = await hub.approve(first["authorize_url"])
    reply = await hub.complete(first["oauth_token"], verifier, state=second["state"])
    failure(reply, 400, "ERR_INVALID_STATE")


async def test_of_parallel_completes_one_gets_the_user_and_the_others_a_400(hub: FlickrHub, app: FlickrApp) -> None:
    for count in (2, 6):
        data = await started(hub, app)
        verifier = await hub.approve(data["authorize_url"])
        replies = await asyncio.gather(*(hub.complete(data["oauth_token"], verifier) for _ in range(count)))
        assert sorted(reply.status_code for reply in replies) == [200] + [400] * (count - 1)
        for reply in replies:
            if reply.status_code != 200:
                failure(reply, 400, "ERR_INVALID_STATE")


async def test_a_walk_is_open_for_ten_minutes_and_not_longer(hub: FlickrHub, app: FlickrApp, redis: Redis) -> None:
    data = await started(hub, app)
    key = f"oauth:request:{hashlib.sha256(data['oauth_token'].encode()).hexdigest()}"
    assert 590 <= await redis.ttl(key) <= 600
    verifier = await hub.approve(data["authorize_url"])
    await redis.expire(key, 0)  # ten minutes go by
    failure(await hub.complete(data["oauth_token"], verifier), 400, "ERR_INVALID_STATE")


async def test_nothing_of_a_walk_lies_open_in_redis(hub: FlickrHub, app: FlickrApp, redis: Redis) -> None:
    data = await started(hub, app)
    key = f"oauth:request:{hashlib.sha256(data['oauth_token'].encode()).hexdigest()}"
    stored = str(await redis.hgetall(key))
    for secret in (app.api_secret, data["state"], data["oauth_token"]):
        assert secret not in stored


async def test_the_same_account_keeps_its_user_id_and_gets_a_new_token(
    connect: Connect, app: FlickrApp, sim: Simulator
) -> None:
    first = await connect(app)
    await first.run(params={"round": 1})
    second = await connect(app)
    assert second.user_id == first.user_id
    await second.run(params={"round": 2})
    tokens = [call["oauth_token"] for call in await sim.calls(app, "flickr.test.echo")]
    assert len(set(tokens)) == 2, "the second job was signed with the token that had been replaced"


async def test_another_account_or_another_app_is_another_user(connect: Connect, app: FlickrApp) -> None:
    users = [
        (await connect(app)).user_id,
        (await connect(app, person=2)).user_id,
        (await connect()).user_id,
    ]
    assert len(set(users)) == 3


@pytest.mark.parametrize("person", range(0, len(PEOPLE), 5))
async def test_the_job_runs_for_the_account_that_authorised(connect: Connect, person: int) -> None:
    account = await connect(person=person)
    ended = await account.run("flickr.test.login")
    assert ended["returnvalue"]["flickr"]["user"]["username"]["_content"] == account.name


async def test_no_secret_lies_open_in_the_database(
    hub: FlickrHub, app: FlickrApp, database: Database, connect: Connect, sim: Simulator
) -> None:
    account = await connect(app)
    await account.run()
    stored = [token async for token in database["tokens"].find({})]
    assert any(account.user_id in str(token) for token in stored)
    (call,) = await sim.calls(app)
    for secret in (app.api_secret, call["oauth_token"]):
        assert not any(secret in str(token) for token in stored)


async def test_an_unknown_app_and_a_wrong_secret_are_refused(hub: FlickrHub, app: FlickrApp) -> None:
    failure(await hub.start("0" * 32, app.api_secret), 400, "ERR_INVALID_REQUEST")
    failure(await hub.start(app.api_key, "0" * 16), 400, "ERR_INVALID_REQUEST")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "api_key"),
        ({"api_key": "k"}, "api_secret"),
        ({"api_secret": "s"}, "api_key"),
        ({"api_key": 1, "api_secret": "s"}, "api_key"),
        ({"api_key": None, "api_secret": "s"}, "api_key"),
        ({"api_key": "k", "api_secret": ["s"]}, "api_secret"),
        ({"api_key": "", "api_secret": "s"}, "api_key"),
        ({"api_key": "k" * 5000, "api_secret": "s"}, "api_key"),
        ({"api_key": "k", "api_secret": "s" * 5000}, "api_secret"),
        ({"api_key": "k", "api_secret": "s", "colour": "red"}, "colour"),
    ],
)
async def test_start_names_the_wrong_field(hub: FlickrHub, body: dict[str, Any], field: str) -> None:
    error = failure(await hub.post("/api/v1/auth/start", body), 400, "ERR_INVALID_REQUEST")
    assert any(sentence.startswith(field) for sentence in error["details"]), error


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "oauth_token"),
        ({"oauth_token": "t"}, "oauth_verifier"),
        ({"oauth_verifier": "v"}, "oauth_token"),
        ({"oauth_token": {"a": 1}, "oauth_verifier": "v"}, "oauth_token"),
        ({"oauth_token": "t", "oauth_verifier": 123456789}, "oauth_verifier"),
        ({"oauth_token": "t", "oauth_verifier": "v", "state": 7}, "state"),
        ({"oauth_token": "t" * 5000, "oauth_verifier": "v"}, "oauth_token"),
        ({"oauth_token": "t", "oauth_verifier": "v", "extra": 1}, "extra"),
    ],
)
async def test_complete_names_the_wrong_field(hub: FlickrHub, body: dict[str, Any], field: str) -> None:
    error = failure(await hub.post("/api/v1/auth/complete", body), 400, "ERR_INVALID_REQUEST")
    assert any(sentence.startswith(field) for sentence in error["details"]), error


async def test_a_secret_in_a_wrong_field_is_never_repeated(hub: FlickrHub) -> None:
    reply = await hub.post("/api/v1/auth/start", {"api_key": "k", "api_secret": ["tell-nobody"]})
    assert "tell-nobody" not in reply.text
