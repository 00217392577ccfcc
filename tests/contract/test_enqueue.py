"""Contract, section 2: what an enqueue request may hold, and that nothing else is taken or stored."""

import json
import uuid
from typing import Any

import pytest

from flickrhub_common.mongo import Database
from tests.support.envelopes import failure, success
from tests.support.flickrhub_client import FlickrHub
from tests.support.hub_account import ECHO, Account
from tests.support.simulator import Simulator

REST = "/api/v1/flickr/rest"
JSON = {"Content-Type": "application/json"}
LONGEST_META = 16 * 1024


async def stored(database: Database, account: Account) -> int:
    return await database["jobs"].count_documents({"user_id": account.user_id})


async def test_a_job_is_accepted_with_its_id_and_stored(account: Account, database: Database) -> None:
    reply = await account.hub.enqueue(method=ECHO, params={"a": "b"}, user_id=account.user_id)
    data = success(reply, 202)
    assert set(data) == {"job_id"}
    assert str(uuid.UUID(data["job_id"])) == data["job_id"]
    assert set(reply.json()) == {"request_id", "data", "error"}
    assert await stored(database, account) == 1


async def test_params_target_callback_and_meta_may_be_left_out(account: Account) -> None:
    ended = await account.run(ECHO)
    assert ended["state"] == "completed"
    assert ended["queue"] == "flickr_rest"


async def test_nulls_count_as_left_out_where_a_field_is_optional(account: Account) -> None:
    nulls: dict[str, Any] = dict.fromkeys(("callback_url", "callback_secret", "meta"))
    assert (await account.run(ECHO, **nulls))["state"] == "completed"


@pytest.mark.parametrize("target", ["upload", "replace"])
async def test_upload_and_replace_need_no_method(account: Account, target: str) -> None:
    params = {"photo_url": "http://127.0.0.1:9/a.jpg"} | ({"photo_id": "1"} if target == "replace" else {})
    for method in ({}, {"method": None}, {"method": "flickr.photos.upload"}):
        reply = await account.hub.enqueue(user_id=account.user_id, target=target, params=params, **method)
        job_id = success(reply, 202)["job_id"]
        assert (await account.status(job_id))["queue"] == f"flickr_{target}"


async def test_params_go_out_as_flickr_takes_them(account: Account, sim: Simulator) -> None:
    params = {
        "text": "ñ ü 雪 & = + %41 'quoted'",
        "number": 12,
        "fraction": 1.5,
        "yes": True,
        "no": False,
        "several": ["url_m", 7, True],
        "empty": "",
    }
    ended = await account.run(ECHO, params=params)
    expected = {
        "text": "ñ ü 雪 & = + %41 'quoted'",
        "number": "12",
        "fraction": "1.5",
        "yes": "1",
        "no": "0",
        "several": "url_m,7,1",
        "empty": "",
    }
    (call,) = await sim.calls(account.app, ECHO)
    assert {name: call["params"][name] for name in expected} == expected
    assert ended["returnvalue"]["flickr"]["text"]["_content"] == params["text"]


