"""Accepting a job: what is stored, handed over, answered and logged."""

import asyncio
import json
import time
import uuid
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from opentelemetry.sdk.trace import TracerProvider

from flickrhub_common.addresses import AddressPolicy
from flickrhub_common.contracts import Target
from flickrhub_common.errors import Unavailable
from flickrhub_gateway.usecases.publish_job import message_of
from tests.unit.gateway.conftest import Logged
from tests.unit.gateway.fakes import KEY_RING, NOON, STRANGER, USER, FakeJobs, Surroundings

REST = "/api/v1/flickr/rest"
GOOD: dict[str, Any] = {"method": "flickr.test.echo", "user_id": USER}


async def test_a_job_is_stored_handed_over_and_answered_with_its_id(
    http: httpx2.AsyncClient, around: Surroundings
) -> None:
    reply = await http.post(REST, json={**GOOD, "params": {"name": "test"}, "meta": {"page": 1}})
    body = reply.json()
    assert reply.status_code == 202
    assert body == {"request_id": body["request_id"], "data": {"job_id": body["data"]["job_id"]}, "error": None}
    assert uuid.UUID(body["data"]["job_id"]).version == 4
    [job] = [kept.job for kept in around.jobs.kept.values()]
    assert around.publisher.handed == [job]
    assert (job.id, job.user_id, job.target, job.method) == (
        body["data"]["job_id"],
        USER,
        Target.REST,
        "flickr.test.echo",
    )
    assert (job.params, job.meta, job.callback, job.created_at) == ('{"name":"test"}', '{"page":1}', None, NOON)


async def test_the_shortest_call_is_enough(http: httpx2.AsyncClient, around: Surroundings) -> None:
    assert (await http.post(REST, json=GOOD)).status_code == 202
    [job] = around.publisher.handed
    assert (job.params, job.meta) == ("{}", None)


@pytest.mark.parametrize(("target", "more"), [("upload", {}), ("replace", {"photo_id": 1})])
async def test_uploads_need_no_method(
    http: httpx2.AsyncClient, around: Surroundings, target: str, more: dict[str, Any]
) -> None:
    params = {"photo_url": "https://photos.example.com/harbour.jpg", **more}
    reply = await http.post(REST, json={"user_id": USER, "target": target, "params": params})
    assert reply.status_code == 202
    assert around.publisher.handed[0].method is None


async def test_every_kind_of_value_and_any_key_reaches_the_executor_as_sent(
    http: httpx2.AsyncClient, around: Surroundings
) -> None:
    params = {"text": "sön 🌅", "n": 9223372036854775807, "f": 1.5, "b": True, "list": ["a", 1, False], "$a.b": "c"}
    meta = {"$where": {"a.b": [None, 0.1, {"": "x"}]}, "": -1}
    await http.post(REST, json={**GOOD, "params": params, "meta": meta})
    message = message_of(around.publisher.handed[0])
    assert (message.params, message.meta) == (params, meta)
    assert json.loads(message.to_bytes())["params"] == params


async def test_null_stands_for_an_optional_field_left_out(http: httpx2.AsyncClient, around: Surroundings) -> None:
    reply = await http.post(REST, json={**GOOD, "callback_url": None, "callback_secret": None, "meta": None})
    assert reply.status_code == 202
    assert around.publisher.handed[0].callback is None


async def test_a_user_id_in_capitals_is_the_same_user(http: httpx2.AsyncClient, around: Surroundings) -> None:
    assert (await http.post(REST, json={**GOOD, "user_id": USER.upper()})).status_code == 202
    assert around.publisher.handed[0].user_id == USER


async def test_a_callback_secret_is_kept_sealed_for_its_job_only(
    http: httpx2.AsyncClient, around: Surroundings, logged: Logged
) -> None:
    secret = "hmac-secret-in-clear"
    body = {**GOOD, "callback_url": "https://client.example.com/hook", "callback_secret": secret}
    reply = await http.post(REST, json=body)
    [job] = around.publisher.handed
    assert job.callback is not None
    assert job.callback.url == "https://client.example.com/hook"
    assert KEY_RING.open(job.callback.sealed_secret or "", purpose="callback_secret", owner=job.id) == secret
    assert secret not in repr(job) + reply.text + message_of(job).to_bytes().decode() + repr(logged)


