"""Every message against its golden file: a change of form is a change somebody decided on.

A golden file holds one message exactly as it lies on the broker, laid out for reading. To change one on purpose, write
the file anew and say in CHANGELOG.md how old and new readers get along.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from flickrhub_common import contracts
from flickrhub_common.contracts import (
    Callback,
    CallbackDue,
    Failure,
    JobCompleted,
    JobFailed,
    JobReplayed,
    JobRequested,
    JobRetrying,
    Message,
    Reservation,
    Target,
    TokenRejected,
    TokenReplaced,
    TokenRevoked,
    UploadProgress,
)
from tests.support.run_env import ROOT

FOLDER = ROOT / "tests" / "data" / "messages"
JOB_ID = "5f0c2a52-8f0e-4c63-9b0a-0f6a2f1c7d11"
USER_ID = "0d9e6a3e-6f0f-4a35-8a3c-6f6f7f1b2c3d"
TRACE_ID = "0af76519-16cd-43dd-8448-eb211c80319c"
AT = datetime(2026, 11, 21, 2, 30, 0, 123000, UTC)
CALLBACK = Callback(url="https://client.example/hook?x=1", sealed_secret="v1.k1.c2VhbGVk")
META: dict[str, Any] = {"order": 17, "note": "Grüße 😀", "nested": {"list": [1, 2.5, None, True]}}


def event(**fields: Any) -> dict[str, Any]:
    common = {"job_id": JOB_ID, "user_id": USER_ID, "target": Target.REST, "trace_id": TRACE_ID, "max_attempts": 3}
    return {**common, "attempts_made": 1, "at": AT, "accepted_at": AT, "replay": 1, **fields}


MESSAGES: list[Message] = [
    JobRequested(
        job_id=JOB_ID,
        user_id=USER_ID,
        target=Target.REST,
        method="flickr.photos.search",
        params={"text": "Köln", "per_page": 10, "in_gallery": True, "extras": ["url_o", "tags"]},
        callback=CALLBACK,
        meta=META,
        trace_id=TRACE_ID,
        accepted_at=AT,
        attempt=2,
        reservation=Reservation(limit="key", at=1795228200.25),
        doubtful=True,
        replay=1,
    ),
    JobRequested(
        job_id=JOB_ID,
        user_id=USER_ID,
        target=Target.UPLOAD,
        params={
            "photo_ref": "2c1d7c0e-9b0f-4a58-8a55-0f5d8a0b6d11",
            "filename": "harbour.jpg",
            "title": "Hafen bei Nacht 😀",
            "tags": 'harbour "by night"',
            "async": "1",
        },
        callback=CALLBACK,
        meta=META,
        trace_id=TRACE_ID,
        accepted_at=AT,
        attempt=2,
        reservation=Reservation(limit="user", at=1795228200.25),
        doubtful=True,
        replay=2,
        progress=UploadProgress(
            step="poll", sequence=7, asked=3, failed=1, ticket="78701040-72157636215117185", dedup=False
        ),
    ),
    JobRetrying(**event(reason="Flickr answered 503.", next_attempt_at=AT)),
    JobCompleted(
        **event(attempts_made=2),
        from_cache=False,
        flickr='{"photos":{"page":1,"photo":[{"id":"1","title":"Grüße"}]},"stat":"ok"}',
        http_status=200,
        duration_ms=137,
        callback=CALLBACK,
        meta=META,
    ),
    JobFailed(
        **event(attempts_made=3),
        failure=Failure(
            message="Flickr's service was not available.",
            code="FLICKR_105",
            chain=["FlickrFailed: 105: Service currently unavailable", "attempt 3 of 3"],
        ),
        callback=CALLBACK,
        meta=META,
    ),
    JobReplayed(
        job_id=JOB_ID,
        user_id=USER_ID,
        target=Target.UPLOAD,
        trace_id=TRACE_ID,
        photo_ref="2c1d7c0e-9b0f-4a58-8a55-0f5d8a0b6d11",
        at=AT,
        replay=2,
    ),
    CallbackDue(job_id=JOB_ID, attempt=2, replay=1, job_replay=1),
    TokenRejected(user_id=USER_ID, fingerprint="0123456789abcdef", reason="98: Invalid auth token", at=AT),
    TokenRevoked(user_id=USER_ID, reason="98: Invalid auth token", at=AT),
    TokenReplaced(user_id=USER_ID, at=AT),
]


def stem(message: Message) -> str:
    """The golden file's name: the message's, and what it is of where that makes another form."""
    progress = getattr(message, "progress", None)
    return message.name if progress is None else f"{message.name}.upload"


IDS = [stem(message) for message in MESSAGES]


def golden(message: Message) -> Path:
    return FOLDER / f"{stem(message)}.json"


def read(message: Message) -> Any:
    return json.loads(golden(message).read_text(encoding="utf-8"))


def all_kinds(kind: type[Message] = Message) -> set[type[Message]]:
    """Every class of messages that has a name, and so can be sent."""
    return {
        *([kind] if "name" in vars(kind) else []),
        *(
            found
            for below in kind.__subclasses__()
            if below.__module__.startswith("flickrhub_")
            for found in all_kinds(below)
        ),
    }


def test_every_message_has_a_golden_file_and_every_file_a_message() -> None:
    assert sorted(path.stem for path in FOLDER.iterdir()) == sorted(IDS)
    assert {message.name for message in MESSAGES} == {kind.name for kind in all_kinds()}


def test_no_two_messages_have_one_name() -> None:
    assert len({kind.name for kind in all_kinds()}) == len(all_kinds())


def test_every_message_can_be_had_from_the_package() -> None:
    assert {kind.__name__ for kind in all_kinds()} <= set(contracts.__all__)


@pytest.mark.parametrize("message", MESSAGES, ids=IDS)
def test_a_message_is_written_as_its_golden_file_says(message: Message) -> None:
    written = message.to_bytes().decode()
    assert written == json.dumps(read(message), ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize("message", MESSAGES, ids=IDS)
def test_a_golden_file_is_read_as_the_message_it_was(message: Message) -> None:
    assert type(message).model_validate_json(golden(message).read_bytes()) == message


KINDS = sorted(all_kinds(), key=lambda kind: kind.name)


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_every_field_is_filled_in_a_golden_file(kind: type[Message]) -> None:
    files = [read(message) for message in MESSAGES if type(message) is kind]
    assert all(fields.keys() == kind.model_fields.keys() for fields in files)
    assert {name for fields in files for name, value in fields.items() if value is not None} == set(kind.model_fields)


def test_a_job_s_message_from_before_there_was_progress_is_read() -> None:
    (job,) = (message for message in MESSAGES if stem(message) == "job.requested")
    fields = {name: value for name, value in read(job).items() if name != "progress"}
    assert JobRequested.model_validate_json(json.dumps(fields)) == job


def test_a_delivery_of_a_replayed_job_has_an_id_of_its_own() -> None:
    assert CallbackDue(job_id="job", attempt=1, replay=2).delivery_id == "job"
    assert CallbackDue(job_id="job", attempt=1, job_replay=2).delivery_id == "job-r2"


def with_unknown_fields(value: Any) -> Any:
    """The same with a field from the future in every object that is a model's."""
    if not isinstance(value, dict):
        return value
    free = {"params", "meta"}
    kept = {name: inner if name in free else with_unknown_fields(inner) for name, inner in value.items()}
    return {**kept, "from_the_future": {"a": [1]}}


