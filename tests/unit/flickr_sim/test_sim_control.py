"""The control API: apps, calls, photos, state, tokens."""

import hashlib
from pathlib import Path

import pytest

from flickr_sim import calls
from flickr_sim.settings import DEMO_API_KEY, DEMO_API_SECRET, Settings
from flickr_sim.simulator import Simulator
from tests.unit.flickr_sim.caller import JPEG, Caller, Clock, verifier_in

NEW_APP = {"api_key": "ab" * 16, "api_secret": "cd" * 8}


async def test_health_is_ok(world_sim: Caller) -> None:
    answer = await world_sim.http.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_a_registered_app_can_call_at_once(sim: Caller) -> None:
    assert (await sim.error("flickr.test.echo", api_key="ab" * 16))[1] == "Invalid API Key (Key not found)"
    assert (await sim.http.post("/_sim/apps", json=NEW_APP)).status_code == 201
    assert await sim.ok("flickr.test.echo", api_key="ab" * 16)


@pytest.mark.parametrize(
    "app",
    [
        {},
        {"api_key": "short", "api_secret": "cd" * 8},
        {"api_key": "AB" * 16, "api_secret": "cd" * 8},
        {"api_key": "ab" * 16, "api_secret": 5},
        {**NEW_APP, "name": "x"},
    ],
)
async def test_an_app_that_flickr_could_not_have_is_refused(world_sim: Caller, app: dict[str, object]) -> None:
    assert (await world_sim.http.post("/_sim/apps", json=app)).status_code == 422


async def test_calls_are_listed_as_received_without_secrets(sim: Caller) -> None:
    token = sim.grant()
    before = sim.clock()
    await sim.approved()
    await sim.ok("flickr.photos.search", token, user_id="me", text="ü")
    await sim.http.post("/services/upload/", files={"photo": b"x"})
    listed = (await sim.http.get("/_sim/calls")).json()
    assert [call["n"] for call in listed] == [1, 2, 3, 4]
    assert [(call["kind"], call["method"], call["status"]) for call in listed] == [
        ("oauth", "request_token", 200),
        ("oauth", "authorize", 200),
        ("rest", "flickr.photos.search", 200),
        ("upload", None, 200),
    ]
    assert (listed[3]["bytes"], listed[3]["sha256"]) == (1, hashlib.sha256(b"x").hexdigest())
    search = listed[2]
    members = ["n", "at", "kind", "method", "http_method", "api_key", "oauth_token", "params", "status"]
    assert list(search) == members
    assert before <= search["at"] <= sim.clock()
    assert (search["api_key"], search["oauth_token"], search["http_method"]) == (DEMO_API_KEY, token.token, "POST")
    assert search["params"] == {
        "method": "flickr.photos.search",
        "format": "json",
        "nojsoncallback": "1",
        "user_id": "me",
        "text": "ü",
    }
    assert "oauth_signature" not in str(listed)
    assert [call["n"] for call in (await sim.http.get("/_sim/calls?after=2")).json()] == [3, 4]
    assert [call["n"] for call in (await sim.http.get("/_sim/calls?after=1&limit=2")).json()] == [2, 3]
    assert (await sim.http.get("/_sim/calls?after=4")).json() == []


@pytest.mark.parametrize("after", ["-1", "x", "1.5"])
async def test_a_wrong_after_is_refused(world_sim: Caller, after: str) -> None:
    assert (await world_sim.http.get(f"/_sim/calls?after={after}")).status_code == 422


async def test_the_call_log_keeps_only_the_last_calls(sim: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "CALLS_KEPT", 3)
    for _ in range(5):
        await sim.rest("flickr.test.echo")
    assert [call["n"] for call in (await sim.http.get("/_sim/calls")).json()] == [3, 4, 5]
    assert [call["n"] for call in (await sim.http.get("/_sim/calls?after=4")).json()] == [5]
    monkeypatch.setattr(calls, "CHARACTERS_KEPT", 10_000)
    await sim.rest("flickr.test.echo", text="x" * 20_000)
    assert [call["n"] for call in (await sim.http.get("/_sim/calls")).json()] == [6]


