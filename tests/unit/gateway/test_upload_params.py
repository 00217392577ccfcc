"""The params of targets upload and replace: what is refused, in which words, and what the executor gets."""

import base64
import json
from typing import Any

import httpx2
import pytest

from flickrhub_common.addresses import AddressPolicy
from tests.support.photographs import Photograph, gif, jpeg, mp4, png
from tests.unit.gateway.fakes import USER, Surroundings

REST = "/api/v1/flickr/rest"
URL = "https://photos.example.com/harbour.jpg"
REF = "7d5e1f0a-52c3-4f0e-9a52-6a2b8f6f5b0c"
SOURCE = {"photo_url": URL}
FLAG = "must be 0, 1, true or false"
ONE_SOURCE = "params: needs exactly one of photo_url, photo_ref and photo_base64"
BASE64 = "params.photo_base64: must be base64 of the standard alphabet, padded"


def _base64(photo: Photograph | bytes) -> str:
    return base64.b64encode(photo if isinstance(photo, bytes) else photo.data).decode()


async def _details(http: httpx2.AsyncClient, params: Any, target: str = "upload") -> list[str]:
    reply = await http.post(REST, json={"user_id": USER, "target": target, "params": params})
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "ERR_INVALID_REQUEST"), reply.text
    details: list[str] = reply.json()["error"]["details"]
    return details


