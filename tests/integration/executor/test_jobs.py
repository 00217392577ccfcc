"""A whole executor between RabbitMQ, Redis, a simulated Flickr and a stub of auth."""

import itertools
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from flickrhub_common.contracts import (
    JobCompleted,
    JobFailed,
    JobRetrying,
    TokenRejected,
    TokenRevoked,
)
from flickrhub_common.topology import DELAY_LEVELS, FLICKR_DLQ, delay_queue
from flickrhub_executor.models import json_params
from tests.integration.executor.parts import Hub, a_call
from tests.support.waiting import eventually, never

ECHO = "flickr.test.echo"
AWKWARD: dict[str, Any] = {
    "text": "a b+c&d=e~f%20g/h?i#j'(k)*!",
    "emoji": "日本 😀 é e\u0301",
    "empty": "",
    "list": ["x,y", "z w", 1, True],
    "yes": True,
    "no": False,
    "half": 1.5,
    "whole": 5.0,
    "big": 9223372036854775807,
    "line": "a\r\nb\tc",
    "näme with+signs&": "v",
    "~": "~",
    "quotes": "\"'<>\\",
}


async def test_a_job_is_completed_with_flickr_s_answer(hub: Hub) -> None:
    await hub.executor()
    job = a_call(meta={"mine": [1, "é"]})
    await hub.send(job)
    (event,) = await hub.ended([job])
    assert isinstance(event, JobCompleted)
    assert json.loads(event.flickr)["n"]["_content"] == job.params["n"]
    assert (event.http_status, event.attempts_made, event.from_cache) == (200, 1, False)
    assert (event.trace_id, event.meta) == (job.trace_id, {"mine": [1, "é"]})
    (call,) = hub.calls()
    assert call.http_method == "GET"


@pytest.mark.parametrize("long", [False, True], ids=["as GET", "too long for a URL, as POST"])
async def test_oauthlib_s_server_side_takes_the_signature_of_any_params(hub: Hub, long: bool) -> None:
    await hub.executor()
    params: dict[str, Any] = AWKWARD | ({"long": "ü " * 2000} if long else {})
    job = a_call(params=params)
    await hub.send(job)
    (event,) = await hub.ended([job])
    assert isinstance(event, JobCompleted), event
    answered = {name: value["_content"] for name, value in json.loads(event.flickr).items() if name != "stat"}
    assert dict(json_params(params)).items() <= answered.items()
    assert [call.http_method for call in hub.calls()] == ["POST" if long else "GET"]


async def test_a_write_goes_out_as_a_signed_post_and_changes_flickr_s_world(hub: Hub) -> None:
    await hub.executor()
    account = hub.auth._account
    photo = next(photo for photo in hub.simulator.world.photos.values() if photo.owner == account)
    title = "Hà Nội & +1 ~ 😀"
    job = a_call("flickr.photos.setMeta", params={"photo_id": photo.id, "title": title, "description": ""})
    await hub.send(job)
    (event,) = await hub.ended([job])
    assert isinstance(event, JobCompleted), event
    assert photo.title == title
    assert [call.http_method for call in hub.calls()] == ["POST"]


async def test_a_read_is_cached_until_a_write_of_the_same_user(hub: Hub) -> None:
    await hub.executor()
    photo = next(p for p in hub.simulator.world.photos.values() if p.owner == hub.auth._account)
    read, write = "flickr.photos.getInfo", "flickr.photos.setMeta"
    cached, last = [], ""
    for method in (read, read, write, read, read):
        title = {"title": "new"} if method == write else {}
        job = a_call(method, params={"photo_id": photo.id, **title})
        await hub.send(job)
        (event,) = await hub.ended([job])
        assert isinstance(event, JobCompleted), event
        cached.append(event.from_cache)
        last = event.flickr
    assert cached == [False, True, False, False, True]
    assert '"title":{"_content":"new"}' in last


async def test_flickr_s_refusal_fails_the_job_and_buries_it_once(hub: Hub) -> None:
    await hub.executor()
    job = a_call("flickr.photos.getInfo", params={"photo_id": "1"})
    await hub.send(job)
    (event,) = await hub.ended([job])
    assert isinstance(event, JobFailed)
    assert (event.failure.code, event.attempts_made) == ("FLICKR_1", 1)
    (letter,) = await hub.letters()
    assert json.loads(letter.body)["job_id"] == job.job_id
    assert letter.headers["reason"] == event.failure.message
    assert (letter.headers["code"], letter.headers["attempts"]) == ("FLICKR_1", 1)
    assert letter.headers["trace_id"] == job.trace_id
    assert await hub.rabbit.depth(FLICKR_DLQ) == 0


