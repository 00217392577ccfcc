"""What the params of upload and replace may hold: anything else is a 400 that names the field, and nothing happens."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from flickrhub_common.mongo import Database
from tests.support.envelopes import failure
from tests.support.flickrhub_client import flickrhub
from tests.support.hub_account import Account, connector
from tests.support.photographs import jpeg
from tests.support.run_env import needed
from tests.support.simulator import Simulator

URL = "http://127.0.0.1:9/photo.jpg"
REF = "9b2f0c3e-5a41-4f0e-8a55-0d6a1c7e2b11"
BASE64 = base64.b64encode(jpeg().data).decode()
PHOTO_ID = "10000000001"

NO_FLAG: list[Any] = [2, -1, "2", "yes", "true", "", "01", 0.5, ["1"], {"a": 1}]
NO_NUMBER: list[Any] = [0, 4, "0", "4", "safe", "", True, 1.5, [1]]
WRONG: dict[str, list[Any]] = {
    "is_public": NO_FLAG,
    "is_friend": NO_FLAG,
    "is_family": NO_FLAG,
    "async": NO_FLAG,
    "safety_level": NO_NUMBER,
    "content_type": NO_NUMBER,
    "hidden": [*NO_NUMBER, 3],
    "title": [5, ["a"], {}, True],
    "description": [5, ["a"], True],
    "tags": [5, {}, [5], ["a", None], ["a", ""], ["a", " "], ['a"b'], 'a "b', 'a"b c"', ["x"] * 75, "x " * 75],
}
OTHERS = [
    "photo_id",
    "photo",
    "colour",
    "Title",
    "api_key",
    "oauth_token",
    "format",
    "method",
    "dedup_check",
    "filename",
]
"""Names of another target, of nobody, and what only the hub sets."""
WRONG_SOURCES: dict[str, list[Any]] = {
    "photo_ref": [5, "", "no uuid", REF + "0", "../../etc/passwd", [REF]],
    "photo_base64": [5, "", "no base64!", BASE64[:-1], "////", base64.b64encode(b"a text").decode(), [BASE64]],
    "photo_url": [
        *(5, "", "not a url", "ftp://example.com/x.jpg", "file:///etc/passwd", "http://", "//example.com/x.jpg", [URL]),
        *("http://10.0.0.1/x.jpg", "http://169.254.169.254/latest", "http://[::ffff:10.0.0.1]/", "http://0.0.0.0/"),
        *("http://user:secret@example.com/x.jpg", "http://example.com/" + "x" * 5000, "http://exa mple.com/"),
    ],
}
WRONG_IDS: list[Any] = ["", "x", "1" * 21, "1.5", 1.5, True, -1, " 1", ["1"], None]
TWO = [
    {"photo_url": URL, "photo_ref": REF},
    {"photo_url": URL, "photo_base64": BASE64},
    {"photo_ref": REF, "photo_base64": BASE64},
    {"photo_url": URL, "photo_ref": REF, "photo_base64": BASE64},
]


@pytest.fixture(scope="module")
async def one(sim: Simulator) -> AsyncIterator[Account]:
    """An account for all of these requests, none of which becomes a job."""
    async with flickrhub(needed("GATEWAY_URL")) as client:
        yield await connector(client, sim)()


async def refused(account: Account, database: Database, params: Any, *, target: str = "upload") -> dict[str, Any]:
    """The error of a call with such params, which must leave nothing behind."""
    reply = await account.hub.enqueue(target=target, params=params, user_id=account.user_id)
    error = failure(reply, 400, "ERR_INVALID_REQUEST")
    for collection in ("jobs", "uploads"):
        assert await database[collection].count_documents({"user_id": account.user_id}) == 0
    return error


def named(error: dict[str, Any]) -> set[str]:
    """The fields an error names."""
    return {sentence.partition(":")[0] for sentence in error["details"]}


@pytest.mark.parametrize("name", list(WRONG))
async def test_a_value_out_of_range_is_named(one: Account, database: Database, name: str) -> None:
    for value in WRONG[name]:
        error = await refused(one, database, {"photo_url": URL, name: value})
        assert named(error) == {f"params.{name}"}, value


@pytest.mark.parametrize("name", OTHERS)
async def test_an_unknown_name_is_named(one: Account, database: Database, name: str) -> None:
    assert named(await refused(one, database, {"photo_url": URL, name: "1"})) == {f"params.{name}"}


@pytest.mark.parametrize("name", ["title", "description", "tags", "is_public", "safety_level", "hidden", "photo"])
async def test_a_replacement_takes_the_photo_its_id_and_async_only(one: Account, database: Database, name: str) -> None:
    params = {"photo_url": URL, "photo_id": PHOTO_ID, name: "1"}
    assert named(await refused(one, database, params, target="replace")) == {f"params.{name}"}


async def test_a_replacement_needs_a_photos_id(one: Account, database: Database) -> None:
    assert named(await refused(one, database, {"photo_url": URL}, target="replace")) == {"params.photo_id"}
    for value in WRONG_IDS:
        error = await refused(one, database, {"photo_url": URL, "photo_id": value}, target="replace")
        assert named(error) == {"params.photo_id"}, value


@pytest.mark.parametrize("target", ["upload", "replace"])
@pytest.mark.parametrize("name", list(WRONG_SOURCES))
async def test_a_source_that_is_none_is_named(one: Account, database: Database, target: str, name: str) -> None:
    more = {"photo_id": PHOTO_ID} if target == "replace" else {}
    for value in WRONG_SOURCES[name]:
        error = await refused(one, database, {name: value, **more}, target=target)
        assert f"params.{name}" in named(error), value


@pytest.mark.parametrize("target", ["upload", "replace"])
@pytest.mark.parametrize("sources", [{}, *TWO], ids=lambda sources: " and ".join(sources) or "none")
async def test_a_photo_has_exactly_one_source(
    one: Account, database: Database, target: str, sources: dict[str, str]
) -> None:
    more = {"photo_id": PHOTO_ID} if target == "replace" else {}
    error = await refused(one, database, {**sources, **more}, target=target)
    assert named(error) == {"params"}
    assert all(name in str(error["details"]) for name in ("photo_url", "photo_ref", "photo_base64"))


@pytest.mark.parametrize("params", [None, [], "photo_url=x", 5])
async def test_params_are_an_object(one: Account, database: Database, params: Any) -> None:
    assert named(await refused(one, database, params)) == {"params"}


async def test_params_are_needed(one: Account) -> None:
    error = failure(await one.hub.enqueue(target="upload", user_id=one.user_id), 400, "ERR_INVALID_REQUEST")
    assert named(error) == {"params"}


async def test_every_wrong_field_is_named_at_once_and_no_value_repeated(one: Account, database: Database) -> None:
    params = {"photo_url": "ftp://tell-nobody.example/", "hidden": 7, "tags": 'tell-nobody "', "tell": "nobody"}
    error = await refused(one, database, params)
    assert named(error) == {"params.photo_url", "params.hidden", "params.tags", "params.tell"}
    assert "tell-nobody" not in json.dumps(error)


async def test_the_hubs_own_tag_cant_be_given(one: Account, database: Database) -> None:
    """It says which job a photo came from: another's would make its upload look done."""
    for tags in ("flickrhub:job=0a1b", ["FlickrHub:Job=0a1b"], 'a "flickrhub:job=0a1b" b'):
        assert named(await refused(one, database, {"photo_url": URL, "tags": tags})) == {"params.tags"}


async def test_a_truncated_photo_in_base64_is_refused(one: Account, database: Database) -> None:
    for data in (jpeg(5000).truncated(), b"GIF89a", b""):
        error = await refused(one, database, {"photo_base64": base64.b64encode(data).decode()})
        assert "params.photo_base64" in named(error)


async def test_a_photo_in_base64_makes_a_call_of_one_mebibyte_at_most(one: Account) -> None:
    params = {"photo_base64": base64.b64encode(jpeg(800_000).data).decode()}
    reply = await one.hub.enqueue(target="upload", params=params, user_id=one.user_id)
    failure(reply, 413, "ERR_PAYLOAD_TOO_LARGE")
