"""The public flickrapi package, written by others for the real Flickr, works against the simulator."""

import threading
from collections.abc import Callable
from typing import Any

import flickrapi
import pytest
import requests
from flickrapi.exceptions import FlickrError

from tests.integration.flickr_sim.conftest import LoggedIn
from tests.integration.flickr_sim.process import SimulatorProcess

Flickr = Callable[[str], flickrapi.FlickrAPI]


def test_it_logs_in_and_knows_who_it_is(simulator: SimulatorProcess, logged_in: LoggedIn) -> None:
    api = logged_in(simulator.url, perms="read", account="zoë&friends")
    token = api.token_cache.token
    assert (token.username, token.fullname) == ("zoë&friends", "Zoë O'Brien-Nakamura")
    user = api.test.login().find("user")
    assert (user.get("id"), user.findtext("username")) == (token.user_nsid, "zoë&friends")


def test_its_own_token_check_is_content(simulator: SimulatorProcess, logged_in: LoggedIn) -> None:
    """`token_valid` calls checkToken and compares the permission with the one asked for."""
    api = logged_in(simulator.url, perms="write")
    assert api.token_valid(perms="read")
    assert api.token_valid(perms="write")
    assert not api.token_valid(perms="delete")


def test_it_logs_in_by_callback_too(simulator: SimulatorProcess, flickr: Flickr) -> None:
    """flickrapi's own little HTTP server receives the browser's redirect."""
    api = flickr(simulator.url)
    api.get_request_token()  # without an argument it listens on a port of its own
    listener = api.flickr_oauth.auth_http_server
    address = api.auth_url(perms="read")
    browser = threading.Thread(target=requests.post, args=(address,), kwargs={"timeout": 10})
    browser.start()
    try:
        api.flickr_oauth.verifier = listener.wait_for_oauth_verifier(timeout=20)
    finally:
        browser.join()
        listener.server_close()
    api.get_access_token()
    assert api.test.login().find("user") is not None


def test_it_walks_every_page_of_a_search(simulator: SimulatorProcess, logged_in: LoggedIn) -> None:
    api = logged_in(simulator.url)
    ids = [photo.get("id") for photo in api.walk(user_id="me", per_page=50)]
    assert len(ids) == len(set(ids)) == 260


def test_it_meets_the_cap_of_4000_as_with_flickr(simulator: SimulatorProcess, logged_in: LoggedIn) -> None:
    api = logged_in(simulator.url, account="northern_archive")
    walked = [photo.get("id") for photo in api.walk(user_id="me", per_page=500)]
    assert len(walked) > len(set(walked)) == 4000
    everything = [photo.get("id") for photo in api.walk_user(per_page=500)]
    assert len(everything) == len(set(everything)) > 4000


def test_it_walks_sets_contacts_and_updates(simulator: SimulatorProcess, logged_in: LoggedIn) -> None:
    api = logged_in(simulator.url)
    sets = list(api.walk_photosets(per_page=2))
    assert len(sets) == 6
    for one in sets:
        photos = list(api.walk_set(one.get("id"), per_page=20))
        assert len(photos) == int(one.get("photos")) + int(one.get("videos"))
    assert len(list(api.walk_contacts(per_page=5))) == 19
    assert len(list(api.walk_user_updates(min_date=1, per_page=100))) == 260


@pytest.mark.parametrize("form", ["etree", "parsed-json", "xmlnode"])
def test_it_reads_its_three_formats(simulator: SimulatorProcess, logged_in: LoggedIn, form: str) -> None:
    api = logged_in(simulator.url)
    photo = next(iter(api.walk(user_id="me", per_page=1)))
    answer = api.photos.getInfo(photo_id=photo.get("id"), format=form)
    titles = {
        "etree": lambda: answer.findtext("photo/title"),
        "parsed-json": lambda: answer["photo"]["title"]["_content"],
        "xmlnode": lambda: answer.photo[0].title[0].text,
    }
    assert titles[form]() == photo.get("title")


def test_it_writes_and_sees_what_it_wrote(simulator: SimulatorProcess, logged_in: LoggedIn) -> None:
    api = logged_in(simulator.url, perms="delete")
    photo_id = next(iter(api.walk(user_id="me", per_page=1))).get("id")
    title = "Ein Zug — über \"Brücken\" & 'Täler' (50% + 1) ~ 雪!*"
    api.photos.setMeta(photo_id=photo_id, title=title, description="line one\nline two")
    api.photos.addTags(photo_id=photo_id, tags='hub:job=42 "two words"')
    info = api.photos.getInfo(photo_id=photo_id).find("photo")
    assert info.findtext("title") == title
    assert info.findtext("description") == "line one\nline two"
    assert {"hub:job=42", "twowords"} <= {tag.text for tag in info.find("tags")}
    found = api.photos.search(user_id="me", machine_tags="hub:job=42").find("photos")
    assert [one.get("id") for one in found] == [photo_id]
    photoset = api.photosets.create(title="Züge", primary_photo_id=photo_id).find("photoset").get("id")
    assert api.photosets.getInfo(photoset_id=photoset).findtext("photoset/title") == "Züge"
    api.photos.delete(photo_id=photo_id)
    with pytest.raises(FlickrError) as caught:
        api.photos.getInfo(photo_id=photo_id)
    assert caught.value.code == 1