PASSING: list[dict[str, Any]] = [
    {"code": 105},
    {"code": 106},
    {"code": 0, "message": "Sorry, the Flickr API service is not currently available."},
    {"code": 201, "message": "Sorry, the Flickr API service is not currently available."},
    {"status": 429},
    {"status": 500},
    {"status": 502},
    {"status": 503},
    {"status": 504},
    {"status": 418, "body": "Sorry, the Flickr API service is not currently available."},
    {"body": '{"photos":{"page":1'},
    {"body": '<?xml version="1.0" encoding="utf-8" ?><rsp stat="ok"></rsp>'},
    {"drop": "before"},
    {"drop": "after"},
    {"latency_ms": 3000},
]


async def test_what_passes_is_tried_again(hub: Hub) -> None:
    await hub.executor(flickr_timeout_seconds=0.5)
    for fault in PASSING:
        hub.fault(match={"method": ECHO}, times=2, **fault)
        job = a_call()
        await hub.send(job)
        (event,) = await hub.ended([job])
        assert isinstance(event, JobCompleted), (fault, event)
        assert event.attempts_made == 3, fault
        retrying = [each for each in await hub.told(JobRetrying) if isinstance(each, JobRetrying)]
        assert [each.attempts_made for each in retrying if each.job_id == job.job_id] == [1, 2], fault
    assert len(hub.calls()) == 3 * len(PASSING)


async def test_what_doesn_t_pass_ends_after_the_last_attempt(hub: Hub) -> None:
    await hub.executor()
    hub.fault(match={"method": ECHO}, times=-1, status=502)
    job = a_call()
    await hub.send(job)
    (event,) = await hub.ended([job])
    assert isinstance(event, JobFailed)
    assert (event.attempts_made, event.failure.code) == (3, "ERR_FLICKR_UNAVAILABLE")
    (letter,) = await hub.letters()
    assert letter.headers["attempts"] == 3
    assert len(hub.calls()) == 3


async def test_flickr_s_retry_after_is_waited_for(hub: Hub) -> None:
    await hub.executor()
    hub.fault(match={"method": ECHO}, times=1, status=429, headers={"Retry-After": "2"})
    job = a_call()
    await hub.send(job)
    await hub.ended([job])
    first, second = hub.calls()
    assert 2.0 <= second.at - first.at < 4.0


async def test_nobody_listening_at_flickr_s_address_is_tried_again_too(hub: Hub) -> None:
    await hub.executor(flickr_sim_url="http://127.0.0.1:1")
    job = a_call()
    await hub.send(job)
    (event,) = await hub.ended([job])
    assert isinstance(event, JobFailed)
    assert (event.attempts_made, event.failure.code) == (3, "ERR_FLICKR_UNREACHABLE")


@pytest.mark.parametrize("fault", [{"drop": "after"}, {"status": 504}, {"latency_ms": 3000, "drop": "after"}], ids=str)
async def test_a_repeatable_write_whose_answer_is_lost_counts_as_done_on_the_repetition(
    hub: Hub, fault: dict[str, Any]
) -> None:
    await hub.executor(flickr_timeout_seconds=0.5)
    photo = next(p for p in hub.simulator.world.photos.values() if p.owner != hub.auth._account)
    hub.fault(match={"method": "flickr.favorites.add"}, times=1, **fault)
    job = a_call("flickr.favorites.add", params={"photo_id": photo.id})
    await hub.send(job)
    (event,) = await hub.ended([job])
    assert isinstance(event, JobCompleted), event
    assert event.attempts_made == 2


async def test_a_write_that_makes_a_new_thing_isn_t_repeated_when_its_answer_is_lost(hub: Hub) -> None:
    await hub.executor()
    photo = next(p for p in hub.simulator.world.photos.values() if p.owner == hub.auth._account)
    hub.fault(match={"method": "flickr.photosets.create"}, times=1, drop="after")
    job = a_call("flickr.photosets.create", params={"title": "T", "primary_photo_id": photo.id})
    await hub.send(job)
    (event,) = await hub.ended([job])
    assert isinstance(event, JobFailed)
    assert event.failure.code == "ERR_OUTCOME_UNKNOWN"
    assert len(hub.calls("flickr.photosets.create")) == 1


