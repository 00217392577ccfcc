"""The REST endpoint: who may call what, refused in Flickr's order and words."""

import pytest

from flickr_sim.catalogue import permissions
from flickr_sim.methods import simulated
from tests.unit.flickr_sim.caller import Caller

UNKNOWN_KEY = "0" * 32


def test_all_222_methods_are_known_with_their_permissions() -> None:
    known = permissions()
    counts = {level: list(known.values()).count(level) for level in ("none", "signed", "read", "write", "delete")}
    assert counts == {"none": 94, "signed": 2, "read": 60, "write": 63, "delete": 3}
    assert {name for name, level in known.items() if level == "delete"} == {
        "flickr.photos.delete",
        "flickr.groups.leave",
        "flickr.groups.discuss.replies.delete",
    }
    assert known["flickr.photosets.delete"] == "write"
    assert known["flickr.push.subscribe"] == "read"


def test_what_is_simulated_is_known_and_more_than_enough() -> None:
    assert set(simulated()) <= set(permissions())
    assert len(simulated()) >= 60


@pytest.mark.parametrize("name", sorted(permissions()))
async def test_every_method_asks_for_its_permission_and_no_more(world_sim: Caller, name: str) -> None:
    """Without a token, and with each level below the one it needs."""
    needed = permissions()[name]
    if needed in ("none", "signed"):
        answer = await world_sim.rest(name, verb="GET")
        assert "Insufficient permissions" not in answer.text
        return
    assert await world_sim.error(name) == (
        99,
        f"Insufficient permissions. Method requires {needed} privileges; none granted.",
    )
    levels = ["read", "write", "delete"]
    for granted in levels[: levels.index(needed)]:
        assert await world_sim.error(name, world_sim.grant(granted)) == (
            99,
            f"Insufficient permissions. Method requires {needed} privileges; {granted} granted.",
        )


async def test_a_known_method_nobody_plays_is_501_in_plain_words(world_sim: Caller) -> None:
    answer = await world_sim.rest("flickr.places.find", query="Porto")
    assert (answer.status_code, answer.text) == (501, "flickr_sim does not simulate the method flickr.places.find.")


ORDER: list[tuple[dict[str, str], tuple[int, str]]] = [
    ({"api_key": "short"}, (100, "Invalid API Key (Key has invalid format)")),
    ({"api_key": UNKNOWN_KEY}, (100, "Invalid API Key (Key not found)")),
    ({}, (112, 'Method "flickr.photos.doesNotExist" not found')),
    (
        {"method": "flickr.photos.setMeta"},
        (99, "Insufficient permissions. Method requires write privileges; none granted."),
    ),
]


@pytest.mark.parametrize(("fields", "expected"), ORDER)
async def test_without_oauth_the_key_comes_before_the_method_and_it_before_the_permission(
    world_sim: Caller, fields: dict[str, str], expected: tuple[int, str]
) -> None:
    method = fields.get("method", "flickr.photos.doesNotExist")
    assert await world_sim.error(method, **fields) == expected


async def test_a_call_without_a_key_or_a_method_says_so(world_sim: Caller) -> None:
    answer = await world_sim.http.get("/services/rest/?format=json&nojsoncallback=1")
    assert answer.json()["message"] == "Invalid API Key (Key has invalid format)"
    answer = await world_sim.http.get(f"/services/rest/?api_key={world_sim.key}&format=json&nojsoncallback=1")
    assert answer.json()["message"] == 'Method "" not found'


async def test_an_unknown_format_is_error_111_in_xml(world_sim: Caller) -> None:
    answer = await world_sim.rest("flickr.test.echo", format="yaml")
    assert '<err code="111" msg="Format &quot;yaml&quot; not found" />' in answer.text


async def test_a_writing_method_refuses_get_with_116(sim: Caller) -> None:
    answer = await sim.rest("flickr.photos.setMeta", sim.grant(), verb="GET", photo_id="1", title="x")
    assert answer.json()["code"] == 116
    assert answer.json()["message"] == "The POST method is now required for all setters"


async def test_a_revoked_token_is_error_98_with_http_200(sim: Caller) -> None:
    token = sim.grant()
    assert (await sim.http.delete(f"/_sim/tokens/{token.token}")).status_code == 204
    answer = await sim.rest("flickr.test.login", token)
    assert (answer.status_code, answer.json()) == (
        200,
        {"stat": "fail", "code": 98, "message": "Invalid auth token"},
    )


async def test_another_apps_token_is_error_98(sim: Caller) -> None:
    token = sim.grant()
    await sim.http.post("/_sim/apps", json={"api_key": "ab" * 16, "api_secret": "cd" * 8})
    sim.key, sim.secret = "ab" * 16, "cd" * 8
    assert await sim.error("flickr.test.login", token) == (98, "Invalid auth token")


async def test_echo_answers_every_parameter_in_flickrs_order(world_sim: Caller) -> None:
    token = world_sim.grant("read")
    answer = await world_sim.ok("flickr.test.echo", token, text="hello", stat="hidden")
    names = list(answer)
    assert names[:4] == ["method", "format", "nojsoncallback", "text"]
    assert names[-4:] == ["api_auth_is_oauth", "api_sig", "auth_token", "stat"]
    assert answer["api_sig"] == answer["oauth_signature"]
    assert answer["auth_token"] == {"_content": token.token}
    assert answer["stat"] == "ok"


async def test_content_types_are_those_recorded(world_sim: Caller) -> None:
    token = world_sim.grant()
    types = {
        (stat, form): (
            await world_sim.rest("flickr.test.null" if stat == "ok" else "flickr.no", token, format=form)
        ).headers["content-type"]
        for stat in ("ok", "fail")
        for form in ("json", "rest")
    }
    assert types == {
        ("ok", "json"): "application/json",
        ("fail", "json"): "text/plain; charset=utf-8",
        ("ok", "rest"): "text/xml; charset=utf-8",
        ("fail", "rest"): "text/xml; charset=utf-8",
    }


@pytest.mark.parametrize("verb", ["PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
async def test_other_verbs_are_not_allowed(world_sim: Caller, verb: str) -> None:
    assert (await world_sim.http.request(verb, "/services/rest/")).status_code == 405
