"""A photo from its handing over to its end: which job may use it, what becomes of it, and what the sweeper finds."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from flickrhub_common.contracts import Failure, JobCompleted, JobFailed, JobReplayed, Target
from flickrhub_common.errors import Unavailable
from flickrhub_common.photo_formats import MAX_VIDEO_BYTES
from flickrhub_common.testing import FakePhotoStore
from flickrhub_gateway.models import Job, State
from flickrhub_gateway.uploads import Upload, UploadState
from tests.support.photographs import jpeg
from tests.unit.gateway.fakes import LIFETIME, NOON, STRANGER, USER, Surroundings, a_job

REST = "/api/v1/flickr/rest"
PRESIGN = "/api/v1/uploads/presign"
REF = "7d5e1f0a-52c3-4f0e-9a52-6a2b8f6f5b0c"
NO_SUCH = ["params.photo_ref: there is no such upload for this user_id, or it has expired"]
MINUTE = 60
HOUR = 3600


def _hold(around: Surroundings, **given: Any) -> Upload:
    """A photo that is there, with its record."""
    fields: dict[str, Any] = {
        "ref": REF,
        "user_id": USER,
        "state": UploadState.READY,
        "filename": "a.jpg",
        "created_at": NOON,
        "expires_at": NOON + LIFETIME,
        **given,
    }
    around.uploads.kept[REF] = Upload(**fields)
    around.store.photos[REF] = jpeg().data
    return around.uploads.kept[REF]


async def _enqueue(http: httpx2.AsyncClient, **params: Any) -> httpx2.Response:
    body = {"user_id": USER, "target": "upload", "params": {"photo_ref": REF, **params}}
    return await http.post(REST, json=body)


def _event(around: Surroundings, kind: type[Any], job_id: str | None = None, target: Target = Target.UPLOAD) -> Any:
    job_id = job_id or around.publisher.handed[-1].id
    more = (
        {"from_cache": False, "flickr": "{}", "http_status": 200, "duration_ms": 1}
        if kind is JobCompleted
        else {"failure": Failure(message="No.", code="ERR_PHOTO_TRUNCATED")}
    )
    common = {"user_id": USER, "trace_id": STRANGER, "attempts_made": 1, "max_attempts": 3, "at": NOON}
    return kind(job_id=job_id, target=target, **common, **more)


@pytest.mark.parametrize("ref", [REF, REF.upper()])
async def test_a_job_gets_the_reference_and_the_name_of_its_photo(
    http: httpx2.AsyncClient, around: Surroundings, ref: str
) -> None:
    _hold(around, expires_at=NOON + timedelta(seconds=1))
    assert (await _enqueue(http, photo_ref=ref, title="x")).status_code == 202
    job = around.publisher.handed[0]
    assert json.loads(job.params) == {"photo_ref": REF, "filename": "a.jpg", "title": "x"}
    record = around.uploads.kept[REF]
    assert (record.job_id, record.claimed_at, record.expires_at) == (job.id, NOON, NOON + LIFETIME)


async def test_a_photo_without_a_name_has_none(http: httpx2.AsyncClient, around: Surroundings) -> None:
    _hold(around, filename=None)
    await _enqueue(http)
    assert json.loads(around.publisher.handed[0].params) == {"photo_ref": REF}


@pytest.mark.parametrize(
    "given",
    [
        {"ref": STRANGER},
        {"user_id": STRANGER},
        {"expires_at": NOON},
        {"state": UploadState.RECEIVING, "user_id": None},
        {"state": UploadState.DOOMED},
        {"hidden": True},
    ],
    ids=["unknown", "foreign", "expired", "still coming", "going", "of another call"],
)
async def test_what_cant_be_used_is_refused_in_the_same_words_whatever_the_reason(
    http: httpx2.AsyncClient, around: Surroundings, given: dict[str, Any]
) -> None:
    before = _hold(around, **given)
    ref = USER if "ref" in given else REF
    body = {"user_id": USER, "target": "replace", "params": {"photo_ref": ref, "photo_id": 1}}
    reply = await http.post(REST, json=body)
    assert (reply.status_code, reply.json()["error"]["details"]) == (400, NO_SUCH)
    assert around.uploads.kept[REF] == before
    assert not around.jobs.kept


async def test_a_photo_serves_one_open_job(http: httpx2.AsyncClient, around: Surroundings) -> None:
    _hold(around)
    first = await _enqueue(http)
    second = await _enqueue(http)
    assert first.status_code == 202
    assert (second.status_code, second.json()["error"]["code"]) == (409, "ERR_CONFLICT")
    assert second.json()["error"]["message"] == "This photo_ref is used by another job that hasn't ended."
    around.jobs.kept[around.publisher.handed[0].id].state = State.RETRYING
    around.clock.advance(HOUR)
    assert (await _enqueue(http)).status_code == 409
    assert len(around.jobs.kept) == 1


async def test_of_many_at_once_one_job_gets_the_photo(http: httpx2.AsyncClient, around: Surroundings) -> None:
    _hold(around)
    replies = await asyncio.gather(*(_enqueue(http) for _ in range(20)))
    assert sorted(reply.status_code for reply in replies) == [202] + [409] * 19
    assert around.uploads.kept[REF].job_id == around.publisher.handed[0].id


@pytest.mark.parametrize(
    ("holder", "since", "status"),
    [
        (State.FAILED, 0, 202),
        (State.COMPLETED, 0, 400),
        (State.QUEUED, HOUR, 409),
        (None, 9.9, 409),
        (None, 10, 202),
    ],
)
async def test_a_claim_is_taken_over_from_a_job_that_failed_or_never_was(
    http: httpx2.AsyncClient, around: Surroundings, holder: State | None, since: float, status: int
) -> None:
    _hold(around, job_id="j1", claimed_at=NOON)
    if holder is not None:
        around.jobs.hold(a_job("j1"))
        around.jobs.kept["j1"].state = holder
    around.clock.advance(since)
    assert (await _enqueue(http)).status_code == status
    claimed = around.uploads.kept[REF].job_id
    assert claimed == (around.publisher.handed[0].id if status == 202 else "j1")


async def test_a_job_that_couldnt_be_stored_holds_its_photo_for_a_moment_only(
    http: httpx2.AsyncClient, around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    _hold(around)

    async def fail(_: object) -> None:
        raise Unavailable("mongo")

    with monkeypatch.context() as patch:
        patch.setattr(around.jobs, "add", fail)
        assert (await _enqueue(http)).status_code == 503
    assert (await _enqueue(http)).status_code == 409
    around.clock.advance(10)
    assert (await _enqueue(http)).status_code == 202


@pytest.mark.parametrize("away", ["uploads", "jobs"])
async def test_without_mongo_a_claim_is_a_503(http: httpx2.AsyncClient, around: Surroundings, away: str) -> None:
    _hold(around, job_id="j1", claimed_at=NOON)
    getattr(around, away).away = True
    assert (await _enqueue(http)).status_code == 503


async def test_a_photo_in_the_call_without_its_job_goes_soon(
    http: httpx2.AsyncClient, around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: Job) -> None:
        raise Unavailable("mongo")

    params = {"photo_base64": base64.b64encode(jpeg().data).decode()}
    monkeypatch.setattr(around.jobs, "add", away)
    reply = await http.post(REST, json={"user_id": USER, "target": "upload", "params": params})
    assert reply.status_code == 503
    around.clock.advance(5 * MINUTE)
    assert await around.sweep_uploads()() == 1
    assert not around.refs()


async def test_a_stuck_store_is_a_503_within_the_promise(
    http: httpx2.AsyncClient, around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flickrhub_gateway.usecases.enqueue_job.ACCEPT_SECONDS", 0.05)

    async def put(ref: str, chunks: AsyncIterator[bytes], *, content_type: str) -> int:
        return await asyncio.Event().wait()

    monkeypatch.setattr(around.store, "put", put)
    params = {"photo_base64": base64.b64encode(jpeg().data).decode()}
    reply = await http.post(REST, json={"user_id": USER, "target": "upload", "params": params})
    assert reply.status_code == 503
    assert not around.jobs.kept


@pytest.mark.parametrize("target", [Target.UPLOAD, Target.REPLACE])
async def test_when_the_job_has_completed_its_photo_goes(
    http: httpx2.AsyncClient, around: Surroundings, target: Target
) -> None:
    _hold(around)
    await _enqueue(http)
    record = around.record_job_event()
    for _ in range(2):  # an event may come twice
        await record(_event(around, JobCompleted, target=target))
    assert not around.refs()
    assert (await _enqueue(http)).json()["error"]["details"] == NO_SUCH


async def test_when_the_job_has_failed_its_photo_is_free_again(http: httpx2.AsyncClient, around: Surroundings) -> None:
    _hold(around)
    await _enqueue(http)
    around.clock.advance(23 * HOUR)
    event = _event(around, JobFailed)
    await around.record_job_event()(event)
    record = around.uploads.kept[REF]
    assert (record.job_id, record.expires_at) == (None, around.clock.now() + LIFETIME)
    assert (await _enqueue(http)).status_code == 202
    await around.record_job_event()(event)  # repeated, it takes nothing from the next job
    assert around.uploads.kept[REF].job_id == around.publisher.handed[-1].id


@pytest.mark.parametrize("kind", [JobCompleted, JobFailed])
async def test_a_photo_in_the_call_goes_however_its_job_ends(
    http: httpx2.AsyncClient, around: Surroundings, kind: type[Any]
) -> None:
    params = {"photo_base64": base64.b64encode(jpeg().data).decode()}
    assert (await http.post(REST, json={"user_id": USER, "target": "upload", "params": params})).status_code == 202
    await around.record_job_event()(_event(around, kind))
    assert not around.refs()


@pytest.mark.parametrize("away", ["uploads", "store"])
async def test_an_event_waits_while_the_photo_cant_be_settled(
    http: httpx2.AsyncClient, around: Surroundings, away: str
) -> None:
    _hold(around)
    await _enqueue(http)
    getattr(around, away).away = True
    with pytest.raises(Unavailable):
        await around.record_job_event()(_event(around, JobCompleted))
    getattr(around, away).away = False
    await around.record_job_event()(_event(around, JobCompleted))  # the state change has no effect any more
    assert not around.refs()


async def test_events_of_rest_calls_ask_for_no_photo(around: Surroundings) -> None:
    around.uploads.away = around.store.away = True
    around.jobs.hold(a_job("j1"))
    await around.record_job_event()(_event(around, JobCompleted, "j1", Target.REST))


async def test_the_sweeper_takes_what_has_expired_and_nothing_else(around: Surroundings) -> None:
    _hold(around)
    around.clock.advance(24 * HOUR - 1)
    assert await around.sweep_uploads()() == 0
    around.clock.advance(1)
    assert await around.sweep_uploads()() == 1
    assert not around.refs()


@pytest.mark.parametrize(
    ("state", "goes"),
    [(State.QUEUED, False), (State.RETRYING, False), (State.COMPLETED, True), (State.FAILED, True), (None, True)],
)
async def test_an_open_job_keeps_its_photo(around: Surroundings, state: State | None, goes: bool) -> None:
    _hold(around, job_id="j1", claimed_at=NOON)
    if state is not None:
        around.jobs.hold(a_job("j1"))
        around.jobs.kept["j1"].state = state
    around.clock.advance(24 * HOUR)
    assert await around.sweep_uploads()() == goes
    if goes:
        assert not around.uploads.kept
    else:
        assert around.uploads.kept[REF].expires_at == around.clock.now() + LIFETIME
        assert around.uploads.kept[REF].job_id == "j1"


async def test_many_are_swept_in_batches(around: Surroundings) -> None:
    record = _hold(around)
    del around.uploads.kept[REF], around.store.photos[REF]
    for number in range(250):
        around.uploads.kept[f"r{number}"] = Upload(
            ref=f"r{number}",
            user_id=USER,
            state=record.state,
            filename=None,
            created_at=NOON,
            expires_at=NOON + timedelta(seconds=number),
        )
        around.store.photos[f"r{number}"] = b"x"
    around.clock.advance(HOUR)
    assert await around.sweep_uploads()() == 250
    assert not around.refs()


async def test_a_photo_that_cant_be_deleted_rests_and_blocks_no_other(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    _hold(around)
    around.clock.advance(24 * HOUR)

    async def fail(_: str) -> None:
        raise ValueError("a broken one")

    with monkeypatch.context() as patch:
        patch.setattr(around.store, "delete", fail)
        with pytest.raises(ValueError, match="a broken one"):
            await around.sweep_uploads()()
    assert await around.sweep_uploads()() == 0
    around.clock.advance(MINUTE)
    assert await around.sweep_uploads()() == 1


async def test_sweepers_at_the_same_time_do_no_harm(around: Surroundings) -> None:
    _hold(around)
    around.clock.advance(24 * HOUR)
    swept = await asyncio.gather(*(around.sweep_uploads()() for _ in range(4)))
    assert sum(swept) == 1


@pytest.fixture
def around_s3(around: Surroundings) -> Surroundings:
    """A store that gives out URLs."""
    around.store = FakePhotoStore(presign_url="https://s3.example/photos")
    return around


@pytest.fixture
async def http_s3(around_s3: Surroundings) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a gateway with such a store."""
    transport = httpx2.ASGITransport(around_s3.app(), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://hub") as client:
        yield client


async def _presigned(http: httpx2.AsyncClient) -> str:
    reply = await http.post(PRESIGN, json={"user_id": USER, "filename": "a/ü.jpg"})
    assert reply.status_code == 201, reply.text
    return str(reply.json()["data"]["photo_ref"])


async def test_a_store_with_urls_gives_one(http_s3: httpx2.AsyncClient, around_s3: Surroundings) -> None:
    reply = await http_s3.post(PRESIGN, json={"user_id": USER.upper(), "filename": "a/ü.jpg"})
    ref = reply.json()["data"]["photo_ref"]
    assert (reply.status_code, reply.json()["error"]) == (201, None)
    assert reply.json()["data"] == {
        "photo_ref": ref,
        "url": f"https://s3.example/photos/{ref}?seconds=86400",
        "method": "PUT",
        "expires_at": "2026-01-02T12:00:00.000Z",
    }
    record = around_s3.uploads.kept[ref]
    assert (record.user_id, record.state, record.filename) == (USER, UploadState.PRESIGNED, "u.jpg")


async def test_a_store_without_urls_is_a_conflict(http: httpx2.AsyncClient, around: Surroundings) -> None:
    reply = await http.post(PRESIGN, json={"user_id": USER})
    assert (reply.status_code, reply.json()["error"]["code"]) == (409, "ERR_CONFLICT")
    assert not around.uploads.kept


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"user_id": 5}, 400),
        ({"user_id": USER, "filename": "n" * 256}, 400),
        ({"user_id": USER, "bytes": 1}, 400),
        ({"user_id": STRANGER}, 404),
        ({"user_id": "nobody"}, 404),
    ],
)
async def test_a_url_is_refused_for_a_wrong_question(
    http_s3: httpx2.AsyncClient, around_s3: Surroundings, body: dict[str, Any], status: int
) -> None:
    assert (await http_s3.post(PRESIGN, json=body)).status_code == status
    assert not around_s3.uploads.kept


