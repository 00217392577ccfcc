"""What an upload says and asks, and how Flickr's answers to that are read."""

import json
from typing import Any

import pytest

from flickrhub_common.contracts import Target
from flickrhub_executor.errors import TransientFailure
from flickrhub_executor.usecases.ask_flickr import Ticket, fields_of, find_photo, look, read_ticket, tag_of
from tests.unit.executor.fakes import a_job
from tests.unit.executor.upload_fakes import progressed

TAG = "flickrhub:job=5d0f1cf77f704d39a2f63f3b3c0b7f10"


def test_the_tag_is_in_the_form_in_which_flickr_keeps_it() -> None:
    assert tag_of(a_job(job_id="5D0F1CF7-7F70-4D39-A2F6-3F3B3C0B7F10")) == TAG


def test_what_says_where_the_photo_is_isn_t_sent() -> None:
    params = {"photo_url": "https://client.example/a.jpg", "filename": "a.jpg", "title": "A", "photo_id": "1"}
    assert fields_of(a_job(None, target=Target.REPLACE, params=params)) == (("title", "A"), ("photo_id", "1"))


def test_the_check_for_duplicates_can_be_left_out() -> None:
    job = a_job(None, target=Target.UPLOAD, params={"photo_ref": "r"})
    assert fields_of(job) == (("tags", TAG), ("dedup_check", "1"))
    assert fields_of(progressed(job, dedup=False)) == (("tags", TAG),)


@pytest.mark.parametrize(
    ("asked", "failed", "method"),
    [
        (0, 0, "flickr.photos.search"),
        (1, 0, "flickr.people.getPhotos"),
        (2, 0, "flickr.photos.search"),
        (0, 1, "flickr.people.getPhotos"),
        (1, 1, "flickr.photos.search"),
        (3, 0, "flickr.people.getPhotos"),
    ],
)
def test_the_ways_of_looking_take_turns(asked: int, failed: int, method: str) -> None:
    call = look(progressed(a_job(None, target=Target.UPLOAD), step="look", asked=asked, failed=failed))
    assert call.method == method
    assert {("user_id", "me"), ("extras", "machine_tags"), ("per_page", "500")} <= set(call.params)
    assert (("machine_tags", TAG) in call.params) == (method == "flickr.photos.search")


def photos(*photo: Any) -> str:
    return json.dumps({"photos": {"page": 1, "photo": list(photo)}, "stat": "ok"})


@pytest.mark.parametrize(
    ("answer", "photo_id"),
    [
        (photos(), None),
        (photos({"id": "1", "machine_tags": TAG}), "1"),
        (photos({"id": "1", "machine_tags": ""}, {"id": "2", "machine_tags": f"a:b=c {TAG} d:e=f"}), "2"),
        (photos({"id": "1", "machine_tags": f"{TAG}0"}, {"id": "2", "machine_tags": TAG[:-1]}), None),
        (photos({"id": "1"}), None),
        (photos({"id": "1", "tags": TAG}), None),
        (photos({"id": 1, "machine_tags": TAG}), None),
        (photos({"id": "", "machine_tags": TAG}), None),
        (photos({"id": "1", "machine_tags": {"_content": TAG}}), None),
        (json.dumps({"photos": {"photo": {"id": "1", "machine_tags": TAG}}, "stat": "ok"}), "1"),
    ],
)
def test_a_photo_is_found_by_its_very_tag_only(answer: str, photo_id: str | None) -> None:
    assert find_photo(answer, TAG) == photo_id


UNREADABLE = [
    '{"stat":"ok"}',
    '{"photos":null,"uploader":[],"stat":"ok"}',
    '{"photos":{},"uploader":{},"stat":"ok"}',
    '{"photos":{"photo":"1"},"uploader":{"ticket":"1"},"stat":"ok"}',
    '{"photos":{"photo":[1]},"uploader":{"ticket":[1]},"stat":"ok"}',
]


@pytest.mark.parametrize("answer", UNREADABLE)
def test_an_answer_of_another_shape_isn_t_taken_for_nothing_found(answer: str) -> None:
    with pytest.raises(TransientFailure):
        find_photo(answer, TAG)
    with pytest.raises(TransientFailure):
        read_ticket(answer, "1-2")


def tickets(*ticket: dict[str, Any]) -> str:
    return json.dumps({"uploader": {"ticket": list(ticket)}, "stat": "ok"})


@pytest.mark.parametrize(
    ("ticket", "found"),
    [
        ({"complete": 0}, Ticket("pending")),
        ({"complete": "0"}, Ticket("pending")),
        ({"complete": 1, "photoid": "10100785685", "imported": None}, Ticket("done", "10100785685")),
        ({"complete": "1", "photoid": "10100785685"}, Ticket("done", "10100785685")),
        ({"complete": 1}, Ticket("done")),
        ({"complete": 1, "photoid": 5}, Ticket("done")),
        ({"complete": 2}, Ticket("failed")),
        ({"invalid": 1}, Ticket("unknown")),
        ({"invalid": "1", "complete": 1}, Ticket("unknown")),
        ({"invalid": 0, "complete": 0}, Ticket("pending")),
    ],
)
def test_a_ticket_is_read_as_number_or_text(ticket: dict[str, Any], found: Ticket) -> None:
    assert read_ticket(tickets({"id": "9-9", "complete": 2}, {"id": "1-2", **ticket}), "1-2") == found
    assert read_ticket(json.dumps({"uploader": {"ticket": {"id": "1-2", **ticket}}, "stat": "ok"}), "1-2") == found


@pytest.mark.parametrize("ticket", [{"id": "9-9", "complete": 1}, {"id": "1-2"}, {"id": "1-2", "complete": 7}])
def test_a_ticket_of_which_nothing_is_said_can_t_be_read(ticket: dict[str, Any]) -> None:
    with pytest.raises(TransientFailure):
        read_ticket(tickets(ticket), "1-2")
