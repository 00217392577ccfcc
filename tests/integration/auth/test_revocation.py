"""Tokens that Flickr refuses: the events of executors, and what auth makes of them."""

from datetime import UTC, datetime

from flickrhub_auth.settings import AuthSettings
from flickrhub_common.contracts import TokenRejected, TokenReplaced, TokenRevoked
from flickrhub_common.mongo import make_mongo
from flickrhub_common.topology import AUTH_TOKEN_EVENTS, EVENTS_EXCHANGE, dead_letters_of
from tests.integration.auth.parts import Auth, Ear, connect, running_auth
from tests.support.rabbit_admin import RabbitAdmin
from tests.support.simulator import FlickrApp
from tests.support.waiting import eventually


def rejection(user_id: str, fingerprint: str) -> TokenRejected:
    return TokenRejected(
        user_id=user_id, fingerprint=fingerprint, reason="98: Invalid auth token", at=datetime.now(UTC)
    )


async def test_a_rejected_token_is_revoked_erased_and_announced(
    auth: Auth, app: FlickrApp, ear: Ear, settings: AuthSettings
) -> None:
    user_id = await connect(auth, app)
    fingerprint = (await auth.lend(user_id)).data["fingerprint"]
    await ear.messaging.send_event(rejection(user_id, fingerprint))
    (event,) = await ear.hears(1)
    assert isinstance(event, TokenRevoked)
    assert (event.user_id, event.reason) == (user_id, "98: Invalid auth token")
    assert (await auth.find(user_id)).failure == (404, "ERR_TOKEN_NOT_FOUND")
    assert (await auth.lend(user_id)).failure == (404, "ERR_TOKEN_NOT_FOUND")
    async with make_mongo(settings, service="test") as mongo:
        (document,) = await mongo[settings.mongo_db]["tokens"].find().to_list()
    assert "sealed" not in document
    assert document["revoked_at"] == event.at


async def test_a_rejection_that_comes_again_is_announced_again_with_the_first_time(
    auth: Auth, app: FlickrApp, ear: Ear
) -> None:
    user_id = await connect(auth, app)
    fingerprint = (await auth.lend(user_id)).data["fingerprint"]
    await ear.messaging.send_event(rejection(user_id, fingerprint))
    await ear.hears(1)
    await ear.messaging.send_event(rejection(user_id, fingerprint))
    first, second = await ear.hears(2)
    assert first == second


async def test_the_rejection_of_a_replaced_token_leaves_the_new_one(
    auth: Auth, app: FlickrApp, ear: Ear, rabbit_admin: RabbitAdmin
) -> None:
    user_id = await connect(auth, app)
    old = (await auth.lend(user_id)).data["fingerprint"]
    await connect(auth, app)
    await ear.messaging.send_event(rejection(user_id, old))
    new = (await auth.lend(user_id)).data["fingerprint"]
    await eventually(lambda: _empty(rabbit_admin), what="the first rejection's end")
    assert (await auth.lend(user_id)).status == 200
    await ear.messaging.send_event(rejection(user_id, new))
    heard = await ear.hears(2)
    assert [type(event) for event in heard] == [TokenReplaced, TokenRevoked]


async def test_a_revoked_account_connected_anew_keeps_its_user_id_and_is_announced(
    auth: Auth, app: FlickrApp, ear: Ear
) -> None:
    user_id = await connect(auth, app)
    await ear.messaging.send_event(rejection(user_id, (await auth.lend(user_id)).data["fingerprint"]))
    await ear.hears(1)
    assert await connect(auth, app) == user_id
    assert (await auth.lend(user_id)).status == 200
    heard = await ear.hears(2)
    assert [type(event) for event in heard] == [TokenRevoked, TokenReplaced]


async def test_what_nobody_can_read_is_dead_and_the_next_event_is_handled(
    auth: Auth, app: FlickrApp, ear: Ear, rabbit_admin: RabbitAdmin
) -> None:
    user_id = await connect(auth, app)
    for body in (b"{", b"{}", b"\xff", b'{"user_id":null}'):
        await rabbit_admin.publish(body, exchange=EVENTS_EXCHANGE, key="token.rejected", type="token.rejected")
    await ear.messaging.send_event(rejection("nobody\0", "f" * 16))
    await ear.messaging.send_event(rejection(user_id, (await auth.lend(user_id)).data["fingerprint"]))
    await ear.hears(1)

    async def dead() -> bool:
        return await rabbit_admin.depth(dead_letters_of(AUTH_TOKEN_EVENTS)) == 4

    await eventually(dead, what="four dead letters")


async def test_a_rejection_that_came_while_auth_was_away_is_handled_when_it_is_back(
    settings: AuthSettings, app: FlickrApp, ear: Ear
) -> None:
    async with running_auth(settings) as auth:
        user_id = await connect(auth, app)
        fingerprint = (await auth.lend(user_id)).data["fingerprint"]
    await ear.messaging.send_event(rejection(user_id, fingerprint))
    assert ear.heard == []
    async with running_auth(settings) as auth:
        await ear.hears(1)
        assert (await auth.lend(user_id)).status == 404


async def _empty(rabbit_admin: RabbitAdmin) -> bool:
    queue = (await rabbit_admin.queues())[AUTH_TOKEN_EVENTS]
    return bool(queue.get("messages", 1) == 0 and queue.get("message_stats", {}).get("ack", 0) >= 1)
