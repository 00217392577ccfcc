"""The public flickrapi package uploads and replaces, unmodified, against the simulator."""

import hashlib
import io
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import requests
from flickrapi.exceptions import FlickrError

from flickr_sim.images import jpeg
from tests.integration.flickr_sim.conftest import LoggedIn
from tests.integration.flickr_sim.process import SimulatorProcess

# flickrapi leaves the file it opened to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")

JPEG = jpeg("of the tests") + bytes(range(256)) * 4000


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A photo on disk, with a name that needs care."""
    path = tmp_path / "Hafen & Möwe.jpg"
    path.write_bytes(JPEG)
    return str(path)


def stored(simulator: SimulatorProcess) -> list[dict[str, Any]]:
    """What was sent to the simulator."""
    photos: list[dict[str, Any]] = requests.get(f"{simulator.url}/_sim/photos?uploaded=true", timeout=10).json()
    return photos


def id_in(answer: Any, form: str) -> str:
    """The photo's id in an answer of one of flickrapi's formats."""
    if form == "xmlnode":
        return str(answer.photoid[0].text)
    return str((parsed(answer) if form == "rest" else answer).findtext("photoid"))


def parsed(answer: bytes) -> ElementTree.Element:
    """An answer left as it came."""
    return ElementTree.fromstring(answer)  # noqa: S314 - of the simulator, which is ours


@pytest.mark.parametrize("form", ["etree", "rest", "xmlnode"])
def test_it_uploads_a_photo_with_everything_said_of_it(
    simulator: SimulatorProcess, logged_in: LoggedIn, file: str, form: str
) -> None:
    api = logged_in(simulator.url)
    answer = api.upload(
        file,
        title="Hafen — „Möwe“ & 'Boot' (50% + 1)",
        description="line one\nline two",
        tags='hub:job=42 "two words"',
        is_public=0,
        is_family=1,
        format=form,
    )
    (photo,) = stored(simulator)
    assert id_in(answer, form) == photo["id"]
    assert (photo["bytes"], photo["sha256"]) == (len(JPEG), hashlib.sha256(JPEG).hexdigest())
    assert (photo["tags"], photo["machine_tags"]) == (["two words"], ["hub:job=42"])
    info = api.photos.getInfo(photo_id=photo["id"]).find("photo")
    assert (info.findtext("title"), info.findtext("description")) == (photo["title"], "line one\nline two")
    assert photo["title"] == "Hafen — „Möwe“ & 'Boot' (50% + 1)"
    visibility = info.find("visibility")
    assert (visibility.get("ispublic"), visibility.get("isfamily")) == ("0", "1")
    found = api.photos.search(user_id="me", machine_tags="hub:job=42").find("photos")
    assert [one.get("id") for one in found] == [photo["id"]]


def test_without_a_title_it_names_the_file(simulator: SimulatorProcess, logged_in: LoggedIn, file: str) -> None:
    logged_in(simulator.url).upload(file)
    assert [photo["title"] for photo in stored(simulator)] == ["Hafen & Möwe.jpg"]


def test_it_uploads_from_a_file_object_and_watches(simulator: SimulatorProcess, logged_in: LoggedIn) -> None:
    api = logged_in(simulator.url)
    api.upload("from memory", fileobj=io.BytesIO(JPEG), title="t")
    assert [photo["sha256"] for photo in stored(simulator)] == [hashlib.sha256(JPEG).hexdigest()]


def test_it_uploads_asynchronously_and_asks_after_its_ticket(
    simulator: SimulatorProcess, logged_in: LoggedIn, file: str
) -> None:
    api = logged_in(simulator.url)
    requests.post(f"{simulator.url}/_sim/tickets", json={"seconds": 0.3}, timeout=10).raise_for_status()
    ticket = api.upload(file, **{"async": 1}).findtext("ticketid")
    assert stored(simulator) == []
    deadline = time.monotonic() + 10
    while (state := api.photos.upload.checkTickets(tickets=ticket).find("uploader/ticket")).get("complete") == "0":
        assert time.monotonic() < deadline
        time.sleep(0.05)  # a ticket says nothing until it is asked
    (photo,) = stored(simulator)
    assert (state.get("id"), state.get("complete"), state.get("photoid")) == (ticket, "1", photo["id"])


def test_it_replaces_a_photo(simulator: SimulatorProcess, logged_in: LoggedIn, file: str) -> None:
    api = logged_in(simulator.url)
    old = next(iter(api.walk(user_id="me", per_page=1)))
    photo_id = api.replace(file, old.get("id")).find("photoid")
    assert photo_id.text == old.get("id")
    assert photo_id.get("secret") == api.photos.getInfo(photo_id=old.get("id")).find("photo").get("secret")
    assert photo_id.get("secret") != old.get("secret")
    (photo,) = stored(simulator)
    assert (photo["id"], photo["replaced"], photo["title"]) == (old.get("id"), 1, old.get("title"))
    assert photo["sha256"] == hashlib.sha256(JPEG).hexdigest()


def test_it_sees_why_an_upload_was_refused(simulator: SimulatorProcess, logged_in: LoggedIn, tmp_path: Path) -> None:
    api = logged_in(simulator.url)
    text = tmp_path / "text.jpg"
    text.write_text("no photo")
    empty = tmp_path / "empty.jpg"
    empty.touch()
    for path, code in ((text, 5), (empty, 4)):
        with pytest.raises(FlickrError) as caught:
            api.upload(str(path))
        assert caught.value.code == code
    free = logged_in(simulator.url, account="lamplighter")
    with pytest.raises(FlickrError, match="Error: 1: Not a pro account"):
        free.replace(str(text), "1")
    with pytest.raises(FlickrError, match=r"Error: 99: .* requires write privileges; read granted"):
        logged_in(simulator.url, perms="read").upload(str(text))
    assert stored(simulator) == []


def test_it_sees_a_duplicate_and_where_to_look_for_its_id(
    simulator: SimulatorProcess, logged_in: LoggedIn, file: str
) -> None:
    """2.4.0 only sees the code; its source after that release reads this child of `rsp`, in both of its parsers."""
    api = logged_in(simulator.url)
    first = api.upload(file).findtext("photoid")
    with pytest.raises(FlickrError, match="Error: 9: Duplicate photo/video detected") as caught:
        api.upload(file, dedup_check=1)
    assert caught.value.code == 9
    rsp = parsed(api.upload(file, dedup_check=1, format="rest"))
    assert rsp.findtext("duplicate_photo_id") == first
    assert len(stored(simulator)) == 1


def test_it_sees_its_token_rejected(simulator: SimulatorProcess, logged_in: LoggedIn, file: str) -> None:
    api = logged_in(simulator.url)
    token = api.token_cache.token.token
    requests.delete(f"{simulator.url}/_sim/tokens/{token}", timeout=10).raise_for_status()
    with pytest.raises(FlickrError, match="Status code 401 received"):
        api.upload(file)
    assert stored(simulator) == []
