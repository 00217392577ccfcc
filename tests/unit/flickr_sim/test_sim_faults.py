"""What a test can make go wrong, and how Flickr's answers look then."""

import time
from typing import Any

import pytest

from flickr_sim.settings import Settings
from flickr_sim.simulator import Simulator
from tests.unit.flickr_sim.caller import Caller, Clock

TOO_MANY = (
    b"<html><body><h1>429 Too Many Requests</h1>\n"
    b"You have sent too many requests in a given amount of time.\n"
    b"</body></html>\n"
)
SORRY = "Sorry, the Flickr API service is not currently available."


async def order(sim: Caller, **fault: Any) -> None:
    answer = await sim.http.post("/_sim/faults", json={"times": 1, **fault})
    assert answer.status_code == 201, answer.text


async def test_429_is_haproxys_page_without_retry_after(sim: Caller) -> None:
    await order(sim, match={"kind": "rest"}, status=429)
    answer = await sim.rest("flickr.test.echo")
    assert (answer.status_code, len(answer.content), answer.content) == (429, 117, TOO_MANY)
    headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
    assert headers == {"cache-control": "no-cache", "connection": "close", "content-type": "text/html"}


@pytest.mark.parametrize("status", [500, 502, 504])
async def test_a_server_error_is_html_of_who_stands_in_front(sim: Caller, status: int) -> None:
    await order(sim, status=status)
    answer = await sim.rest("flickr.test.echo")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/html"
    assert answer.text.lower().startswith(("<html>", "<!doctype html"))
    if status != 500:
        assert answer.headers["server"] == "CloudFront"
        assert len(answer.content) > 800


@pytest.mark.parametrize("status", [400, 418])
async def test_flickr_down_says_sorry_with_a_strange_status(sim: Caller, status: int) -> None:
    await order(sim, status=status)
    answer = await sim.rest("flickr.test.echo")
    assert (answer.status_code, answer.text) == (status, SORRY)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (105, "Service currently unavailable"),
        (106, "Write operation failed"),
        (98, "Invalid auth token"),
        (100, "Invalid API Key (Key has expired)"),
        (0, SORRY),
    ],
)
async def test_a_code_is_flickrs_error_in_the_format_asked_for(sim: Caller, code: int, message: str) -> None:
    await order(sim, code=code, times=2)
    answer = await sim.rest("flickr.test.echo")
    assert (answer.status_code, answer.json()) == (200, {"stat": "fail", "code": code, "message": message})
    answer = await sim.rest("flickr.test.echo", format="rest")
    assert f'<err code="{code}" msg="{message}" />' in answer.text


async def test_code_201_is_json_with_a_comma_even_where_xml_was_asked(sim: Caller) -> None:
    await order(sim, code=201)
    answer = await sim.rest("flickr.test.echo", format="rest")
    assert answer.text == f'{{"stat":"fail","message":"{SORRY}","code":201}},'


async def test_a_message_of_ones_own_and_a_status_beside_a_code(sim: Caller) -> None:
    await order(sim, code=105, message="Down for a massage", status=503, headers={"X-Why": "test"})
    answer = await sim.rest("flickr.test.echo")
    assert (answer.status_code, answer.json()["message"]) == (503, "Down for a massage")
    assert answer.headers["x-why"] == "test"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("<html>no</html>", "text/html"),
        ("<rsp/>", "text/xml; charset=utf-8"),
        ('{"half":', "application/json"),
        ("oauth_problem=timestamp_refused", "text/plain;charset=UTF-8"),
    ],
)
async def test_any_body_can_be_answered(sim: Caller, body: str, content_type: str) -> None:
    await order(sim, body=body, status=401)
    answer = await sim.rest("flickr.test.echo")
    assert (answer.status_code, answer.text, answer.headers["content-type"]) == (401, body, content_type)


async def test_faults_hit_only_what_they_match_in_order_and_only_so_often(sim: Caller) -> None:
    await order(sim, match={"method": "flickr.test.null"}, code=1)
    await order(sim, match={"method": "flickr.test.echo"}, code=2, times=2)
    await order(sim, match={"api_key": "0" * 32}, code=3, times=-1)
    await order(sim, match={"kind": "oauth", "method": "request_token"}, status=429)
    codes = [(await sim.rest("flickr.test.echo")).json().get("code") for _ in range(3)]
    assert codes == [2, 2, None]
    for _ in range(3):
        assert (await sim.rest("flickr.test.echo", api_key="0" * 32)).json()["code"] == 3
    request = await sim.signed("/services/oauth/request_token", {}, client=sim.client(callback_uri="oob"))
    assert request.status_code == 429
    waiting = (await sim.http.get("/_sim/faults")).json()
    assert [(fault["code"], fault["times"]) for fault in waiting] == [(1, 1), (3, -1)]
    assert (await sim.http.delete("/_sim/faults")).status_code == 204
    assert (await sim.http.get("/_sim/faults")).json() == []