@pytest.mark.parametrize("message", MESSAGES, ids=IDS)
def test_fields_that_a_reader_doesnt_know_are_read_past(message: Message) -> None:
    body = json.dumps(with_unknown_fields(read(message)))
    assert type(message).model_validate_json(body) == message


@pytest.mark.parametrize("message", MESSAGES, ids=IDS)
def test_another_version_is_refused(message: Message) -> None:
    with pytest.raises(ValidationError, match="version"):
        type(message).model_validate_json(json.dumps({**read(message), "version": 2}))


@pytest.mark.parametrize("message", MESSAGES, ids=IDS)
def test_a_message_cant_be_changed(message: Message) -> None:
    name = next(iter(type(message).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(message, name, None)


@pytest.mark.parametrize("message", MESSAGES, ids=IDS)
def test_a_message_says_who_sends_and_who_reads_it(message: Message) -> None:
    first = " ".join((type(message).__doc__ or "").split("\n\n")[0].split())
    assert first.startswith("Sent by ")
    assert "read by " in first


SECRET_FIELDS = ("secret", "token", "password", "api_key", "verifier")


@pytest.mark.parametrize("message", MESSAGES, ids=IDS)
def test_no_message_has_a_field_for_a_secret_in_clear(message: Message) -> None:
    fields = set(type(message).model_fields) | set(Callback.model_fields)
    assert [name for name in fields if name.endswith(SECRET_FIELDS) and not name.startswith("sealed_")] == []
