"""Contract, section 2: reading a job's state and result."""

import re
import uuid
from typing import Any

import pytest

from tests.support.envelopes import failure, success
from tests.support.flickrhub_client import FlickrHub
from tests.support.hub_account import ECHO, LOGIN, SEARCH, Account, Connect
from tests.support.simulator import Simulator
from tests.support.waiting import eventually

STATUS = "/api/v1/flickr/jobs/status"
FIELDS = {"id", "state", "returnvalue", "failedReason", "stacktrace", "queue"}


async def test_a_completed_job_tells_everything(account: Account) -> None:
    job_id = await account.enqueue(SEARCH, params={"text": "harbour", "per_page": 3})
    ended = await account.ended(job_id)
    assert set(ended) == FIELDS
    assert ended["id"] == job_id
    assert ended["state"] == "completed"
    assert ended["failedReason"] is None
    assert ended["stacktrace"] == []
    assert ended["queue"] == "flickr_rest"
    value = ended["returnvalue"]
    assert set(value) == {"from_cache", "flickr", "observability"}
    assert value["from_cache"] is False
    assert value["flickr"]["stat"] == "ok"
    assert len(value["flickr"]["photos"]["photo"]) == 3


async def test_observability_tells_status_trace_attempt_and_duration(account: Account) -> None:
    seen = (await account.run(ECHO))["returnvalue"]["observability"]
    assert set(seen) == {"ok", "status", "trace_id", "attempt", "duration_ms"}
    assert seen["ok"] is True
    assert seen["status"] == 200
    assert seen["attempt"] == 1
    assert str(uuid.UUID(seen["trace_id"])) == seen["trace_id"]
    assert isinstance(seen["duration_ms"], int)
    assert 0 <= seen["duration_ms"] < 10_000


async def test_flickrs_json_is_untouched(account: Account, sim: Simulator) -> None:
    odd = '{"n":1.50,"big":12345678901234567890,"uni":"\\u96ea 雪","list":[],"nothing":null,"a.b":{"$x":1},"stat":"ok"}'
    await sim.fault(account.app, "flickr.test.null", body=odd)
    reply = await account.hub.status(job_id := await account.enqueue("flickr.test.null"), account.user_id)
    await account.ended(job_id)
    reply = await account.hub.status(job_id, account.user_id)
    assert '"n":1.5' in reply.text.replace(" ", "")
    assert "12345678901234567890" in reply.text
    flickr = reply.json()["data"]["returnvalue"]["flickr"]
    assert list(flickr) == ["n", "big", "uni", "list", "nothing", "a.b", "stat"]
    assert flickr["uni"] == "雪 雪"
    assert flickr["a.b"] == {"$x": 1}


async def test_a_failed_job_tells_why_in_one_sentence_and_a_chain(account: Account) -> None:
    ended = await account.run("flickr.photos.getInfo", params={"photo_id": "1", "secret": "hush-hush"})
    assert set(ended) == FIELDS
    assert ended["state"] == "failed"
    assert ended["returnvalue"] is None
    assert "Photo" in ended["failedReason"]
    assert "\n" not in ended["failedReason"]
    assert ended["stacktrace"]
    for line in ended["stacktrace"]:
        assert isinstance(line, str)
        assert "\n" not in line
        for private in ("hush-hush", account.app.api_key, account.app.api_secret, "/", "site-packages"):
            assert private not in line, line


async def test_the_chain_of_an_exhausted_job_tells_what_stood_behind(account: Account, sim: Simulator) -> None:
    await sim.fault(account.app, times=-1, code=105)
    ended = await account.run(ECHO)
    assert re.search(r"3 attempts", ended["failedReason"])
    assert len(ended["stacktrace"]) == 2
    assert "105" in ended["stacktrace"][1]


async def test_a_job_is_queued_then_retrying_then_completed(account: Account, sim: Simulator) -> None:
    await sim.fault(account.app, LOGIN, code=105, latency_ms=400)
    job_id = await account.enqueue(LOGIN)
    queued = await account.status(job_id)
    assert {name: queued[name] for name in FIELDS - {"id", "queue"}} == {
        "state": "queued",
        "returnvalue": None,
        "failedReason": None,
        "stacktrace": [],
    }

    async def retrying() -> bool:
        return bool((await account.status(job_id))["state"] == "retrying")

    await eventually(retrying, within=5, every=0.02, what="state retrying")
    ended = await account.ended(job_id)
    assert ended["state"] == "completed"
    assert ended["returnvalue"]["observability"]["attempt"] == 2
    assert ended["failedReason"] is None
    assert ended["stacktrace"] == []


async def test_an_unknown_job_and_anothers_job_answer_alike(account: Account, connect: Connect) -> None:
    job_id = await account.enqueue(ECHO)
    other = await connect(account.app, person=3)
    unknown = await account.hub.status(str(uuid.uuid4()), account.user_id)
    foreign = await account.hub.status(job_id, other.user_id)
    nobody = await account.hub.status(job_id, str(uuid.uuid4()))
    errors = [failure(reply, 404, "ERR_JOB_NOT_FOUND") for reply in (unknown, foreign, nobody)]
    assert errors[0] == errors[1] == errors[2]
    success(await account.hub.status(job_id, account.user_id))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "job_id"),
        ({"job_id": "x"}, "user_id"),
        ({"user_id": "x"}, "job_id"),
        ({"job_id": 1, "user_id": "x"}, "job_id"),
        ({"job_id": {"$gt": ""}, "user_id": {"$gt": ""}}, "user_id"),
        ({"job_id": ["x"], "user_id": "x"}, "job_id"),
        ({"job_id": None, "user_id": "x"}, "job_id"),
        ({"job_id": "x", "user_id": "x", "more": 1}, "more"),
    ],
)
async def test_a_wrong_field_is_named(hub: FlickrHub, body: dict[str, Any], field: str) -> None:
    error = failure(await hub.post(STATUS, body), 400, "ERR_INVALID_REQUEST")
    assert any(sentence.startswith(f"{field}: ") for sentence in error["details"]), error


@pytest.mark.parametrize("job_id", ["x", "", "x" * 100_000, "../../etc", "雪"])
async def test_what_can_be_no_job_is_no_job(account: Account, job_id: str) -> None:
    reply = await account.hub.status(job_id, account.user_id)
    assert reply.status_code in {400, 404}
    failure(reply, reply.status_code, {400: "ERR_INVALID_REQUEST", 404: "ERR_JOB_NOT_FOUND"}[reply.status_code])
