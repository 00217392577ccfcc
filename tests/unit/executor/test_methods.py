"""What is known of Flickr's methods."""

import pytest

from flickr_sim.catalogue import WRITING, permissions
from flickrhub_common.method_classes import WRITES, is_write
from flickrhub_executor.methods import (
    ALREADY_DONE,
    NOT_REPEATABLE,
    REPLACE,
    TRANSIENT_CODES,
    UPLOAD,
    is_cacheable,
)


def test_the_writes_are_the_66_methods_that_need_write_or_delete_permission() -> None:
    assert len(WRITES) == 66
    assert {name for name, needed in permissions().items() if needed in WRITING} == WRITES


def test_every_table_speaks_of_methods_that_exist() -> None:
    assert {*NOT_REPEATABLE, *ALREADY_DONE, *TRANSIENT_CODES} - {UPLOAD, REPLACE} <= set(permissions())


def test_only_writes_are_already_done_or_not_to_be_repeated_and_none_is_both() -> None:
    assert set(ALREADY_DONE) <= WRITES
    assert NOT_REPEATABLE <= WRITES
    assert not set(ALREADY_DONE) & NOT_REPEATABLE


@pytest.mark.parametrize(
    "method",
    [
        "flickr.photosets.create",
        "flickr.galleries.create",
        "flickr.photos.notes.add",
        "flickr.groups.discuss.topics.add",
        "flickr.groups.discuss.replies.add",
        "flickr.blogs.postPhoto",
        "flickr.photos.transform.rotate",
    ],
)
def test_what_makes_a_second_thing_is_not_to_be_repeated(method: str) -> None:
    assert method in NOT_REPEATABLE


@pytest.mark.parametrize(
    ("method", "write", "cacheable"),
    [
        ("flickr.photos.search", False, True),
        ("flickr.test.echo", False, True),
        ("flickr.something.new", False, True),
        ("flickr.photos.setMeta", True, False),
        ("flickr.photos.delete", True, False),
        ("flickr.push.subscribe", False, False),
        ("flickr.push.unsubscribe", False, False),
        ("flickr.push.getSubscriptions", False, True),
        ("flickr.auth.oauth.checkToken", False, False),
        ("flickr.auth.getFrob", False, False),
        ("flickr.photos.upload.checkTickets", False, False),
    ],
)
def test_writes_go_out_as_post_and_only_quiet_reads_are_cached(method: str, write: bool, cacheable: bool) -> None:
    assert (is_write(method), is_cacheable(method)) == (write, cacheable)