@pytest.mark.parametrize(
    ("size", "sentence"),
    [
        (None, "params.photo_ref: nothing has been uploaded to it yet"),
        (0, "params.photo_ref: what has been uploaded to it is empty"),
        (
            MAX_VIDEO_BYTES + 1,
            "params.photo_ref: what has been uploaded to it is more than the 1 GiB that Flickr takes",
        ),
        (1, None),
        (MAX_VIDEO_BYTES, None),
    ],
)
async def test_a_photo_that_was_to_be_put_is_looked_for_when_its_job_comes(
    http_s3: httpx2.AsyncClient,
    around_s3: Surroundings,
    monkeypatch: pytest.MonkeyPatch,
    size: int | None,
    sentence: str | None,
) -> None:
    ref = await _presigned(http_s3)

    async def find(_: str) -> int | None:
        return size

    monkeypatch.setattr(around_s3.store, "find", find)
    reply = await _enqueue(http_s3, photo_ref=ref)
    if sentence is None:
        assert reply.status_code == 202
        assert json.loads(around_s3.publisher.handed[0].params) == {"photo_ref": ref, "filename": "u.jpg"}
    else:
        assert (reply.status_code, reply.json()["error"]["details"]) == (400, [sentence])
        assert around_s3.uploads.kept[ref].job_id is None