def invalid() -> list[Any]:
    """(change of a good body, field that the error must name)."""
    cases: list[tuple[dict[str, Any], str]] = [
        ({"method": None}, "method"),
        ({"method": ""}, "method"),
        ({"method": 7}, "method"),
        ({"method": ["flickr.test.echo"]}, "method"),
        ({"method": "test.echo"}, "method"),
        ({"method": "flickr."}, "method"),
        ({"method": "flickr.test..echo"}, "method"),
        ({"method": "flickr.test.echo&method=flickr.photos.delete"}, "method"),
        ({"method": "flickr.test.echo\n"}, "method"),
        ({"method": "flickr." + "x" * 5000}, "method"),
        ({"params": None}, "params"),
        ({"params": []}, "params"),
        ({"params": "a=b"}, "params"),
        ({"params": {"a": None}}, "params.a"),
        ({"params": {"a": {"b": 1}}}, "params.a"),
        ({"params": {"a": [["b"]]}}, "params.a"),
        ({"params": {"a": [None]}}, "params.a"),
        ({"params": {"": "b"}}, "params."),
        ({"user_id": None}, "user_id"),
        ({"user_id": ""}, "user_id"),
        ({"user_id": 5}, "user_id"),
        ({"user_id": {"$ne": None}}, "user_id"),
        ({"user_id": "x" * 100_000}, "user_id"),
        ({"target": None}, "target"),
        ({"target": "download"}, "target"),
        ({"target": "REST"}, "target"),
        ({"target": 1}, "target"),
        ({"callback_url": 5}, "callback_url"),
        ({"callback_url": ""}, "callback_url"),
        ({"callback_url": "not a url"}, "callback_url"),
        ({"callback_url": "http://example.com/" + "x" * 5000}, "callback_url"),
        ({"callback_secret": 5}, "callback_secret"),
        ({"callback_secret": ""}, "callback_secret"),
        ({"callback_secret": "x" * 5000}, "callback_secret"),
        ({"callback_secret": "whsec_not base64!"}, "callback_secret"),
        ({"callback_secret": "whsec_"}, "callback_secret"),
        ({"meta": []}, "meta"),
        ({"meta": "text"}, "meta"),
        ({"meta": {"x": "y" * LONGEST_META}}, "meta"),
        ({"colour": "red"}, "colour"),
        ({"job_id": "mine"}, "job_id"),
        ({"$where": "1"}, "$where"),
    ]
    reserved = ("method", "format", "nojsoncallback", "api_key", "oauth_token", "oauth_anything")
    cases += [({"params": {name: "x"}}, f"params.{name}") for name in reserved]
    return [pytest.param(change, field, id=json.dumps(change)[:48]) for change, field in cases]


@pytest.mark.parametrize("user_id", ["somebody", "me", "9b2f0c3e-5a41-4f0e-8a55-0d6a1c7e2b11", "../../health", "%00"])
async def test_a_user_id_that_was_never_given_out_is_not_found_whatever_it_looks_like(
    account: Account, user_id: str
) -> None:
    failure(await account.hub.enqueue(method=ECHO, user_id=user_id), 404, "ERR_TOKEN_NOT_FOUND")


@pytest.mark.parametrize(("change", "field"), invalid())
async def test_a_wrong_field_is_named_and_nothing_is_stored(
    account: Account, database: Database, sim: Simulator, change: dict[str, Any], field: str
) -> None:
    body = {"method": ECHO, "user_id": account.user_id, **change}
    error = failure(await account.hub.post(REST, body), 400, "ERR_INVALID_REQUEST")
    assert any(sentence.startswith(f"{field}: ") for sentence in error["details"]), error
    assert await stored(database, account) == 0
    assert await sim.calls(account.app) == []


@pytest.mark.parametrize("missing", ["method", "user_id"])
async def test_a_missing_field_is_named(account: Account, missing: str) -> None:
    body = {"method": ECHO, "user_id": account.user_id}
    del body[missing]
    error = failure(await account.hub.post(REST, body), 400, "ERR_INVALID_REQUEST")
    assert any(sentence.startswith(f"{missing}: ") for sentence in error["details"]), error


async def test_every_wrong_field_is_named_at_once(account: Account) -> None:
    body = {"user_id": 5, "params": [], "target": "x", "callback_url": "ftp://x.example/", "meta": 1, "more": 1}
    error = failure(await account.hub.post(REST, body), 400, "ERR_INVALID_REQUEST")
    named = {sentence.partition(":")[0] for sentence in error["details"]}
    assert {"user_id", "params", "target", "callback_url", "meta", "more"} <= named


async def test_a_message_never_repeats_what_was_sent(account: Account) -> None:
    body = {
        "method": ECHO,
        "user_id": account.user_id,
        "callback_secret": ["tell-nobody"],
        "params": {"a": {"b": "x7"}},
    }
    reply = await account.hub.post(REST, body)
    failure(reply, 400, "ERR_INVALID_REQUEST")
    assert "tell-nobody" not in reply.text
    assert "x7" not in reply.text


async def test_meta_of_exactly_sixteen_kibibytes_is_taken(account: Account) -> None:
    meta = {"x": ""}
    meta["x"] = "y" * (LONGEST_META - len('{"x":""}'))
    await account.enqueue(meta=meta)
    reply = await account.hub.enqueue(method=ECHO, user_id=account.user_id, meta={"x": meta["x"] + "y"})
    failure(reply, 400, "ERR_INVALID_REQUEST")


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 0, 1.5])
async def test_numbers_within_64_bits_are_taken(account: Account, number: float) -> None:
    await account.enqueue(params={"n": number}, meta={"n": number})


def deep(opening: str, closing: str, levels: int) -> str:
    return opening * levels + "1" + closing * levels