async def test_a_callback_without_a_secret_is_kept_without_one(http: httpx2.AsyncClient, around: Surroundings) -> None:
    await http.post(REST, json={**GOOD, "callback_url": "https://client.example.com/hook"})
    callback = around.publisher.handed[0].callback
    assert callback is not None
    assert callback.sealed_secret is None


async def test_a_secret_without_a_url_is_accepted_and_not_kept(http: httpx2.AsyncClient, around: Surroundings) -> None:
    assert (await http.post(REST, json={**GOOD, "callback_secret": "pointless"})).status_code == 202
    assert around.publisher.handed[0].callback is None


async def test_a_listed_network_may_be_called_back() -> None:
    around = Surroundings(policy=AddressPolicy.parse("127.0.0.0/8"))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(around.app()), base_url="http://hub") as http:
        reply = await http.post(REST, json={**GOOD, "callback_url": "http://127.0.0.1:9/hook"})
    assert reply.status_code == 202


@pytest.mark.parametrize("user_id", [STRANGER, "nobody", USER.replace("-", ""), USER + "\n", "../" + USER])
async def test_an_unknown_user_is_a_404_and_nothing_is_stored(
    http: httpx2.AsyncClient, around: Surroundings, user_id: str
) -> None:
    reply = await http.post(REST, json={**GOOD, "user_id": user_id})
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "ERR_TOKEN_NOT_FOUND")
    assert user_id not in reply.text
    assert not around.jobs.kept


async def test_without_the_store_it_is_a_503_and_nothing_is_handed_over(
    http: httpx2.AsyncClient, around: Surroundings
) -> None:
    around.jobs.away = True
    reply = await http.post(REST, json=GOOD)
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "ERR_UNAVAILABLE")
    assert int(reply.headers["retry-after"]) > 0
    assert not around.publisher.handed


async def test_without_auth_it_is_a_503_and_nothing_is_stored(http: httpx2.AsyncClient, around: Surroundings) -> None:
    around.auth.failure = Unavailable("auth")
    reply = await http.post(REST, json=GOOD)
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "ERR_UNAVAILABLE")
    assert not around.jobs.kept


async def test_a_store_that_never_answers_is_a_503_within_three_seconds(
    http: httpx2.AsyncClient, around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(FakeJobs, "add", never)
    began = time.monotonic()
    reply = await http.post(REST, json=GOOD)
    assert reply.status_code == 503
    assert time.monotonic() - began < 3


async def test_the_job_keeps_the_trace_of_its_request_and_drops_the_baggage() -> None:
    around = Surroundings()
    headers = {
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "tracestate": "vendor=1",
        "baggage": "secret=1",
    }
    transport = httpx2.ASGITransport(around.app(tracer_provider=TracerProvider()))
    async with httpx2.AsyncClient(transport=transport, base_url="http://hub") as http:
        await http.post(REST, json=GOOD, headers=headers)
    [job] = around.publisher.handed
    assert job.trace_id == "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"
    assert set(job.trace_headers) == {"traceparent", "tracestate"}
    assert job.trace_headers["traceparent"].startswith("00-4bf92f3577b34da6a3ce929d0e0e4736-")


async def test_an_accepted_job_is_one_log_line_that_names_it(
    http: httpx2.AsyncClient, around: Surroundings, logged: Logged
) -> None:
    reply = await http.post(REST, json={**GOOD, "params": {"text": "private words"}})
    [line] = [line for line in logged if line["event"] == "job_accepted"]
    named = {name: line[name] for name in ("job_id", "user_id", "method", "target", "request_id")}
    assert named == {
        "job_id": reply.json()["data"]["job_id"],
        "user_id": USER,
        "method": "flickr.test.echo",
        "target": "rest",
        "request_id": reply.json()["request_id"],
    }
    assert "private words" not in repr(logged)


async def test_many_jobs_of_one_user_ask_auth_once(http: httpx2.AsyncClient, around: Surroundings) -> None:
    around.auth.hold = asyncio.Event()
    posts = [asyncio.create_task(http.post(REST, json=GOOD)) for _ in range(20)]
    await asyncio.sleep(0.05)
    around.auth.hold.set()
    assert {reply.status_code for reply in await asyncio.gather(*posts)} == {202}
    assert (await http.post(REST, json=GOOD)).status_code == 202
    assert around.auth.asked == [USER]
    around.clock.advance(timedelta(seconds=61).total_seconds())
    await http.post(REST, json=GOOD)
    assert around.auth.asked == [USER, USER]
