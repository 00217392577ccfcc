"""Connecting accounts on the simulator: the whole walk, its races and its failures."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from redis.asyncio import Redis

from flickrhub_auth.models import Mode
from flickrhub_auth.settings import AuthSettings
from flickrhub_common.contracts import TokenReplaced
from flickrhub_common.mongo import make_mongo
from flickrhub_common.redis import make_redis
from tests.integration.auth.parts import Auth, Ear, agree, call, connect, running_auth, start, verifier
from tests.support.simulator import FlickrApp, Simulator

ACCESS_TOKEN = {"kind": "oauth", "method": "access_token"}


async def test_a_connected_accounts_token_signs_calls_that_flickr_takes(
    auth: Auth, app: FlickrApp, sim: Simulator
) -> None:
    started = await start(auth, app)
    assert started.data["mode"] == "oob"
    assert parse_qs(urlsplit(started.data["authorize_url"]).query)["perms"] == ["write"]
    code = await verifier(started, account="lamplighter")
    connected = await auth.complete(started.data["oauth_token"], code, state=started.data["state"])
    user_id = connected.data["user_id"]
    assert str(uuid.UUID(user_id)) == user_id
    assert (await auth.find(user_id)).data == {"user_id": user_id}
    lent = (await auth.lend(user_id)).data
    assert (lent["user_id"], lent["api_key"], lent["perms"]) == (user_id, app.api_key, "write")
    answer = await call(sim, lent, "flickr.test.login")
    assert answer["user"]["username"]["_content"] == "lamplighter"  # type: ignore[index]
    assert answer["user"]["id"] == lent["nsid"]  # type: ignore[index]


async def test_the_perms_asked_for_are_those_of_the_settings(settings: AuthSettings, app: FlickrApp) -> None:
    async with running_auth(settings.model_copy(update={"flickr_perms": "read"})) as auth:
        assert (await auth.lend(await connect(auth, app))).data["perms"] == "read"


async def test_in_callback_mode_flickr_sends_the_browser_to_the_callback(
    settings: AuthSettings, app: FlickrApp
) -> None:
    url = "https://hub.test/api/v1/auth/callback"
    async with running_auth(settings.model_copy(update={"oauth_mode": Mode.CALLBACK, "callback_url": url})) as auth:
        started = await start(auth, app)
        assert started.data["mode"] == "callback"
        sent_on = await agree(started)
        target = urlsplit(sent_on.headers["Location"])
        assert f"{target.scheme}://{target.netloc}{target.path}" == url
        query = dict(httpx2.QueryParams(target.query))
        assert (await auth.complete(query["oauth_token"], query["oauth_verifier"])).data["user_id"]


async def test_callback_mode_without_a_callback_url_is_oob(settings: AuthSettings, app: FlickrApp) -> None:
    async with running_auth(settings.model_copy(update={"oauth_mode": Mode.CALLBACK})) as auth:
        assert (await start(auth, app)).data["mode"] == "oob"


async def test_of_many_completes_at_once_one_wins_and_the_others_never_reach_flickr(
    auth: Auth, app: FlickrApp, sim: Simulator
) -> None:
    started = await start(auth, app)
    code = await verifier(started)
    await sim.order(ACCESS_TOKEN, latency_ms=500)  # long enough for all to be under way together
    replies = await asyncio.gather(*(auth.complete(started.data["oauth_token"], code) for _ in range(8)))
    assert sorted(reply.status for reply in replies) == [200] + [400] * 7
    assert {reply.failure for reply in replies if reply.status == 400} == {(400, "ERR_INVALID_STATE")}
    asked = [call["method"] for call in await sim.calls(app, kind="oauth")]
    assert asked.count("access_token") == 1


async def test_a_used_start_stays_used(auth: Auth, app: FlickrApp) -> None:
    started = await start(auth, app)
    code = await verifier(started)
    assert (await auth.complete(started.data["oauth_token"], code)).status == 200
    assert (await auth.complete(started.data["oauth_token"], code)).failure == (400, "ERR_INVALID_STATE")


async def test_the_same_account_connected_many_times_at_once_is_one_user(
    auth: Auth, app: FlickrApp, settings: AuthSettings
) -> None:
    user_ids = await asyncio.gather(*(connect(auth, app) for _ in range(6)))
    assert len(set(user_ids)) == 1
    async with make_mongo(settings, service="test") as mongo:
        assert await mongo[settings.mongo_db]["tokens"].count_documents({}) == 1


async def test_connecting_anew_keeps_the_user_id_and_replaces_the_token(
    auth: Auth, app: FlickrApp, ear: Ear, sim: Simulator
) -> None:
    first = await connect(auth, app)
    old = (await auth.lend(first)).data
    assert await connect(auth, app) == first
    new = (await auth.lend(first)).data
    assert new["fingerprint"] != old["fingerprint"]
    assert (await call(sim, new, "flickr.test.login"))["stat"] == "ok"
    (event,) = await ear.hears(1)
    assert isinstance(event, TokenReplaced)
    assert event.user_id == first


async def test_other_accounts_and_other_apps_are_other_users(auth: Auth, app: FlickrApp, sim: Simulator) -> None:
    other_app = await sim.new_app()
    user_ids = {
        await connect(auth, app),
        await connect(auth, app, account="lamplighter"),
        await connect(auth, other_app),
    }
    assert len(user_ids) == 3


async def test_a_mistyped_verifier_is_refused_and_can_be_corrected(auth: Auth, app: FlickrApp) -> None:
    started = await start(auth, app)
    token = started.data["oauth_token"]
    code = await verifier(started)
    for wrong in ("000-000-000", "x", code + "0"):
        assert (await auth.complete(token, wrong)).failure == (400, "ERR_INVALID_STATE")
    assert (await auth.complete(token, code)).status == 200


async def test_a_wrong_state_is_refused_and_burns_nothing(auth: Auth, app: FlickrApp, sim: Simulator) -> None:
    started = await start(auth, app)
    token, state = started.data["oauth_token"], started.data["state"]
    code = await verifier(started)
    assert (await auth.complete(token, code, state=state[:-1] + "?")).failure == (400, "ERR_INVALID_STATE")
    assert (await auth.complete(token, code, state="")).failure == (400, "ERR_INVALID_STATE")
    assert not [one for one in await sim.calls(app, kind="oauth") if one["method"] == "access_token"]
    assert (await auth.complete(token, code, state=state)).status == 200


async def test_a_token_nobody_started_with_is_refused(auth: Auth) -> None:
    assert (await auth.complete("72157720902560356-b280a7d3716a97e2", "1")).failure == (400, "ERR_INVALID_STATE")


async def test_what_the_user_has_not_agreed_to_is_refused(auth: Auth, app: FlickrApp) -> None:
    started = await start(auth, app)
    assert (await auth.complete(started.data["oauth_token"], "1")).failure == (400, "ERR_INVALID_STATE")


@pytest.fixture
async def redis(settings: AuthSettings) -> AsyncIterator[Redis]:
    client = make_redis(settings, max_connections=2)
    yield client
    await client.aclose()


async def test_a_start_is_kept_for_ten_minutes_also_when_it_is_given_back(
    auth: Auth, app: FlickrApp, redis: Redis
) -> None:
    started = await start(auth, app)
    (key,) = await redis.keys("oauth:*")
    assert 595 < await redis.ttl(key) <= 600
    await redis.expire(key, 100)  # 500 s later
    assert (await auth.complete(started.data["oauth_token"], "1")).status == 400
    assert 95 < await redis.ttl(key) <= 100
    await redis.pexpire(key, 1)  # 600 s later
    await asyncio.sleep(0.01)
    code = await verifier(started)
    assert (await auth.complete(started.data["oauth_token"], code)).failure == (400, "ERR_INVALID_STATE")


async def test_a_completed_start_is_gone_from_redis(auth: Auth, app: FlickrApp, redis: Redis) -> None:
    await connect(auth, app)
    assert await redis.keys("*") == []


async def test_an_app_that_flickr_does_not_know_is_the_clients_mistake(auth: Auth, app: FlickrApp) -> None:
    unknown = await auth.start("0" * 32, app.api_secret)
    assert unknown.failure == (400, "ERR_INVALID_REQUEST")
    wrong_secret = await auth.start(app.api_key, "0" * 16)
    assert wrong_secret.failure == (400, "ERR_INVALID_REQUEST")
    assert "api_key or api_secret" in wrong_secret.body["error"]["message"]


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 429},
        {"status": 503},
        {"status": 200, "body": "<html>Be right back</html>"},
        {"drop": "before"},
        {"latency_ms": 10_000},
    ],
    ids=["429", "503", "garbage", "cut", "slow"],
)
async def test_a_failure_of_flickrs_is_502_and_the_user_can_try_again(
    auth: Auth, app: FlickrApp, sim: Simulator, fault: dict[str, Any]
) -> None:
    await sim.order({"kind": "oauth", "method": "request_token"}, **fault)
    begun = time.monotonic()
    assert (await auth.start(app.api_key, app.api_secret)).failure == (502, "ERR_UPSTREAM")
    started = await start(auth, app)
    code = await verifier(started)
    await sim.order(ACCESS_TOKEN, **fault)
    assert (await auth.complete(started.data["oauth_token"], code)).failure == (502, "ERR_UPSTREAM")
    assert time.monotonic() - begun < 8
    assert (await auth.complete(started.data["oauth_token"], code)).status == 200


async def test_a_connection_can_do_without_known_perms(auth: Auth, app: FlickrApp, sim: Simulator) -> None:
    await sim.order({"kind": "rest", "method": "flickr.auth.oauth.checkToken"}, status=500)
    lent = (await auth.lend(await connect(auth, app))).data
    assert lent["perms"] is None
    assert (await call(sim, lent, "flickr.test.login"))["stat"] == "ok"


@pytest.mark.parametrize(
    "user_id", ["unknown", "0b6c1d0e-7b0c-4a52-9d39-0f6f3d3b6f11", "%00", "%FF%FE", "x" * 5000, "$where", "null"]
)
async def test_a_user_id_of_nobody_is_not_found(auth: Auth, user_id: str) -> None:
    assert (await auth.find(user_id)).failure == (404, "ERR_TOKEN_NOT_FOUND")
    assert (await auth.lend(user_id)).failure == (404, "ERR_TOKEN_NOT_FOUND")
