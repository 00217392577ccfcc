"""Whole executors of uploads between a simulated Flickr, a photo store in MongoDB and a server of photos."""

import socket
import uuid

import pytest

from flickrhub_common.contracts import JobCompleted, JobFailed, Target
from flickrhub_executor.settings import ExecutorSettings
from tests.integration.executor.parts import a_call
from tests.integration.executor.photos import Photos, an_upload
from tests.support.hostile_urls import NAMES_LEADING_INSIDE, batched, hostile_urls
from tests.support.photographs import jpeg
from tests.support.planted import planted
from tests.support.stub_dns import StubDns


async def test_photos_from_each_source_are_at_flickr_byte_for_byte_with_their_tags(photos: Photos) -> None:
    checks = await photos.executor()
    files = [jpeg(), jpeg(300_000), jpeg()]
    jobs = [
        await photos.handed_over(files[0], title="Köln", tags='cat "two words"', is_public="0"),
        an_upload(photo_url=photos.server.whole(files[1].data), tags="dog"),
        an_upload(photo_url=photos.server.chunked(files[2].data)),
    ]
    await photos.hub.send(*jobs)
    outcomes = await photos.hub.ended(jobs)
    assert all(isinstance(outcome, JobCompleted) for outcome in outcomes), outcomes
    assert photos.hashes() == sorted(file.sha256 for file in files)
    assert {photo.title for photo in photos.at_flickr()} >= {"Köln"}
    for check in checks.values():
        await check()
    assert "photo_store" in checks


async def test_of_twenty_uploads_whose_answers_are_lost_each_is_there_once(photos: Photos) -> None:
    await photos.executor()
    await photos.executor()
    files = [jpeg() for _ in range(20)]
    photos.hub.fault(match={"kind": "upload"}, times=20, drop="after")
    jobs = [await photos.handed_over(file) for file in files]
    await photos.hub.send(*jobs)
    outcomes = await photos.hub.ended(jobs)
    assert all(isinstance(outcome, JobCompleted) for outcome in outcomes), outcomes
    assert photos.hashes() == sorted(file.sha256 for file in files)


async def test_uploads_that_never_arrived_are_sent_again_after_two_looks(photos: Photos) -> None:
    await photos.executor()
    file = jpeg()
    photos.hub.fault(match={"kind": "upload"}, times=1, status=502, body="<html>Bad Gateway</html>")
    job = await photos.handed_over(file)
    await photos.hub.send(job)
    (outcome,) = await photos.hub.ended([job])
    assert isinstance(outcome, JobCompleted)
    assert outcome.attempts_made == 2
    assert len(photos.hub.calls("flickr.photos.search")) == len(photos.hub.calls("flickr.people.getPhotos")) == 1
    assert photos.hashes() == [file.sha256]


async def test_a_ticket_is_followed_to_its_photo(photos: Photos) -> None:
    await photos.executor()
    job = await photos.handed_over(jpeg(), **{"async": "1"})
    await photos.hub.send(job)
    (outcome,) = await photos.hub.ended([job])
    assert isinstance(outcome, JobCompleted)
    assert '"ticketid"' in outcome.flickr
    assert photos.at_flickr()[0].id in outcome.flickr


async def test_the_same_photo_again_is_a_success_with_the_id_of_the_first(photos: Photos) -> None:
    await photos.executor()
    file = jpeg()
    first, second = await photos.handed_over(file), await photos.handed_over(file)
    await photos.hub.send(first)
    await photos.hub.ended([first])
    await photos.hub.send(second)
    _, outcome = await photos.hub.ended([first, second])
    assert isinstance(outcome, JobCompleted)
    assert f'"photoid":{{"_content":"{photos.at_flickr()[0].id}"}}' in outcome.flickr
    assert photos.hashes() == [file.sha256]


async def test_a_photo_is_replaced_though_the_first_answer_is_lost(photos: Photos) -> None:
    await photos.executor()
    await photos.executor(Target.REPLACE)
    upload = await photos.handed_over(jpeg())
    await photos.hub.send(upload)
    await photos.hub.ended([upload])
    photo_id, file = photos.at_flickr()[0].id, jpeg()
    photos.hub.fault(match={"kind": "replace"}, times=1, drop="after")
    job = a_call(
        None, target=Target.REPLACE, params={"photo_url": photos.server.whole(file.data), "photo_id": photo_id}
    )
    await photos.hub.send(job)
    _, outcome = await photos.hub.ended([upload, job])
    assert isinstance(outcome, JobCompleted), outcome
    assert (outcome.attempts_made, photos.hashes()) == (2, [file.sha256])


async def test_photos_that_aren_t_to_be_had_fail_with_a_sentence_and_flickr_has_none(photos: Photos) -> None:
    await photos.executor(job_retry_attempts=1)
    file = jpeg(20_000)
    jobs = {
        "ERR_PHOTO_NOT_FOUND": an_upload(photo_ref=str(uuid.uuid4())),
        "ERR_PHOTO_TRUNCATED": an_upload(photo_url=photos.server.whole(file.truncated())),
        "ERR_PHOTO_NOT_RECOGNISED": an_upload(photo_url=photos.server.whole(b"<html>" * 1000)),
        "ERR_PHOTO_UNREACHABLE": an_upload(photo_url=photos.server.hanging_up(file.data, after=15_000)),
        "ERR_PHOTO_ADDRESS": an_upload(photo_url="http://10.0.0.1/a.jpg"),
    }
    await photos.hub.send(*jobs.values())
    outcomes = await photos.hub.ended(jobs.values())
    failures = [outcome.failure for outcome in outcomes if isinstance(outcome, JobFailed)]
    assert [failure.code for failure in failures] == list(jobs)
    assert all(failure.message.endswith(".") for failure in failures)
    assert photos.at_flickr() == []


async def test_no_hostile_photo_url_reaches_loopback_and_each_fails_at_once_without_naming_an_address(
    photos: Photos, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    dns = StubDns(real=socket.getaddrinfo)
    dns.answers.update(NAMES_LEADING_INSIDE)
    monkeypatch.setattr("socket.getaddrinfo", dns)
    await photos.executor(upload_allow_cidrs=ExecutorSettings.model_fields["upload_allow_cidrs"].default)
    async with planted() as trap:
        jobs = [an_upload(photo_url=url) for url in hostile_urls(trap.port)]
        for some in batched(jobs):
            await photos.hub.send(*some)
        outcomes = await photos.hub.ended(jobs, within=30)
        assert trap.connections == 0
    sentence = "The photo's address isn't one that may be fetched from."
    for outcome in outcomes:
        assert isinstance(outcome, JobFailed)
        assert (outcome.failure.code, outcome.failure.message) == ("ERR_PHOTO_ADDRESS", sentence)
        assert (outcome.attempts_made, outcome.failure.chain) == (
            1,
            [f"PermanentFailure: {sentence}", "caused by RefusedUrl"],
        )
    assert not any("10.96.0.1" in text for text in capfd.readouterr())
    assert photos.at_flickr() == []
