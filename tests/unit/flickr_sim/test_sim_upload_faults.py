"""What goes wrong with uploads when a test orders it, and how late the search may be."""

import time
from typing import Any

import pytest

from flickr_sim.settings import DEMO_API_KEY
from tests.unit.flickr_sim.caller import BASE, JPEG, MULTIPART, Caller, multipart

SORRY = "Sorry, the Flickr API service is not currently available."


def uploaded(sim: Caller) -> int:
    return sum(photo.file is not None for photo in sim.simulator.world.photos.values())


async def order(sim: Caller, **fault: Any) -> None:
    answer = await sim.http.post("/_sim/faults", json=fault)
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (0, "Video uploads are temporarily disabled"),
        (3, "General upload failure"),
        (6, "User exceeded upload limit"),
        (10, "Not a valid url to upload from"),
        (14, "Auto Upload disabled for Non pro User / server at capacity"),
        (105, "Service currently unavailable"),
        (106, "Write operation failed"),
    ],
)
@pytest.mark.parametrize("kind", ["upload", "replace"])
async def test_a_code_has_the_words_of_uploads_and_comes_as_xml(
    rough_sim: Caller, kind: str, code: int, message: str
) -> None:
    await order(rough_sim, match={"kind": kind}, code=code)
    answer = await rough_sim.upload(rough_sim.grant("write"), kind=kind, format="json", nojsoncallback="1")
    assert answer.headers["content-type"] == "text/xml; charset=utf-8"
    assert f'\t<err code="{code}" msg="{message}" />\n' in answer.text
    assert uploaded(rough_sim) == 0


async def test_the_same_codes_keep_their_meaning_elsewhere(sim: Caller) -> None:
    await order(sim, code=0, times=2)
    assert (await sim.error("flickr.test.echo"))[1] == SORRY
    assert "Video uploads" in (await sim.upload(None)).text
    await order(sim, code=201)
    assert (await sim.upload(None)).text == f'{{"stat":"fail","message":"{SORRY}","code":201}},'


@pytest.mark.parametrize(
    ("fault", "stored"),
    [
        ({"status": 500}, 0),
        ({"status": 502}, 0),
        ({"status": 504}, 1),
        ({"status": 504, "works": False}, 0),
        ({"status": 500, "works": True}, 1),
        ({"code": 3, "works": True}, 1),
        ({"status": 429}, 0),
        ({"drop": "before"}, 0),
        ({"drop": "during"}, 0),
        ({"drop": "after"}, 1),
        ({"body": "<html>", "status": 503}, 0),
        ({"latency_ms": 1}, 1),
        ({"stall_ms": 1}, 1),
    ],
)
async def test_a_fault_leaves_the_photo_stored_or_not(sim: Caller, fault: dict[str, Any], stored: int) -> None:
    await order(sim, match={"kind": "upload", "api_key": DEMO_API_KEY}, **fault)
    if "drop" in fault:
        with pytest.raises(ConnectionAbortedError):
            await sim.upload(sim.grant("write"))
    else:
        await sim.upload(sim.grant("write"))
    assert uploaded(sim) == stored
    assert (await sim.http.get("/_sim/faults")).json() == []
    (call,) = (await sim.http.get("/_sim/calls")).json()
    assert (call["kind"], call["api_key"]) == ("upload", DEMO_API_KEY)
    assert (call["status"] is None) is ("drop" in fault)
    assert (call["sha256"] is None) is (fault == {"drop": "during"})


async def test_a_drop_during_the_body_takes_about_half_of_it(sim: Caller) -> None:
    token = sim.grant("write")
    body = multipart(("a.jpg", JPEG + bytes(1_000_000)))
    taken = 0

    async def stream() -> Any:
        nonlocal taken
        for start in range(0, len(body), 10_000):
            taken = start
            yield body[start : start + 10_000]

    for length, least, most in ((str(len(body)), 490_000, 510_000), (None, 0, 0)):
        await order(sim, drop="during")
        url, headers, _ = sim.client(token).sign(f"{BASE}/services/upload/", "POST")
        headers |= {"Content-Type": MULTIPART} | ({"Content-Length": length} if length else {})
        with pytest.raises(ConnectionAbortedError):
            await sim.http.post(url, content=stream(), headers=headers)
        assert least <= taken <= most
    assert uploaded(sim) == 0