async def test_what_is_put_to_a_url_after_its_job_has_ended_is_found_and_deleted(
    http_s3: httpx2.AsyncClient, around_s3: Surroundings
) -> None:
    ref = await _presigned(http_s3)
    around_s3.store.photos[ref] = b"x"
    await _enqueue(http_s3, photo_ref=ref)
    await around_s3.record_job_event()(_event(around_s3, JobCompleted))
    assert not around_s3.store.photos
    assert (await _enqueue(http_s3, photo_ref=ref)).json()["error"]["details"] == NO_SUCH
    around_s3.clock.advance(24 * HOUR - 1)
    around_s3.store.photos[ref] = b"put again at the last moment"
    assert await around_s3.sweep_uploads()() == 0
    around_s3.clock.advance(HOUR + 1)
    assert await around_s3.sweep_uploads()() == 1
    assert not around_s3.refs()


# -- replays ---------------------------------------------------------------------------------------------------------


def _replayed(around: Surroundings, ref: str | None = REF) -> JobReplayed:
    job_id = around.publisher.handed[0].id
    return JobReplayed(
        job_id=job_id, user_id=USER, target=Target.UPLOAD, trace_id=STRANGER, photo_ref=ref, at=NOON, replay=1
    )


async def test_a_replayed_job_holds_its_photo_again(http: httpx2.AsyncClient, around: Surroundings) -> None:
    _hold(around)
    await _enqueue(http)
    record = around.record_job_event()
    await record(_event(around, JobFailed))
    assert around.uploads.kept[REF].job_id is None
    for event in (_replayed(around), _event(around, JobFailed), _replayed(around)):  # the old run's, late; and again
        await record(event)
        assert around.uploads.kept[REF].job_id == around.publisher.handed[0].id
    completed = _event(around, JobCompleted).model_copy(update={"replay": 1})
    await record(completed)
    assert around.refs() == set()


@pytest.mark.parametrize("how", ["gone", "used by another job", "not named"])
async def test_a_replayed_job_without_its_photo_is_open_all_the_same(
    http: httpx2.AsyncClient, around: Surroundings, how: str
) -> None:
    _hold(around)
    await _enqueue(http)
    record = around.record_job_event()
    await record(_event(around, JobFailed))
    if how == "gone":
        around.uploads.kept.clear()
    elif how == "used by another job":
        await _enqueue(http)
    await record(_replayed(around, ref=None if how == "not named" else REF))
    job_id = around.publisher.handed[0].id
    assert around.jobs.kept[job_id].state is State.QUEUED
    assert await around.uploads.of_job(job_id) == []


async def test_the_photo_isn_t_held_for_a_replay_that_has_ended_already(
    http: httpx2.AsyncClient, around: Surroundings
) -> None:
    _hold(around)
    await _enqueue(http)
    record = around.record_job_event()
    await record(_event(around, JobFailed))
    await record(_event(around, JobFailed).model_copy(update={"replay": 1}))
    await record(_replayed(around))
    assert around.uploads.kept[REF].job_id is None
