"""Contract, section 4: the callback's body, key by key."""

import json
import uuid
from datetime import UTC, datetime
from typing import Any

from tests.support.callback_receiver import CallbackReceiver, Received, Reply
from tests.support.hub_account import ECHO, SEARCH, Account
from tests.support.simulator import Simulator

KEYS = [
    *("job_id", "user_id", "queue", "state", "result", "error", "from_cache", "attempts_made", "max_attempts"),
    *("timestamp", "trace_id", "meta"),
]


async def called_back(account: Account, receiver: CallbackReceiver, method: str = ECHO, **body: Any) -> Received:
    """Run a job and return its callback; there must be one only."""
    path = f"/{uuid.uuid4().hex}"
    job_id = await account.enqueue(method, callback_url=receiver.url(path), **body)
    await account.ended(job_id)
    (received,) = await receiver.received(1, path)
    assert received.json()["job_id"] == job_id
    return received


async def test_a_completed_job_is_told_key_by_key(account: Account, receiver: CallbackReceiver) -> None:
    before = datetime.now(UTC)
    meta = {"session_id": "session-123", "page": 1, "deep": [{"x": None}], "uni": "雪 ñ", "ok": True, "f": 1.5}
    received = await called_back(account, receiver, SEARCH, params={"per_page": 2, "text": "harbour"}, meta=meta)
    body = received.json()
    assert list(body) == KEYS
    status = (await account.status(body["job_id"]))["returnvalue"]
    assert body["user_id"] == account.user_id
    assert body["queue"] == "flickr_rest"
    assert body["state"] == "completed"
    assert body["result"] == status["flickr"]
    assert body["result"]["stat"] == "ok"
    assert body["error"] is None
    assert body["from_cache"] is False
    assert body["attempts_made"] == 1
    assert body["max_attempts"] == 3
    at = datetime.fromisoformat(body["timestamp"])
    assert at.utcoffset() == UTC.utcoffset(None)
    assert before <= at <= datetime.now(UTC)
    assert str(uuid.UUID(body["trace_id"])) == body["trace_id"] == status["observability"]["trace_id"]
    assert body["meta"] == meta


async def test_it_is_a_post_of_json(account: Account, receiver: CallbackReceiver) -> None:
    received = await called_back(account, receiver)
    assert received.method == "POST"
    assert received.headers["content-type"] == "application/json"
    assert int(received.headers["content-length"]) == len(received.body)


async def test_a_failed_job_is_told_with_flickrs_code(account: Account, receiver: CallbackReceiver) -> None:
    body = (await called_back(account, receiver, "flickr.photos.getInfo", params={"photo_id": "1"})).json()
    assert list(body) == KEYS
    assert body["state"] == "failed"
    assert body["result"] is None
    assert set(body["error"]) == {"message", "code"}
    assert body["error"]["code"] == "FLICKR_1"
    assert body["error"]["message"] == (await account.status(body["job_id"]))["failedReason"]
    assert body["from_cache"] is False
    assert body["attempts_made"] == 1
    assert body["meta"] is None


async def test_an_exhausted_job_tells_all_its_attempts(
    account: Account, receiver: CallbackReceiver, sim: Simulator
) -> None:
    await sim.fault(account.app, times=-1, code=105)
    body = (await called_back(account, receiver)).json()
    assert body["error"]["code"] == "FLICKR_105"
    assert body["attempts_made"] == body["max_attempts"] == 3


async def test_a_failure_of_ours_has_a_code_of_ours(
    account: Account, receiver: CallbackReceiver, sim: Simulator
) -> None:
    await sim.fault(account.app, times=-1, status=503)
    body = (await called_back(account, receiver)).json()
    assert body["error"]["code"].startswith("ERR_")


async def test_the_last_attempt_counts_among_those_made(
    account: Account, receiver: CallbackReceiver, sim: Simulator
) -> None:
    await sim.fault(account.app, times=1, code=105)
    body = (await called_back(account, receiver)).json()
    assert body["state"] == "completed"
    assert body["attempts_made"] == 2


async def test_a_cached_answer_says_so(account: Account, receiver: CallbackReceiver) -> None:
    first = (await called_back(account, receiver)).json()
    second = (await called_back(account, receiver)).json()
    assert (first["from_cache"], second["from_cache"]) == (False, True)
    assert second["result"] == first["result"]


async def test_the_body_is_compact_and_unescaped(account: Account, receiver: CallbackReceiver) -> None:
    meta = {"uni": "雪 ñ €", "html": "<&>'", "slash": "a/b", "quote": '"', "control": "\n\t\u2028"}
    received = await called_back(account, receiver, params={"x": "雪"}, meta=meta)
    assert received.body == json.dumps(received.json(), ensure_ascii=False, separators=(",", ":")).encode()
    assert "雪 ñ €".encode() in received.body


async def test_meta_comes_back_unchanged(account: Account, receiver: CallbackReceiver) -> None:
    meta = {"big": 2**63 - 1, "small": -(2**63), "pi": 3.14159, "": "", "$x": {"a.b": [[], {}]}, "z": 1, "a": 2}
    received = await called_back(account, receiver, meta=meta)
    assert received.json()["meta"] == meta
    assert list(received.json()["meta"]) == list(meta)


async def test_every_attempt_sends_the_same_bytes(account: Account, receiver: CallbackReceiver) -> None:
    receiver.script("/thrice", Reply(500), Reply(500))
    await account.enqueue(SEARCH, callback_url=receiver.url("/thrice"), callback_secret="s", params={"text": "roof"})
    first, second, third = await receiver.received(3, "/thrice")
    assert first.body == second.body == third.body
    assert first.headers["x-signature"] == third.headers["x-signature"]


async def test_a_job_without_a_callback_url_calls_nobody(account: Account, receiver: CallbackReceiver) -> None:
    await account.run(ECHO)
    await called_back(account, receiver)
    assert len(receiver.requests) == 1


async def test_the_trace_is_that_of_the_enqueue_request(account: Account, receiver: CallbackReceiver) -> None:
    trace = uuid.uuid4()
    headers = {"traceparent": f"00-{trace.hex}-00f067aa0ba902b7-01"}
    body = {"method": ECHO, "user_id": account.user_id, "callback_url": receiver.url("/traced")}
    reply = await account.hub.post("/api/v1/flickr/rest", body, headers)
    assert reply.status_code == 202
    (received,) = await receiver.received(1, "/traced")
    assert received.json()["trace_id"] == str(trace)
    version, trace_id, span_id, _ = received.headers["traceparent"].split("-")
    assert (version, trace_id) == ("00", trace.hex)
    assert span_id != "00f067aa0ba902b7"


async def test_without_a_trace_of_the_clients_each_job_begins_one(account: Account, receiver: CallbackReceiver) -> None:
    bodies = [await called_back(account, receiver, params={"n": n}) for n in range(2)]
    assert bodies[0].json()["trace_id"] != bodies[1].json()["trace_id"]
    for received in bodies:
        trace_id = received.headers["traceparent"].split("-")[1]
        assert received.json()["trace_id"] == str(uuid.UUID(trace_id))
