"""What a client reads of its job."""

import json
from typing import Any

import httpx2
import pytest

from flickrhub_common.contracts import Failure, Target
from flickrhub_common.errors import Unavailable
from flickrhub_gateway.models import JobChange, Result, State
from tests.unit.gateway.fakes import NOON, STRANGER, USER, Surroundings, a_job

STATUS = "/api/v1/flickr/jobs/status"
JOB = "e6b6634c-e07c-43f0-88b3-9516590aad77"


async def _status(http: httpx2.AsyncClient, job_id: str = JOB, user_id: str = USER) -> httpx2.Response:
    return await http.post(STATUS, json={"job_id": job_id, "user_id": user_id})


async def test_a_new_job_is_queued(http: httpx2.AsyncClient, around: Surroundings) -> None:
    around.jobs.hold(a_job(JOB))
    reply = await _status(http)
    assert reply.status_code == 200
    assert reply.json() == {
        "request_id": reply.headers["x-request-id"],
        "data": {
            "id": JOB,
            "state": "queued",
            "returnvalue": None,
            "failedReason": None,
            "stacktrace": [],
            "queue": "flickr_rest",
        },
        "error": None,
    }


async def test_a_completed_job_shows_flickrs_reply_as_it_came(http: httpx2.AsyncClient, around: Surroundings) -> None:
    around.jobs.hold(a_job(JOB, target=Target.UPLOAD))
    flickr = '{"stat":"ok","lat":1.10,"big":123456789012345678901234567890,"title":"ü"}'
    result = Result(flickr=flickr, from_cache=True, http_status=200, duration_ms=7)
    await around.jobs.apply(JobChange(job_id=JOB, state=State.COMPLETED, attempts=2, at=NOON, result=result))
    reply = await _status(http)
    assert f'"flickr":{flickr},' in reply.text
    assert reply.json()["data"] == {
        "id": JOB,
        "state": "completed",
        "returnvalue": {
            "from_cache": True,
            "flickr": json.loads(flickr),
            "observability": {
                "ok": True,
                "status": 200,
                "trace_id": "4bf92f35-77b3-4da6-a3ce-929d0e0e4736",
                "attempt": 2,
                "duration_ms": 7,
            },
        },
        "failedReason": None,
        "stacktrace": [],
        "queue": "flickr_upload",
    }


async def test_a_failed_job_says_why(http: httpx2.AsyncClient, around: Surroundings) -> None:
    around.jobs.hold(a_job(JOB))
    failure = Failure(message="Photo not found.", code="FLICKR_1", chain=["FlickrFailed: Photo not found."])
    await around.jobs.apply(JobChange(job_id=JOB, state=State.FAILED, attempts=1, at=NOON, failure=failure))
    data = (await _status(http)).json()["data"]
    assert (data["state"], data["returnvalue"]) == ("failed", None)
    assert (data["failedReason"], data["stacktrace"]) == ("Photo not found.", ["FlickrFailed: Photo not found."])


@pytest.mark.parametrize(
    ("job_id", "user_id"),
    [
        (JOB, STRANGER),
        ("e6b6634c-0000-43f0-88b3-9516590aad77", USER),
        ("no-uuid", USER),
        ("", USER),
        (JOB, "no-uuid"),
        ("$ne", "$ne"),
    ],
)
async def test_an_unknown_job_and_another_users_are_the_same_404(
    http: httpx2.AsyncClient, around: Surroundings, job_id: str, user_id: str
) -> None:
    around.jobs.hold(a_job(JOB))
    reply = await _status(http, job_id, user_id)
    assert reply.status_code == 404
    assert reply.json()["error"] == {
        "code": "ERR_JOB_NOT_FOUND",
        "message": "There is no such job for this user_id.",
    }


async def test_ids_in_capitals_name_the_same_job(http: httpx2.AsyncClient, around: Surroundings) -> None:
    around.jobs.hold(a_job(JOB))
    assert (await _status(http, JOB.upper(), USER.upper())).json()["data"]["id"] == JOB


async def test_without_the_store_it_is_a_503(http: httpx2.AsyncClient, around: Surroundings) -> None:
    around.jobs.away = True
    reply = await _status(http)
    assert (reply.status_code, reply.headers["retry-after"]) == (503, str(Unavailable("mongo").retry_after))


async def test_a_clients_request_id_is_kept_if_it_is_a_uuid(http: httpx2.AsyncClient, around: Surroundings) -> None:
    around.jobs.hold(a_job(JOB))
    ask: dict[str, Any] = {"json": {"job_id": JOB, "user_id": USER}}
    kept = await http.post(STATUS, **ask, headers={"X-Request-ID": STRANGER})
    replaced = await http.post(STATUS, **ask, headers={"X-Request-ID": 'x"},"y'})
    assert kept.json()["request_id"] == STRANGER
    assert replaced.json()["request_id"] == replaced.headers["x-request-id"] != 'x"},"y'
