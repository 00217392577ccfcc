"""Starting and completing a connection."""

import uuid

import pytest

from flickrhub_auth.errors import AppRefused, StateMismatch, VerifierRefused
from flickrhub_auth.models import CompleteRequest, Connection, Grant, Mode, Started, StartRequest
from flickrhub_common.contracts import TokenReplaced
from flickrhub_common.errors import HubError, InvalidState, Unavailable, UpstreamFailed
from tests.unit.auth.fakes import APP, VERIFIER, World


async def start(world: World) -> Started:
    return await world.usecases().start(StartRequest(api_key=APP.api_key, api_secret=APP.api_secret))


async def complete(world: World, token: str, verifier: str = VERIFIER, state: str | None = None) -> str:
    return await world.usecases().complete(CompleteRequest(oauth_token=token, oauth_verifier=verifier, state=state))


async def test_a_start_says_where_to_send_the_user_and_keeps_what_completing_needs() -> None:
    world = World()
    started = await start(world)
    assert started.authorize_url == "https://flickr.test/authorize?oauth_token=request-1"
    assert (started.oauth_token, started.mode) == ("request-1", Mode.OOB)
    kept = world.pending.entries["request-1"]
    assert (kept.app, kept.request_token.secret, kept.state) == (APP, "request-secret-1", started.state)


async def test_every_start_has_a_state_of_its_own() -> None:
    world = World()
    states = {(await start(world)).state for _ in range(20)}
    assert len(states) == 20
    assert min(map(len, states)) >= 32


async def test_with_a_callback_url_flickr_is_given_it_and_the_mode_is_callback() -> None:
    world = World(callback_url="https://hub.test/api/v1/auth/callback")
    assert (await start(world)).mode is Mode.CALLBACK
    assert world.flickr.callbacks == ["https://hub.test/api/v1/auth/callback"]


async def test_an_absent_redis_is_said_before_flickr_is_asked() -> None:
    world = World()
    world.pending.away = Unavailable("redis")
    with pytest.raises(Unavailable):
        await start(world)
    assert world.flickr.callbacks == []


async def test_an_app_that_flickr_refuses_leaves_nothing_behind() -> None:
    world = World()
    world.flickr.failures["request_token"] = AppRefused()
    with pytest.raises(AppRefused):
        await start(world)
    assert world.pending.entries == {}


async def test_completing_stores_the_token_under_a_new_uuid() -> None:
    world = World()
    started = await start(world)
    user_id = await complete(world, started.oauth_token, state=started.state)
    assert str(uuid.UUID(user_id)) == user_id
    stored = world.tokens.accounts[user_id].connection
    assert (stored.app, stored.grant.oauth_token, stored.perms) == (APP, "access-1", "write")
    assert world.events.sent == []


async def test_a_completed_start_is_used_up() -> None:
    world = World()
    token = (await start(world)).oauth_token
    await complete(world, token)
    with pytest.raises(InvalidState):
        await complete(world, token)
    assert world.pending.entries == {}


async def test_the_state_may_be_left_out() -> None:
    world = World()
    assert await complete(world, (await start(world)).oauth_token)


async def test_a_wrong_state_is_refused_and_uses_nothing_up() -> None:
    world = World()
    started = await start(world)
    for wrong in ("", "wrong", started.state + "x"):
        with pytest.raises(StateMismatch):
            await complete(world, started.oauth_token, state=wrong)
    assert await complete(world, started.oauth_token, state=started.state)


@pytest.mark.parametrize("failure", [UpstreamFailed(), VerifierRefused(), AppRefused(), Unavailable("redis")])
async def test_an_exchange_that_failed_can_be_tried_again(failure: HubError) -> None:
    world = World()
    token = (await start(world)).oauth_token
    world.flickr.failures["access_token"] = failure
    with pytest.raises(type(failure)):
        await complete(world, token)
    assert await complete(world, token)


async def test_an_absent_mongo_is_said_before_anything_is_used_up() -> None:
    world = World()
    token = (await start(world)).oauth_token
    world.tokens.away = Unavailable("mongo")
    with pytest.raises(Unavailable):
        await complete(world, token)
    assert world.flickr.granted == 0
    world.tokens.away = None
    assert await complete(world, token)


async def test_perms_that_flickr_does_not_tell_stay_unknown() -> None:
    world = World()
    world.flickr.failures["perms"] = UpstreamFailed()
    user_id = await complete(world, (await start(world)).oauth_token)
    assert world.tokens.accounts[user_id].connection.perms is None


async def test_the_same_account_keeps_its_user_id_and_everybody_hears_of_the_new_token() -> None:
    world = World()
    first = await complete(world, (await start(world)).oauth_token)
    second = await complete(world, (await start(world)).oauth_token)
    assert second == first
    assert world.tokens.accounts[first].connection.grant.oauth_token == "access-2"
    assert [sent.message for sent in world.events.all("event")] == [TokenReplaced(user_id=first, at=world.clock.now())]


async def test_another_account_gets_another_user_id() -> None:
    world = World()
    first = await complete(world, (await start(world)).oauth_token)
    world.flickr.account = "2@N02"
    assert await complete(world, (await start(world)).oauth_token) != first
    assert world.events.sent == []


async def test_a_revoked_account_is_usable_again_when_connected_anew() -> None:
    world = World()
    user_id = await complete(world, (await start(world)).oauth_token)
    world.tokens.accounts[user_id].revoked_at = world.clock.now()
    assert await complete(world, (await start(world)).oauth_token) == user_id
    assert await world.usecases().find(user_id) == user_id


async def test_an_account_that_another_request_stored_in_between_keeps_that_user_id() -> None:
    world = World()
    token = (await start(world)).oauth_token
    other = Connection("the-other", APP, Grant("t", "s", world.flickr.account, "ann"), "read")
    world.tokens.overtaken_by = other
    assert await complete(world, token) == "the-other"
    assert world.tokens.accounts["the-other"].connection.grant.oauth_token == "access-1"
    assert list(world.tokens.accounts) == ["the-other"]


async def test_an_absent_broker_does_not_stop_a_replacement() -> None:
    world = World()
    first = await complete(world, (await start(world)).oauth_token)
    world.events.away = True
    assert await complete(world, (await start(world)).oauth_token) == first


async def test_a_redis_that_goes_after_the_exchange_does_not_lose_the_token() -> None:
    world = World()
    token = (await start(world)).oauth_token
    world.pending.lost_at_forget = Unavailable("redis")
    user_id = await complete(world, token)
    assert user_id in world.tokens.accounts