async def test_a_fault_leaves_the_work_undone(sim: Caller) -> None:
    token = sim.grant()
    photo = next(one for one in sim.simulator.world.photos.values() if one.owner == token.account)
    for fault in ({"status": 500}, {"status": 429}, {"code": 105}, {"body": "x"}):
        await order(sim, **fault)
        await sim.rest("flickr.photos.setMeta", token, photo_id=photo.id, title="changed")
        assert photo.title != "changed"


async def test_504_comes_after_the_work_was_done(sim: Caller) -> None:
    token = sim.grant()
    photo = next(one for one in sim.simulator.world.photos.values() if one.owner == token.account)
    await order(sim, status=504)
    answer = await sim.rest("flickr.photos.setMeta", token, photo_id=photo.id, title="changed")
    assert (answer.status_code, photo.title) == (504, "changed")


async def test_a_dropped_call_is_cut_before_or_after_its_work(sim: Caller) -> None:
    token = sim.grant()
    photo = next(one for one in sim.simulator.world.photos.values() if one.owner == token.account)
    for drop, title in (("before", photo.title), ("after", "changed")):
        await order(sim, drop=drop)
        with pytest.raises(ConnectionAbortedError):
            await sim.rest("flickr.photos.setMeta", token, photo_id=photo.id, title="changed")
        assert photo.title == title
    calls = (await sim.http.get("/_sim/calls")).json()
    assert [call["status"] for call in calls] == [None, None]


async def test_latency_alone_delays_and_then_works(sim: Caller) -> None:
    await order(sim, latency_ms=120)
    started = time.monotonic()
    assert (await sim.rest("flickr.test.echo")).json()["stat"] == "ok"
    assert time.monotonic() - started >= 0.12


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ({}, "a fault needs one of"),
        ({"code": 105, "times": 0}, "times"),
        ({"code": 105, "times": -2}, "times"),
        ({"message": "x"}, "a message needs a code"),
        ({"code": 1, "body": "x"}, "not both"),
        ({"status": 99}, "status"),
        ({"status": 101}, "status"),
        ({"drop": "sideways"}, "drop"),
        ({"latency_ms": -1}, "latency_ms"),
        ({"code": 1, "match": {"verb": "GET"}}, "verb"),
        ({"code": 1, "match": {"kind": "soap"}}, "kind"),
        ({"code": 1, "unknown": 1}, "unknown"),
        ({"status": 500, "headers": {"bad name": "x"}}, "can't be sent"),
        ({"status": 500, "headers": {"x": "a\nb"}}, "can't be sent"),
        ({"status": 500, "headers": {"Content-Length": "9"}}, "can't be sent"),
    ],
)
async def test_a_fault_that_makes_no_sense_is_refused_with_the_reason(
    world_sim: Caller, fault: dict[str, Any], word: str
) -> None:
    answer = await world_sim.http.post("/_sim/faults", json=fault)
    assert answer.status_code == 422
    assert word in answer.text


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b'{"code": NaN}'])
async def test_a_control_body_that_is_no_json_is_refused(world_sim: Caller, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await world_sim.http.post("/_sim/faults", content=body, headers=headers)
    assert answer.status_code in (400, 422)


async def test_a_fault_may_say_what_no_encoding_can(sim: Caller) -> None:
    """A lone surrogate in JSON input must come out again somehow, never as a 500."""
    for fault in ('{"code": 1, "message": "\\ud800"}', '{"body": "\\ud800"}', '{"code": 1, "\\ud800": 1}'):
        headers = {"Content-Type": "application/json"}
        answer = await sim.http.post("/_sim/faults", content=fault, headers=headers)
        assert answer.status_code in (201, 422)
    assert (await sim.http.get("/_sim/faults")).json()[0]["message"] == "\ud800"
    assert (await sim.rest("flickr.test.echo")).json()["code"] == 1
    assert (await sim.rest("flickr.test.echo")).text == "?"


async def test_above_the_hourly_budget_a_key_gets_429_until_the_hour_has_passed() -> None:
    clock = Clock()
    sim = Caller(Simulator(Settings(rate_limit_per_hour=3), clock), clock)
    async with sim.http:
        await sim.http.post("/_sim/apps", json={"api_key": "ab" * 16, "api_secret": "cd" * 8})
        statuses = [(await sim.rest("flickr.test.echo")).status_code for _ in range(5)]
        assert statuses == [200, 200, 200, 429, 429]
        assert (await sim.rest("flickr.test.echo", api_key="ab" * 16)).status_code == 200
        answer = await sim.signed("/services/oauth/request_token", {}, client=sim.client(callback_uri="oob"))
        assert (answer.status_code, answer.content) == (429, TOO_MANY)
        clock.moved = 3601
        assert (await sim.rest("flickr.test.echo")).status_code == 200