async def _taken(http: httpx2.AsyncClient, around: Surroundings, params: Any, target: str = "upload") -> dict[str, Any]:
    reply = await http.post(REST, json={"user_id": USER, "target": target, "params": params})
    assert reply.status_code == 202, reply.text
    given: dict[str, Any] = json.loads(around.publisher.handed[-1].params)
    return given


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"title": 5}, "params.title: must be a string"),
        ({"description": ["x"]}, "params.description: must be a string"),
        ({"tags": 5}, "params.tags: must be a string or a list of strings"),
        ({"tags": ["a", 5]}, "params.tags: must be a string or a list of strings"),
        ({"tags": {"a": 1}}, "params.tags: must be a string or a list of strings"),
        ({"tags": ['blue "hour"']}, "params.tags: a tag can't hold a double quote"),
        ({"tags": ["a", " "]}, "params.tags: a tag must not be empty"),
        ({"tags": 'a "" b'}, "params.tags: a tag must not be empty"),
        ({"tags": 'a "blue hour'}, "params.tags: double quotes must stand around whole tags"),
        ({"tags": 'a"b c"'}, "params.tags: double quotes must stand around whole tags"),
        ({"tags": '"a"b'}, "params.tags: double quotes must stand around whole tags"),
        ({"tags": ["t"] * 75}, "params.tags: must be at most 74: Flickr takes 75, and the hub adds one"),
        ({"tags": " t" * 75}, "params.tags: must be at most 74: Flickr takes 75, and the hub adds one"),
        ({"tags": ["flickrhub:job=1"]}, "params.tags: flickrhub:job= is the hub's own tag and can't be given"),
        ({"tags": "a FlickrHub:Job=1"}, "params.tags: flickrhub:job= is the hub's own tag and can't be given"),
        ({"tags": '"flickr hub:job = 1"'}, "params.tags: flickrhub:job= is the hub's own tag and can't be given"),
        ({"is_public": 2}, f"params.is_public: {FLAG}"),
        ({"is_public": "yes"}, f"params.is_public: {FLAG}"),
        ({"is_friend": "true"}, f"params.is_friend: {FLAG}"),
        ({"is_family": 1.5}, f"params.is_family: {FLAG}"),
        ({"is_family": []}, f"params.is_family: {FLAG}"),
        ({"async": -1}, f"params.async: {FLAG}"),
        ({"safety_level": 0}, "params.safety_level: must be 1, 2 or 3"),
        ({"safety_level": 4}, "params.safety_level: must be 1, 2 or 3"),
        ({"safety_level": "1.0"}, "params.safety_level: must be 1, 2 or 3"),
        ({"safety_level": True}, "params.safety_level: must be 1, 2 or 3"),
        ({"content_type": "image/jpeg"}, "params.content_type: must be 1, 2 or 3"),
        ({"content_type": 1.5}, "params.content_type: must be 1, 2 or 3"),
        ({"hidden": 0}, "params.hidden: must be 1 or 2"),
        ({"hidden": 3}, "params.hidden: must be 1 or 2"),
        ({"hidden": [1]}, "params.hidden: must be 1 or 2"),
        ({"photo_id": 5}, "params.photo_id: isn't a parameter of upload"),
        ({"size": "large"}, "params.size: isn't a parameter of upload"),
        ({"async_": 1}, "params.async_: isn't a parameter of upload"),
        ({"filename": "a.jpg"}, "params.filename: isn't a parameter of upload"),
        ({"method": "x"}, "params.method: isn't a parameter of upload"),
        ({"oauth_token": "x"}, "params.oauth_token: isn't a parameter of upload"),
        ({"dedup_check": 1}, "params.dedup_check: isn't a parameter of upload"),
    ],
)
async def test_a_wrong_field_of_an_upload_is_named(
    http: httpx2.AsyncClient, around: Surroundings, given: dict[str, Any], sentence: str
) -> None:
    assert await _details(http, {**SOURCE, **given}) == [sentence]
    assert not around.jobs.kept


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ({}, ONE_SOURCE),
        ({"photo_url": None}, ONE_SOURCE),
        ({"photo_url": URL, "photo_ref": REF}, ONE_SOURCE),
        ({"photo_url": URL, "photo_base64": _base64(gif())}, ONE_SOURCE),
        ({"photo_url": 5}, "params.photo_url: must be a string"),
        ({"photo_url": ""}, "params.photo_url: must be http or https"),
        ({"photo_url": "file:///etc/passwd"}, "params.photo_url: must be http or https"),
        ({"photo_url": "https://u:p@c.example/"}, "params.photo_url: must not carry a user name or password"),
        ({"photo_url": "http://127.0.0.1/a.jpg"}, "params.photo_url: its address isn't public"),
        ({"photo_url": "http://localhost/a.jpg"}, "params.photo_url: its address isn't public"),
        ({"photo_url": "http://[::ffff:10.0.0.1]/"}, "params.photo_url: its address isn't public"),
        ({"photo_url": "https://c.example/" + "a" * 2048}, "params.photo_url: is longer than 2048 characters"),
        ({"photo_ref": 5}, "params.photo_ref: must be a string"),
        ({"photo_ref": "../x"}, "params.photo_ref: must be a photo_ref as POST /api/v1/uploads gives it"),
        ({"photo_ref": REF + "\n"}, "params.photo_ref: must be a photo_ref as POST /api/v1/uploads gives it"),
        ({"photo_base64": 5}, "params.photo_base64: must be a string"),
        ({"photo_base64": ""}, "params.photo_base64: is empty"),
        ({"photo_base64": "R0lGO"}, BASE64),
        ({"photo_base64": "R0lG ODlh"}, BASE64),
        ({"photo_base64": "_w=="}, BASE64),
        ({"photo_base64": "ü"}, BASE64),
        (
            {"photo_base64": _base64(b"Dear Flickr, this is a letter.")},
            "params.photo_base64: is neither a photo nor a video that Flickr takes, by its first bytes",
        ),
        ({"photo_base64": _base64(jpeg().truncated())}, "params.photo_base64: is cut off: its end is missing"),
        ({"photo_base64": _base64(png().truncated(0.9))}, "params.photo_base64: is cut off: its end is missing"),
    ],
)
@pytest.mark.parametrize("target", ["upload", "replace"])
async def test_a_wrong_source_is_named(
    http: httpx2.AsyncClient, around: Surroundings, target: str, source: dict[str, Any], sentence: str
) -> None:
    more = {"photo_id": "1"} if target == "replace" else {}
    assert await _details(http, {**source, **more}, target) == [sentence]
    assert not around.store.photos
    assert not around.uploads.kept


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "params.photo_id: is required"),
        *(
            ({"photo_id": wrong}, "params.photo_id: must be a photo's id: up to 20 digits")
            for wrong in ("", "1a", " 1", "-1", -1, "1" * 21, "٣", True, None, 1.5, 1e20, -1.0, [1])
        ),
        *(
            ({"photo_id": 1, name: 1}, f"params.{name}: isn't a parameter of replace")
            for name in ("title", "description", "tags", "is_public", "is_friend", "is_family")
        ),
        *(
            ({"photo_id": 1, name: 1}, f"params.{name}: isn't a parameter of replace")
            for name in ("safety_level", "content_type", "hidden", "x")
        ),
        ({"photo_id": 1, "async": "x"}, f"params.async: {FLAG}"),
    ],
)
async def test_a_wrong_field_of_a_replacement_is_named(
    http: httpx2.AsyncClient, given: dict[str, Any], sentence: str
) -> None:
    assert await _details(http, {**SOURCE, **given}, "replace") == [sentence]


async def test_every_wrong_field_is_named_at_once(http: httpx2.AsyncClient) -> None:
    body = {"target": "upload", "params": {"photo_url": "x", "hidden": 9, "more": 1}, "meta": 1, "extra": 1}
    details = (await http.post(REST, json=body)).json()["error"]["details"]
    named = {sentence.partition(":")[0] for sentence in details}
    assert named == {"user_id", "params.photo_url", "params.hidden", "params.more", "meta", "extra"}
    assert "extra: isn't a field of this call" in details


@pytest.mark.parametrize("params", [None, [], "photo_url"])
async def test_params_that_are_no_object_are_refused(http: httpx2.AsyncClient, params: Any) -> None:
    assert await _details(http, params) == ["params: must be an object"]


async def test_params_are_required(http: httpx2.AsyncClient) -> None:
    reply = await http.post(REST, json={"user_id": USER, "target": "upload"})
    assert reply.json()["error"]["details"] == ["params: is required"]


