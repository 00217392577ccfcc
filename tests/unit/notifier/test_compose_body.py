"""The bytes of a callback."""

import json
import uuid
from typing import Any

from flickrhub_common.contracts import Target
from flickrhub_notifier.usecases.compose_body import compose_body
from tests.support.samples import MOMENT, a_completion, a_failure

KEYS = [
    "job_id",
    "user_id",
    "queue",
    "state",
    "result",
    "error",
    "from_cache",
    "attempts_made",
    "max_attempts",
    "timestamp",
    "trace_id",
    "meta",
]


def test_the_body_of_a_completed_job_has_the_contracts_fields_in_order() -> None:
    event = a_completion("job-1").model_copy(update={"meta": {"page": 1}, "from_cache": True, "attempts_made": 2})
    body = json.loads(compose_body(event, now=MOMENT))
    assert list(body) == KEYS
    assert body == {
        "job_id": "job-1",
        "user_id": "user-1",
        "queue": "flickr_rest",
        "state": "completed",
        "result": {"stat": "ok"},
        "error": None,
        "from_cache": True,
        "attempts_made": 2,
        "max_attempts": 3,
        "timestamp": "2026-01-01T12:00:00.000Z",
        "trace_id": event.trace_id,
        "meta": {"page": 1},
    }
    assert uuid.UUID(body["trace_id"])


def test_the_body_of_a_failed_job_has_an_error_and_no_result() -> None:
    event = a_failure("job-1").model_copy(update={"target": Target.UPLOAD, "attempts_made": 3})
    body = json.loads(compose_body(event, now=MOMENT))
    assert list(body) == KEYS
    expected: dict[str, Any] = {
        "state": "failed",
        "queue": "flickr_upload",
        "result": None,
        "error": {"message": "Photo not found.", "code": "FLICKR_1"},
        "from_cache": False,
        "attempts_made": 3,
        "meta": None,
    }
    assert {key: body[key] for key in expected} == expected


def test_flickrs_reply_goes_in_as_the_text_it_is() -> None:
    text = '{"b":1.10,"a":12345678901234567890123,"e":1e2,"b":"Hà Nội \\u00e9"}'
    body = compose_body(a_completion().model_copy(update={"flickr": text}), now=MOMENT)
    assert f',"result":{text},'.encode() in body


def test_the_body_is_compact_and_its_text_unescaped() -> None:
    event = a_completion().model_copy(update={"flickr": '{"t":"Hà Nội 🌸"}', "meta": {"k": "ä b"}})
    body = compose_body(event, now=MOMENT)
    assert '{"t":"Hà Nội 🌸"}'.encode() in body
    assert '"meta":{"k":"ä b"}'.encode() in body
    assert body == json.dumps(json.loads(body), ensure_ascii=False, separators=(",", ":")).encode()