def test_a_comment_sent_twice_is_one_comment(simulator: SimulatorProcess, logged_in: LoggedIn) -> None:
    api = logged_in(simulator.url)
    photo_id = next(iter(api.walk(tags="landscape", per_page=1))).get("id")
    comments = [api.photos.comments.addComment(photo_id=photo_id, comment_text="Schön!") for _ in range(2)]
    assert len({answer.find("comment").get("id") for answer in comments}) == 1


@pytest.mark.parametrize(
    ("method", "arguments", "code", "words"),
    [
        ("flickr.photos.doesNotExist", {}, 112, 'Method "flickr.photos.doesNotExist" not found'),
        ("flickr.photos.getInfo", {"photo_id": "1"}, 1, 'Photo "1" not found (invalid ID)'),
        ("flickr.photos.delete", {"photo_id": "1"}, 99, "requires delete privileges; write granted."),
        ("flickr.photos.search", {}, 3, "Parameterless searches"),
        ("flickr.people.findByUsername", {"username": "nobody"}, 1, "User not found"),
        ("flickr.photosets.create", {"title": "x", "primary_photo_id": "1"}, 2, "Photo not found"),
    ],
)
def test_it_sees_flickrs_errors(
    simulator: SimulatorProcess,
    logged_in: LoggedIn,
    method: str,
    arguments: dict[str, str],
    code: int,
    words: str,
) -> None:
    api = logged_in(simulator.url)
    with pytest.raises(FlickrError, match=f"Error: {code}: ") as caught:
        api.do_flickr_call(method, **arguments)
    assert caught.value.code == code
    assert words in str(caught.value)


def test_it_sees_its_token_revoked(simulator: SimulatorProcess, logged_in: LoggedIn) -> None:
    api = logged_in(simulator.url)
    api.test.login()
    token = api.token_cache.token.token
    requests.delete(f"{simulator.url}/_sim/tokens/{token}", timeout=10).raise_for_status()
    with pytest.raises(FlickrError, match="Error: 98: Invalid auth token") as caught:
        api.test.login()
    assert caught.value.code == 98
    assert not api.token_valid()


def test_a_wrong_secret_is_refused(simulator: SimulatorProcess, flickr: Flickr) -> None:
    api = flickr(simulator.url)
    api.flickr_oauth.oauth.client.client_secret = "0" * 16
    with pytest.raises(FlickrError, match="Status code 401 received"):
        api.get_request_token(oauth_callback="oob")


def test_a_wrong_verifier_is_refused(simulator: SimulatorProcess, flickr: Flickr) -> None:
    api = flickr(simulator.url)
    api.get_request_token(oauth_callback="oob")
    requests.post(api.auth_url(perms="read"), timeout=10).raise_for_status()
    with pytest.raises(FlickrError, match="Status code 401 received"):
        api.get_access_token("000-000-000")


def test_it_is_throttled_and_sees_the_service_down(simulator: SimulatorProcess, logged_in: LoggedIn) -> None:
    api = logged_in(simulator.url)
    for name, value in (("status", 429), ("code", 105)):
        ordered: dict[str, Any] = {"match": {"method": "flickr.test.login"}, "times": 1, name: value}
        requests.post(f"{simulator.url}/_sim/faults", json=ordered, timeout=10).raise_for_status()
    with pytest.raises(FlickrError, match="Status code 429 received"):
        api.test.login()
    with pytest.raises(FlickrError, match="Error: 105: Service currently unavailable"):
        api.test.login()
    assert api.test.login().get("stat") == "ok"


def test_every_call_it_made_is_in_the_log(simulator: SimulatorProcess, logged_in: LoggedIn) -> None:
    api = logged_in(simulator.url)
    api.photos.search(user_id="me", per_page=3)
    calls = requests.get(f"{simulator.url}/_sim/calls", timeout=10).json()
    steps = [(call["kind"], call["http_method"], call["method"], call["status"]) for call in calls]
    assert steps == [
        ("oauth", "POST", "request_token", 200),
        ("oauth", "GET", "authorize", 200),
        ("oauth", "POST", "authorize", 200),
        ("oauth", "POST", "access_token", 200),
        ("rest", "POST", "flickr.photos.search", 200),
    ]
    assert calls[-1]["oauth_token"] == api.token_cache.token.token
