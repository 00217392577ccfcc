"""Whatever arrives, the answer is never a 500."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flickr_sim.incoming import BODY_LIMIT
from flickr_sim.settings import DEMO_API_KEY
from tests.unit.flickr_sim.caller import FORM, Caller

MULTIPART = "multipart/form-data; boundary=xx"
PATHS = [
    "/services/rest/",
    "/services/oauth/request_token",
    "/services/oauth/authorize",
    "/services/oauth/access_token",
    "/services/upload/",
]

BODIES = [
    (FORM, b"\xff\xfe=\x80&%zz=%&&&=="),
    (FORM, b"a=" + b"%00" * 100),
    (FORM, b"&".join(b"k%d=v" % number for number in range(1100))),
    (MULTIPART, b""),
    (MULTIPART, b"--xx\r\n"),
    (MULTIPART, b"--xx\r\nContent-Disposition: form-data\r\n\r\nno name\r\n--xx--\r\n"),
    (MULTIPART, b'--xx\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\xfe\x00\r\n--xx--\r\n'),
    (MULTIPART, b'--xx\r\nContent-Disposition: form-data; name="a"\r\n\r\nnever ends'),
    ("multipart/form-data", b"--xx\r\n\r\n--xx--"),
    ("multipart/form-data; boundary=xx; charset=nonsense", b"--xx--"),
    ("multipart/form-data; boundary=" + "x" * 5000, b"--xx--"),
    ("application/json", b"[" * 10_000),
    ("", b"anything"),
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("content_type", "body"), BODIES)
async def test_a_broken_body_is_refused_or_ignored(
    rough_sim: Caller, path: str, content_type: str, body: bytes
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    answer = await rough_sim.http.post(path, content=body, headers=headers)
    assert answer.status_code < 500 or answer.status_code == 501


async def test_a_body_above_the_limit_is_413(rough_sim: Caller) -> None:
    body = b"text=" + b"x" * BODY_LIMIT
    answer = await rough_sim.http.post("/services/rest/", content=body, headers={"Content-Type": FORM})
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Host", "["),
        ("Host", "a:99999"),
        ("Host", "a:b"),
        ("Host", "x" * 5000),
        ("Authorization", 'OAuth oauth_nonce="\xe9'),
        ("Authorization", "OAuth " + "a" * 20_000),
        ("Content-Type", "multipart/form-data; boundary=\xe9"),
    ],
)
async def test_a_strange_header_is_refused_or_ignored(rough_sim: Caller, header: str, value: str) -> None:
    token = rough_sim.grant()
    client = rough_sim.client(token)
    url, signed, _ = client.sign("http://sim.test/services/rest/?method=flickr.test.null")
    headers = [(name, content) for name, content in signed.items() if name != header]
    raw = [(name.encode(), content.encode("latin-1")) for name, content in [*headers, (header, value)]]
    answer = await rough_sim.http.get(url, headers=raw)
    assert answer.status_code < 500


@pytest.mark.parametrize("form", ["json", "rest"])
@given(name=st.text(max_size=20), value=st.text(max_size=200))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_text_is_echoed(rough_sim: Caller, form: str, name: str, value: str) -> None:
    clean = {"format": form, "nojsoncallback": "1", "method": "flickr.test.echo", "api_key": DEMO_API_KEY}
    fields = {_encodable(name): _encodable(value), **clean}
    answer = await rough_sim.http.post("/services/rest/", data=fields)
    assert (answer.status_code, "ok" in answer.text) in {(200, True), (400, False)}
    if form == "json" and answer.status_code == 200 and not _encodable(name).startswith("oauth_") and name != "stat":
        assert answer.json()[_encodable(name)]["_content"] == fields[_encodable(name)]


READERS = [
    "flickr.photos.search",
    "flickr.people.getPhotos",
    "flickr.photos.recentlyUpdated",
    "flickr.photosets.getPhotos",
    "flickr.photos.getInfo",
    "flickr.people.getInfo",
    "flickr.favorites.getList",
    "flickr.tags.getListUserPopular",
    "flickr.urls.lookupUser",
    "flickr.photos.setDates",
    "flickr.photos.geo.setLocation",
    "flickr.photos.addTags",
]
NAMES = [
    *["user_id", "photo_id", "photoset_id", "text", "tags", "tag_mode", "machine_tags", "bbox", "sort", "extras"],
    *["min_upload_date", "max_taken_date", "min_date", "per_page", "page", "url", "count", "lat", "lon", "accuracy"],
    *["date_posted", "date_taken", "date_taken_granularity"],
]
ARGUMENTS = st.dictionaries(
    st.sampled_from(NAMES),
    st.one_of(
        st.text(max_size=30),
        st.sampled_from(
            ["me", "-1", "0", "9" * 30, "1e400", "nan,nan,nan,nan", "inf", "½", "²", "a:b=c", ":=", "[", "-"]
        ),
    ),
    max_size=8,
)


@pytest.mark.parametrize("method", READERS)
@given(arguments=ARGUMENTS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_arguments_get_an_answer(rough_sim: Caller, method: str, arguments: dict[str, str]) -> None:
    fields: dict[str, Any] = {name: _encodable(value) for name, value in arguments.items()}
    photo = next(one for one in rough_sim.simulator.world.photos.values() if one.owner == "101234567@N02")
    if "photo_id" in fields:
        fields["photo_id"] = photo.id
    answer = await rough_sim.rest(method, rough_sim.grant(), **fields)
    assert answer.status_code == 200
    assert answer.json()["stat"] in ("ok", "fail")


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