async def test_a_dead_token_is_told_to_auth_and_a_new_one_is_asked_for(hub: Hub) -> None:
    await hub.executor()
    token = hub.auth.token_of("user-1")
    hub.simulator.credentials.revoke(token)
    hub.fault(match={"method": "flickr.test.login"}, times=1, code=98, message="Invalid auth token")
    first, second = a_call("flickr.test.login"), a_call("flickr.test.login")
    await hub.send(first)
    (event,) = await hub.ended([first])
    assert isinstance(event, JobFailed)
    assert event.failure.code == "FLICKR_98"
    (rejected,) = await hub.told(TokenRejected)
    assert isinstance(rejected, TokenRejected)
    assert (rejected.user_id, rejected.fingerprint) == ("user-1", "0123456789abcdef")
    await hub.send(second)
    await hub.ended([second])
    assert hub.auth.lent["user-1"] == 2


async def test_a_revoked_token_is_dropped_from_memory_by_the_event(hub: Hub) -> None:
    await hub.executor()
    job = a_call()
    await hub.send(job)
    await hub.ended([job])
    await hub.sender.send_event(TokenRevoked(user_id="user-1", reason="by a test", at=datetime.now(UTC)))

    async def asked_again() -> bool:
        again = a_call()
        await hub.send(again)
        await hub.ended([again])
        return hub.auth.lent["user-1"] == 2

    await eventually(asked_again, what="another question to auth")


async def test_a_user_auth_doesn_t_know_fails_without_a_call(hub: Hub) -> None:
    await hub.executor()
    hub.auth.unknown.add("nobody")
    job = a_call(user_id="nobody")
    await hub.send(job)
    (event,) = await hub.ended([job])
    assert isinstance(event, JobFailed)
    assert event.failure.code == "ERR_TOKEN_NOT_FOUND"
    assert hub.calls() == []


async def test_without_auth_jobs_wait_uncounted_and_go_on_when_it_is_back(hub: Hub) -> None:
    checks = await hub.executor(job_retry_attempts=1)
    hub.auth.away = True
    job = a_call()
    await hub.send(job)
    await eventually(lambda: hub.auth.lent["user-1"] >= 1, what="a question to auth")
    assert await hub.told() == []
    hub.auth.away = False
    (event,) = await hub.ended([job])
    assert isinstance(event, JobCompleted)
    assert event.attempts_made == 1
    assert set(checks) == {"rabbitmq", "redis", "auth"}
    for check in checks.values():
        await check()


GARBAGE: list[tuple[bytes, str | None]] = [
    (b"", "job.requested"),
    (b"not json", "job.requested"),
    (b"\xff\xfe\x00", "job.requested"),
    (b"[]", "job.requested"),
    (b"{}", "job.requested"),
    (b'{"job_id":1}', "job.requested"),
    (b'{"version":2,"job_id":"a","user_id":"b","target":"rest","trace_id":"c"}', "job.requested"),
    (b'{"job_id":"a","user_id":"b","target":"moon","trace_id":"c"}', "job.requested"),
    (b'{"job_id":"\\ud800","user_id":"b","target":"rest","trace_id":"c"}', "job.requested"),
    (b"[" * 100_000, "job.requested"),
    (b"x" * 1_000_000, None),
]


async def test_garbage_is_buried_with_its_reason_and_the_next_job_is_done(hub: Hub) -> None:
    await hub.executor(worker_concurrency=1)
    for body, kind in GARBAGE:
        await hub.rabbit.publish(body, exchange="flickr.jobs", key="rest", type=kind)
    job = a_call()
    await hub.send(job)
    (event,) = await hub.ended([job])
    assert isinstance(event, JobCompleted)
    letters = await hub.letters(len(GARBAGE))
    assert [letter.body for letter in letters] == [body for body, _ in GARBAGE]
    for letter in letters:
        assert letter.headers["reason"].startswith("unreadable"), letter.body[:50]


async def test_odd_but_readable_jobs_end_and_stop_nobody(hub: Hub) -> None:
    await hub.executor(worker_concurrency=2)
    odd = [
        a_call(user_id="../../health"),
        a_call(user_id="a\nb c?d#e"),
        a_call(user_id=""),
        a_call(method=""),
        a_call(method="flickr.no.such\r\nmethod"),
        a_call(params={"": ""}),
        a_call(params={"deep": {"a": [{"b": None}]}}),
        a_call(params={"nul": "a\x00b"}),
        a_call(params={"method": "flickr.test.null", "format": "xml", "oauth_token": "x"}),
        a_call(method=None),
        a_call(params={f"p{n}": "v" * 100 for n in range(500)}),
    ]
    fine = a_call()
    await hub.send(*odd, fine)
    outcomes = await hub.ended([*odd, fine])
    assert isinstance(outcomes[-1], JobCompleted)