async def test_photos_are_listed_with_the_bytes_their_addresses_serve(world_sim: Caller) -> None:
    listed = (await world_sim.http.get("/_sim/photos")).json()
    assert len(listed) == len(world_sim.simulator.world.photos)
    members = ["id", "owner", "title", "tags", "machine_tags", "bytes", "sha256", "replaced"]
    assert list(listed[0]) == members
    photo = world_sim.simulator.world.photos[listed[0]["id"]]
    image = (await world_sim.http.get(f"/65535/{photo.id}_{photo.secret}.jpg")).content
    assert (listed[0]["bytes"], listed[0]["sha256"]) == (len(image), hashlib.sha256(image).hexdigest())
    assert len({one["sha256"] for one in listed}) == len(listed)


async def test_a_fresh_state_keeps_nothing_but_the_demo_pair(sim: Caller) -> None:
    token = sim.grant()
    photo = next(one for one in sim.simulator.world.photos.values() if one.owner == token.account)
    await sim.ok("flickr.photos.setMeta", token, photo_id=photo.id, title="changed")
    await sim.http.post("/_sim/apps", json=NEW_APP)
    await sim.http.post("/_sim/faults", json={"code": 105, "times": -1})
    assert (await sim.http.delete("/_sim/state")).status_code == 204
    assert (await sim.http.get("/_sim/calls")).json() == []
    assert (await sim.http.get("/_sim/faults")).json() == []
    assert (await sim.error("flickr.test.login", token))[0] == 98
    assert (await sim.error("flickr.test.echo", api_key=NEW_APP["api_key"]))[0] == 100
    title = (await sim.ok("flickr.photos.getInfo", sim.grant(), photo_id=photo.id))["photo"]["title"]
    assert title["_content"] != "changed"


async def test_revoking_an_unknown_token_is_404(world_sim: Caller) -> None:
    assert (await world_sim.http.delete("/_sim/tokens/1-2")).status_code == 404


async def test_apps_and_tokens_outlive_the_process_in_the_state_file(tmp_path: Path) -> None:
    settings = Settings(state_file=tmp_path / "made" / "state.jsonl")
    clock = Clock()
    first = Caller(Simulator(settings, clock), clock)
    async with first.http:
        await first.http.post("/_sim/apps", json=NEW_APP)
        _, page = await first.approved()
        assert verifier_in(page)
        kept, revoked = first.grant("read"), first.grant()
        await first.http.delete(f"/_sim/tokens/{revoked.token}")
    with (tmp_path / "made" / "state.jsonl").open("a") as file:
        file.write('{"event": "access_token", "tok')  # the process died while writing
    second = Caller(Simulator(settings, clock), clock)
    async with second.http:
        assert await second.ok("flickr.test.login", kept)
        assert (await second.error("flickr.test.login", revoked))[0] == 98
        assert await second.ok("flickr.test.echo", api_key=NEW_APP["api_key"])
        late = second.grant()
    third = Caller(Simulator(settings, clock), clock)
    async with third.http:
        assert await third.ok("flickr.test.login", late)
        await third.http.delete("/_sim/state")
    fourth = Caller(Simulator(settings, clock), clock)
    async with fourth.http:
        assert (await fourth.error("flickr.test.login", late))[0] == 98


def test_two_simulators_in_one_process_share_nothing() -> None:
    one, other = Simulator(Settings()), Simulator(Settings())
    photo_id = next(iter(one.world.photos))
    one.world.delete_photo(one.world.photos[photo_id], now=0)
    assert photo_id in other.world.photos
    assert one.credentials.apps == other.credentials.apps
    assert one.credentials.apps is not other.credentials.apps


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (Settings().demo_api_key, Settings().demo_api_secret) == (DEMO_API_KEY, DEMO_API_SECRET)
    assert (Settings().host, Settings().port) == ("127.0.0.1", 3131)
    monkeypatch.setenv("SIM_DEMO_API_KEY", "12" * 16)
    monkeypatch.setenv("SIM_PORT", "4139")
    monkeypatch.setenv("SIM_SEED", "5")
    settings = Settings()
    assert (settings.demo_api_key, settings.port, settings.seed) == ("12" * 16, 4139, 5)


async def test_photos_can_be_listed_by_owner_and_only_those_that_were_sent(sim: Caller) -> None:
    first, second = sim.grant("write"), sim.grant("write", "lamplighter")
    await sim.upload(first, title="one")
    await sim.upload(second, title="two")
    await sim.upload(first, kind="replace", photo_id=next(iter(_of(sim, first.account))))

    async def titles(query: str) -> list[str]:
        return [photo["title"] for photo in (await sim.http.get(f"/_sim/photos?{query}")).json()]

    assert len(await titles("")) == len(sim.simulator.world.photos)
    assert (await titles("uploaded=true"))[1:] == ["one", "two"]
    for name in ("lamplighter", second.account):
        assert await titles(f"owner={name.replace('@', '%40')}&uploaded=true") == ["two"]
        assert len(await titles(f"owner={name.replace('@', '%40')}")) == len(_of(sim, second.account))
    assert await titles("owner=nobody") == []
    assert (await sim.http.get("/_sim/photos?uploaded=perhaps")).status_code == 422


