"""Lending, finding and revoking connections."""

from datetime import timedelta

import pytest

from flickrhub_auth.adapters.meter import CONNECTIONS, PrometheusMeter
from flickrhub_auth.models import Connection, Grant
from flickrhub_auth.wiring import new_metrics
from flickrhub_common.contracts import TokenRejected, TokenRevoked
from flickrhub_common.errors import TokenNotFound, Unavailable
from tests.support.metrics_pages import figure, series_of
from tests.unit.auth.fakes import APP, Stored, World

CONNECTION = Connection("user-1", APP, Grant("access-1", "access-secret-1", "1@N01", "ann"), "write")


@pytest.fixture
def world() -> World:
    world = World()
    world.tokens.accounts["user-1"] = Stored(CONNECTION)
    return world


def rejected(world: World, fingerprint: str = CONNECTION.fingerprint, user_id: str = "user-1") -> TokenRejected:
    return TokenRejected(user_id=user_id, fingerprint=fingerprint, reason="Flickr said 98", at=world.clock.now())


async def test_a_lent_token_has_everything_a_signer_needs(world: World) -> None:
    assert (await world.usecases().lend("user-1")).lent() == {
        "user_id": "user-1",
        "api_key": "key-1",
        "api_secret": "secret-of-the-app",
        "oauth_token": "access-1",
        "oauth_token_secret": "access-secret-1",
        # as sha256sum says it of access-1: its first 16 digits
        "fingerprint": "f4c2844f463b5a93",
        "perms": "write",
        "nsid": "1@N01",
    }


async def test_an_unknown_user_id_has_nothing_to_lend(world: World) -> None:
    with pytest.raises(TokenNotFound):
        await world.usecases().lend("user-2")
    with pytest.raises(TokenNotFound):
        await world.usecases().find("user-2")


async def test_the_rejection_of_the_stored_token_revokes_it_and_everybody_hears_of_it(world: World) -> None:
    await world.usecases().revoke(rejected(world))
    with pytest.raises(TokenNotFound):
        await world.usecases().lend("user-1")
    with pytest.raises(TokenNotFound):
        await world.usecases().find("user-1")
    assert [sent.message for sent in world.events.all("event")] == [
        TokenRevoked(user_id="user-1", reason="Flickr said 98", at=world.clock.now())
    ]


async def test_the_rejection_of_an_older_token_is_ignored(world: World) -> None:
    await world.usecases().revoke(rejected(world, fingerprint="0123456789abcdef"))
    assert await world.usecases().find("user-1")
    assert world.events.sent == []


async def test_the_rejection_of_a_token_of_nobody_is_ignored(world: World) -> None:
    await world.usecases().revoke(rejected(world, user_id="user-2"))
    assert world.events.sent == []


async def test_a_rejection_that_comes_again_is_told_again_with_the_first_time(world: World) -> None:
    first = world.clock.now()
    world.events.away = True
    with pytest.raises(Unavailable):
        await world.usecases().revoke(rejected(world))
    world.events.away = False
    world.clock.advance(60)
    await world.usecases().revoke(rejected(world))
    (sent,) = world.events.all("event")
    assert isinstance(sent.message, TokenRevoked)
    assert sent.message.at == first
    assert world.clock.now() == first + timedelta(seconds=60)


async def test_a_token_that_many_jobs_found_dead_was_revoked_once(world: World) -> None:
    metrics = new_metrics()
    world.meter = PrometheusMeter(metrics)
    for _ in range(3):
        await world.usecases().revoke(rejected(world))
        world.clock.advance(0.05)
    assert figure(series_of(metrics.render().decode()), CONNECTIONS.name, event="revoked") == 1


def test_no_model_shows_a_secret_in_its_text_form() -> None:
    assert "secret" not in repr(CONNECTION).replace("api_secret", "")
    assert "access-1" not in repr(CONNECTION)