async def test_a_drop_during_the_body_leaves_other_calls_alone(sim: Caller) -> None:
    await order(sim, drop="during", match={"api_key": "0" * 32})
    await order(sim, drop="during", match={"kind": "replace"})
    await order(sim, drop="during")
    await sim.ok("flickr.test.echo")
    token = sim.grant("write")
    with pytest.raises(ConnectionAbortedError):
        await sim.upload(token)
    assert 'stat="ok"' in (await sim.upload(token)).text
    assert len((await sim.http.get("/_sim/faults")).json()) == 2


async def test_a_fault_may_be_for_calls_with_certain_fields(sim: Caller) -> None:
    token = sim.grant("write")
    await order(sim, match={"params": {"title": "b", "tags": "x"}}, code=3)
    await order(sim, match={"params": {"user_id": "me"}, "method": "flickr.photos.search"}, code=105)
    for title, tags, fails in (("a", "x", False), ("b", "y", False), ("b", "x", True), ("b", "x", False)):
        assert ('code="3"' in (await sim.upload(token, title=title, tags=tags)).text) is fails
    await sim.ok("flickr.photos.search", token, text="x")
    assert (await sim.error("flickr.photos.search", token, user_id="me"))[0] == 105


async def test_a_stalled_answer_comes_whole_after_the_work_was_done(sim: Caller) -> None:
    await order(sim, match={"kind": "upload"}, stall_ms=120)
    started = time.monotonic()
    answer = await sim.upload(sim.grant("write"))
    assert time.monotonic() - started >= 0.12
    assert answer.text.endswith("</photoid>\n</rsp>\n")
    await order(sim, match={"kind": "rest"}, stall_ms=1, code=105)
    assert (await sim.error("flickr.test.echo"))[0] == 105


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ({"drop": "during", "match": {"kind": "rest"}}, "only an upload"),
        ({"drop": "during", "match": {"kind": "oauth"}}, "only an upload"),
        ({"drop": "during", "match": {"method": "x"}}, "kind and api_key only"),
        ({"drop": "during", "match": {"params": {"title": "t"}}}, "kind and api_key only"),
        ({"stall_ms": -1}, "stall_ms"),
        ({"code": 1, "match": {"params": {"title": 1}}}, "title"),
    ],
)
async def test_a_fault_that_makes_no_sense_is_refused(world_sim: Caller, fault: dict[str, Any], word: str) -> None:
    answer = await world_sim.http.post("/_sim/faults", json=fault)
    assert answer.status_code == 422
    assert word in answer.text


async def test_the_search_may_be_late_while_the_photostream_is_not(sim: Caller) -> None:
    token = sim.grant("write")
    delay = await sim.http.post("/_sim/search", json={"lag_seconds": 30})
    assert (delay.status_code, delay.json()) == (200, {"lag_seconds": 30.0})
    await sim.upload(token, tags="hub:job=7")

    async def found() -> int:
        search = await sim.ok("flickr.photos.search", token, user_id="me", machine_tags="hub:job=7")
        return len(search["photos"]["photo"])

    assert await found() == 0
    listed = await sim.ok("flickr.people.getPhotos", token, user_id="me", extras="machine_tags", per_page="1")
    assert [one["machine_tags"] for one in listed["photos"]["photo"]] == ["hub:job=7"]
    sim.clock.moved = 29
    assert await found() == 0
    sim.clock.moved = 31
    assert await found() == 1
    await sim.upload(token, JPEG + b"2", tags="hub:job=7")
    assert await found() == 1
    await sim.http.post("/_sim/search", json={"lag_seconds": 0})
    assert await found() == 2


@pytest.mark.parametrize("delay", [{}, {"lag_seconds": -1}, {"lag_seconds": "x"}, {"lag_seconds": 1, "x": 1}])
async def test_a_delay_that_makes_no_sense_is_refused(world_sim: Caller, delay: dict[str, Any]) -> None:
    assert (await world_sim.http.post("/_sim/search", json=delay)).status_code == 422