# -- copies ----------------------------------------------------------------------------------------------------------


@pytest.mark.few  # the time-out is short, so that a lease is
@pytest.mark.parametrize(("outcome", "latency_ms"), [("completed", 300), ("failed", 0)])
async def test_a_message_sent_five_times_is_one_call_and_one_outcome(hub: Hub, outcome: str, latency_ms: int) -> None:
    await hub.executor(flickr_timeout_seconds=1)
    await hub.executor(flickr_timeout_seconds=1)
    jobs = [a_call("flickr.photos.getInfo" if outcome == "failed" else ECHO) for _ in range(10)]
    if latency_ms:
        hub.fault(match={}, times=-1, latency_ms=latency_ms)
    await hub.send(*[job for job in jobs for _ in range(5)])
    events = await hub.ended(jobs)
    assert {event.name for event in events} == {f"job.{outcome}"}
    await _until_idle(hub)
    await hub.ended(jobs)  # still one each
    assert len(hub.calls()) == 10
    assert await hub.rabbit.depth(FLICKR_DLQ) == (10 if outcome == "failed" else 0)


async def _until_idle(hub: Hub) -> None:
    """Wait until no copy is left anywhere: not in the ladder, not in the queue, not at an executor."""
    quiet = 0

    async def idle() -> bool:
        nonlocal quiet
        waiting = [await hub.rabbit.depth(name) for name in (*map(delay_queue, range(DELAY_LEVELS)), "flickr_rest")]
        quiet = 0 if sum(waiting) else quiet + 1
        return quiet == 3  # between two levels a message is in neither

    await eventually(idle, within=60, every=0.3, what="an empty ladder")


# -- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.alone
async def test_calls_of_a_user_are_apart_and_those_of_others_at_once(hub: Hub) -> None:
    await hub.executor(flickr_rate_limit_per_second=2)
    slow = [a_call(user_id="slow") for _ in range(8)]
    others = [a_call(user_id=f"user-{n}") for n in range(8)]
    await hub.send(*slow, *others)
    await hub.ended([*slow, *others])
    token = hub.auth.token_of("slow")
    times = sorted(call.at for call in hub.calls() if call.oauth_token == token)
    apart = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert min(apart) > 0.5 - 0.1
    assert 3.4 < times[-1] - times[0] < 6.5
    assert max(call.at for call in hub.calls() if call.oauth_token != token) - times[0] < 2


@pytest.mark.few
async def test_a_thousand_jobs_of_one_user_don_t_delay_another_s(hub: Hub) -> None:
    """Nor, by much, while they come in: then the other's job stands behind all of them in the queue."""
    await hub.executor(flickr_rate_limit_per_second=1, flickr_rate_limit_per_hour=3500)
    crowd = [a_call(user_id="many") for _ in range(1000)]
    await hub.send(*crowd)
    behind = a_call(user_id="behind")
    await hub.send(behind)
    started = time.monotonic()
    await hub.ended([behind])
    took_behind = time.monotonic() - started

    async def all_wait() -> bool:
        return await hub.rabbit.depth("flickr_rest") == 0

    await eventually(all_wait, what="an empty queue")
    later = a_call(user_id="one")
    started = time.monotonic()
    await hub.send(later)
    await hub.ended([later])
    assert time.monotonic() - started < 2
    assert took_behind < 6
    many = [call for call in hub.calls() if call.oauth_token == hub.auth.token_of("many")]
    assert 1 <= len(many) < 15


async def test_the_key_s_budget_holds_over_two_executors_and_waiting_costs_no_attempt(hub: Hub) -> None:
    for _ in range(2):
        await hub.executor(flickr_rate_limit_per_hour=5)
    jobs = [a_call(user_id=f"user-{n % 3}") for n in range(12)]
    await hub.send(*jobs)
    await eventually(lambda: len(hub.calls()) >= 5, what="five calls")
    await never(lambda: len(hub.calls()) > 5, during=1.5, what="a sixth call")
    events = await hub.told()
    assert {event.name for event in events} == {"job.completed"}
    assert len(events) == 5