def raw_bodies() -> list[Any]:
    """Bodies that are no JSON object the hub can hold; USER stands for a connected account."""
    start = '{"method":"flickr.test.echo","user_id":"USER"'
    bodies = {
        "nothing": b"",
        "not json": b"method=flickr.test.echo",
        "cut short": start.encode(),
        "a comma too many": (start + ",}").encode(),
        "two objects": (start + "}{}").encode(),
        "an array": b"[]",
        "a string": b'"x"',
        "null": b"null",
        "NaN": (start + ',"meta":{"x":NaN}}').encode(),
        "infinity": (start + ',"meta":{"x":-Infinity}}').encode(),
        "a number too large for a double": (start + ',"meta":{"x":1e999}}').encode(),
        "not utf-8": start.encode() + b',"meta":{"x":"\xff\xfe\xfa"}}',
        "a raw NUL byte": start.encode() + b',"meta":{"x":"\x00"}}',
        "an escaped NUL": (start + ',"meta":{"x":"a\\u0000b"}}').encode(),
        "a NUL in a key": (start + ',"params":{"a\\u0000":"b"}}').encode(),
        "a NUL in a param": (start + ',"params":{"a":"\\u0000"}}').encode(),
        "a NUL in the secret": (start + ',"callback_secret":"a\\u0000"}').encode(),
        "a lone high surrogate": (start + ',"meta":{"x":"\\ud800"}}').encode(),
        "a lone low surrogate": (start + ',"params":{"x":"a\\udc00b"}}').encode(),
        "surrogates the wrong way round": (start + ',"meta":{"x":"\\udc00\\ud800"}}').encode(),
        "a surrogate in a key": (start + ',"meta":{"\\ud800":1}}').encode(),
        "objects 10,000 deep": (
            start + f',"meta":{deep(chr(123) + chr(34) + "a" + chr(34) + ":", "}", 10_000)}}}'
        ).encode(),
        "arrays 10,000 deep": (start + ',"params":{"x":' + deep("[", "]", 10_000) + "}}").encode(),
        "a body 100,000 deep": deep("[", "]", 100_000).encode(),
        "2^63": (start + ',"meta":{"x":9223372036854775808}}').encode(),
        "-2^63-1": (start + ',"meta":{"x":-9223372036854775809}}').encode(),
        "2^63 among the params": (start + ',"params":{"x":9223372036854775808}}').encode(),
        "5,000 digits": (start + ',"meta":{"x":' + "9" * 5000 + "}}").encode(),
    }
    return [pytest.param(body, id=name) for name, body in bodies.items()]


@pytest.mark.parametrize("body", raw_bodies())
async def test_a_body_nobody_can_hold_is_refused_and_nothing_is_stored(
    account: Account, database: Database, sim: Simulator, body: bytes
) -> None:
    reply = await account.hub.post(REST, body.replace(b"USER", account.user_id.encode()), JSON)
    failure(reply, 400, "ERR_INVALID_REQUEST")
    assert await stored(database, account) == 0
    assert await sim.calls(account.app) == []


@pytest.mark.parametrize("path", ["/api/v1/auth/start", "/api/v1/auth/complete", "/api/v1/flickr/jobs/status"])
@pytest.mark.parametrize("body", raw_bodies())
async def test_no_call_answers_500_to_such_a_body(hub: FlickrHub, path: str, body: bytes) -> None:
    failure(await hub.post(path, body, JSON), 400, "ERR_INVALID_REQUEST")


async def test_keys_that_mean_something_to_a_database_are_only_keys(account: Account, sim: Simulator) -> None:
    meta = {"$where": "sleep(1)", "a.b": {"$gt": ""}, "__proto__": {"x": 1}, "": "empty"}
    await account.run(ECHO, params={"$ne": "1", "a.b": "2"}, meta=meta)
    (call,) = await sim.calls(account.app)
    assert call["params"]["$ne"] == "1"
    assert call["params"]["a.b"] == "2"


async def test_a_revoked_connection_is_not_known_any_more(account: Account, sim: Simulator) -> None:
    await account.run(ECHO)
    await sim.revoke(account.app)
    ended = await account.run(ECHO, params={"again": 1})
    assert ended["state"] == "failed"
    reply = await account.hub.enqueue(method=ECHO, user_id=account.user_id)
    failure(reply, 404, "ERR_TOKEN_NOT_FOUND")