async def test_uploads_outlive_the_process_in_the_state_file(tmp_path: Path) -> None:
    settings = Settings(state_file=tmp_path / "state.jsonl", ticket_seconds=10)
    clock = Clock()
    first = Caller(Simulator(settings, clock), clock)
    async with first.http:
        token = first.grant()
        kept, gone, replaced = list(_of(first, token.account))[:3]
        await first.upload(token, JPEG + b"1", title="kept ü", tags='hub:job=1 "a b"', is_public="0")
        await first.upload(token, JPEG + b"2", title="deleted")
        await first.upload(token, JPEG + b"3", kind="replace", photo_id=replaced)
        await first.upload(token, JPEG + b"4", kind="replace", photo_id=gone)
        deleted = next(photo for photo in first.simulator.world.photos.values() if photo.title == "deleted").id
        for photo_id in (gone, deleted):
            await first.ok("flickr.photos.delete", token, photo_id=photo_id)
        answers = [await first.upload(token, JPEG + b"5", title="later", **{"async": "1"}) for _ in range(2)]
        tickets = [answer.text.partition("<ticketid>")[2].partition("<")[0] for answer in answers]
        clock.moved = 11
        before = (await first.http.get("/_sim/photos?uploaded=1")).json()
        assert sorted(photo["title"] for photo in before if photo["id"] != replaced) == ["kept ü", "later", "later"]
    second = Caller(Simulator(settings, clock), clock)
    async with second.http:
        after = (await second.http.get("/_sim/photos?uploaded=1")).json()
        assert sorted(after, key=str) == sorted(before, key=str)
        assert kept in second.simulator.world.photos
        assert not {gone, deleted} & second.simulator.world.photos.keys()
        states = (await second.ok("flickr.photos.upload.checkTickets", tickets=",".join(tickets)))["uploader"]["ticket"]
        assert [state["complete"] for state in states] == [1, 1]
        answer = await second.upload(token, JPEG + b"2", dedup_check="1")
        assert deleted in answer.text
        found = await second.ok("flickr.photos.search", token, user_id="me", machine_tags="hub:job=1")
        assert [photo["ispublic"] for photo in found["photos"]["photo"]] == [0]
        await second.upload(token, JPEG + b"6", title="new")
        ids = [int(photo_id) for photo_id in second.simulator.world.photos]
        assert ids[-1] == max(ids)
        assert len(set(ids)) == len(ids)


async def test_a_ticket_that_was_pending_at_the_death_completes_after_it(tmp_path: Path) -> None:
    settings = Settings(state_file=tmp_path / "state.jsonl", ticket_seconds=10)
    clock = Clock()
    first = Caller(Simulator(settings, clock), clock)
    async with first.http:
        await first.upload(first.grant("write"), title="later", **{"async": "1"})
    second = Caller(Simulator(settings, clock), clock)
    async with second.http:
        assert (await second.http.get("/_sim/photos?uploaded=1")).json() == []
        clock.moved = 11
        assert [photo["title"] for photo in (await second.http.get("/_sim/photos?uploaded=1")).json()] == ["later"]


async def test_a_state_file_of_another_world_does_no_harm(tmp_path: Path) -> None:
    clock = Clock()
    first = Caller(Simulator(Settings(state_file=tmp_path / "state.jsonl"), clock), clock)
    async with first.http:
        await first.upload(first.grant("write", "lamplighter"), JPEG)
    with (tmp_path / "state.jsonl").open("a") as file:
        file.write('{"event": "arrival", "arrival": {}}\n{"event": "ticket"}\n{"event": "deleted", "photo_id": "1"}\n')
    other = Simulator(Settings(state_file=tmp_path / "state.jsonl", seed=2), clock)
    assert all(photo.file is None for photo in other.world.photos.values())


def _of(sim: Caller, owner: str) -> dict[str, None]:
    return {photo.id: None for photo in sim.simulator.world.photos.values() if photo.owner == owner}
