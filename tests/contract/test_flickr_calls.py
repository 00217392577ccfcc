"""Contract, section 3: what a job asks Flickr, and what it makes of the answer."""

from tests.support.hub_account import ECHO, LOGIN, SEARCH, Account, Connect
from tests.support.simulator import Simulator


async def test_a_stat_fail_is_a_failure_never_a_result(account: Account) -> None:
    ended = await account.run("flickr.photos.getInfo", params={"photo_id": "1"})
    assert ended["state"] == "failed"
    assert ended["returnvalue"] is None
    assert ended["failedReason"] == 'Flickr answered with error 1: Photo "1" not found (invalid ID)'


async def test_reads_go_out_as_get_and_writes_as_signed_post(account: Account, sim: Simulator) -> None:
    found = await account.run(SEARCH, params={"user_id": "me", "per_page": 1})
    photo_id = found["returnvalue"]["flickr"]["photos"]["photo"][0]["id"]
    await account.run("flickr.photos.addTags", params={"photo_id": photo_id, "tags": "contract"})
    read, write = await sim.calls(account.app)
    assert (read["method"], read["http_method"], read["status"]) == (SEARCH, "GET", 200)
    assert (write["method"], write["http_method"], write["status"]) == ("flickr.photos.addTags", "POST", 200)
    assert write["oauth_token"] == read["oauth_token"] is not None


async def test_a_delete_is_a_post_too(account: Account, sim: Simulator) -> None:
    await account.run("flickr.photos.delete", params={"photo_id": "1"})
    (call,) = await sim.calls(account.app)
    assert call["http_method"] == "POST"


async def test_the_connections_own_key_signs(connect: Connect, sim: Simulator) -> None:
    first, second = await connect(), await connect()
    await first.run(ECHO, params={"x": 1})
    await second.run(ECHO, params={"x": 1})
    for account in (first, second):
        (call,) = await sim.calls(account.app)
        assert call["api_key"] == account.app.api_key
        assert call["status"] == 200


async def test_two_accounts_of_one_app_call_with_tokens_of_their_own(connect: Connect, sim: Simulator) -> None:
    first = await connect()
    second = await connect(first.app, person=5)
    assert (await first.run(LOGIN))["returnvalue"]["flickr"]["user"]["username"]["_content"] == first.name
    assert (await second.run(LOGIN))["returnvalue"]["flickr"]["user"]["username"]["_content"] == second.name
    tokens = [call["oauth_token"] for call in await sim.calls(first.app)]
    assert len(set(tokens)) == 2


async def test_flickr_is_asked_for_plain_json(account: Account, sim: Simulator) -> None:
    await account.run(LOGIN)
    (call,) = await sim.calls(account.app)
    assert call["params"]["format"] == "json"
    assert call["params"]["nojsoncallback"] == "1"


async def test_an_unknown_method_fails_with_flickrs_words(account: Account) -> None:
    ended = await account.run("flickr.photos.doesNotExist")
    assert ended["state"] == "failed"
    assert ended["failedReason"] == 'Flickr answered with error 112: Method "flickr.photos.doesNotExist" not found'