async def test_a_tag_of_megabytes_is_refused_at_once(http: httpx2.AsyncClient) -> None:
    await _details(http, {**SOURCE, "tags": "a" * 900_000 + '"'})
    await _details(http, {**SOURCE, "tags": '"' + " a" * 400_000})


async def test_all_values_reach_the_executor_as_text(http: httpx2.AsyncClient, around: Surroundings) -> None:
    params = {
        "photo_url": URL,
        "title": "Sön 🌅",
        "description": "",
        "tags": ["harbour", "blue hour", " dusk\t", "a:b=c d"],
        "is_public": True,
        "is_friend": 0,
        "is_family": "1",
        "safety_level": 3,
        "content_type": "2",
        "hidden": 2,
        "async": False,
    }
    assert await _taken(http, around, params) == {
        "photo_url": URL,
        "filename": "harbour.jpg",
        "title": "Sön 🌅",
        "description": "",
        "tags": 'harbour "blue hour" dusk "a:b=c d"',
        "is_public": "1",
        "is_friend": "0",
        "is_family": "1",
        "safety_level": "3",
        "content_type": "2",
        "hidden": "2",
        "async": "0",
    }


@pytest.mark.parametrize(
    ("photo_id", "text"), [(53483212345, "53483212345"), (5.0, "5"), ("0" * 19 + "1", "0" * 19 + "1")]
)
async def test_a_replacement_has_its_id_as_text(
    http: httpx2.AsyncClient, around: Surroundings, photo_id: Any, text: str
) -> None:
    given = await _taken(http, around, {**SOURCE, "photo_id": photo_id, "async": 1}, "replace")
    assert given == {"photo_url": URL, "filename": "harbour.jpg", "photo_id": text, "async": "1"}


@pytest.mark.parametrize(
    ("tags", "text"),
    [
        (' harbour  "blue hour" ', 'harbour  "blue hour"'),
        ('"a"', '"a"'),
        ("t " * 74, ("t " * 74).strip()),
        (["x" * 300] * 74, " ".join(["x" * 300] * 74)),
        ("", None),
        ([], None),
        (None, None),
    ],
)
async def test_tags_go_in_flickrs_form(
    http: httpx2.AsyncClient, around: Surroundings, tags: Any, text: str | None
) -> None:
    assert (await _taken(http, around, {**SOURCE, "tags": tags})).get("tags") == text


@pytest.mark.parametrize(
    ("url", "filename"),
    [
        ("https://c.example/a/b%20c.jpg?size=large#x", "b c.jpg"),
        ("https://c.example/%C3%BCber%22.jpg", "uber_.jpg"),
        ("https://c.example/%E6%97%A5.jpg", "_.jpg"),
        ("https://c.example/a%2F..%2Fb.jpg", "b.jpg"),
        ("https://c.example/a%0D%0Ab.jpg", "a__b.jpg"),
        ("https://c.example/photos/", None),
        ("https://c.example", None),
        ("https://c.example/%2E%2E", None),
        ("https://c.example/" + "a" * 400, "a" * 255),
    ],
)
async def test_a_photo_has_the_name_its_url_ends_with(
    http: httpx2.AsyncClient, around: Surroundings, url: str, filename: str | None
) -> None:
    assert (await _taken(http, around, {"photo_url": url})).get("filename") == filename


async def test_photos_and_callbacks_have_policies_of_their_own() -> None:
    around = Surroundings(photo_policy=AddressPolicy.parse("127.0.0.0/8"))
    body = {"user_id": USER, "target": "upload", "params": {"photo_url": "http://127.0.0.1:9/a.jpg"}}
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(around.app()), base_url="http://hub") as http:
        assert (await http.post(REST, json=body)).status_code == 202
        reply = await http.post(REST, json={**body, "callback_url": "http://127.0.0.1:9/hook"})
    assert reply.json()["error"]["details"] == ["callback_url: its address isn't public"]


@pytest.mark.parametrize("photo", [jpeg(), png(), gif(), mp4(), jpeg(700_000)], ids=str)
async def test_a_photo_in_the_call_goes_to_the_store_and_its_reference_to_the_executor(
    http: httpx2.AsyncClient, around: Surroundings, photo: Photograph
) -> None:
    given = await _taken(http, around, {"photo_base64": _base64(photo), "title": "x"})
    assert set(given) == {"photo_ref", "title"}
    assert around.store.photos == {given["photo_ref"]: photo.data}
    assert around.store.content_types == {given["photo_ref"]: photo.content_type}
    [record] = around.uploads.kept.values()
    assert (record.ref, record.user_id, record.hidden) == (given["photo_ref"], USER, True)
    assert record.job_id == around.publisher.handed[0].id


async def test_a_refusal_repeats_nothing_of_the_photo(http: httpx2.AsyncClient) -> None:
    secret = base64.b64encode(b"a secret that is no photo").decode()
    reply = await http.post(REST, json={"user_id": USER, "target": "upload", "params": {"photo_base64": secret}})
    assert reply.status_code == 400
    assert secret not in reply.text
