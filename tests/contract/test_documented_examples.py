"""The cURL examples of the documented API, run by curl as they stand, against the demo pair and a real user."""

import json
import shutil
import subprocess
import uuid
from typing import Any

import pytest

from tests.support.flickrhub_client import FlickrHub
from tests.support.run_env import needed

START = r"""curl -X POST http://localhost:3000/api/v1/auth/start \
  -H "Content-Type: application/json" \
  -d '{
    "api_key": "your_flickr_api_key",
    "api_secret": "your_flickr_api_secret"
  }'"""
COMPLETE = r"""curl -X POST http://localhost:3000/api/v1/auth/complete \
  -H "Content-Type: application/json" \
  -d '{
    "oauth_token": "token_from_start",
    "oauth_verifier": "verifier_from_authorization"
  }'"""
ENQUEUE = r"""curl -X POST http://localhost:3000/api/v1/flickr/rest \
  -H "Content-Type: application/json" \
  -d '{
    "method": "flickr.test.echo",
    "params": {"name": "test"},
    "user_id": "<your-user-id>",
    "target": "rest",
    "callback_url": "https://client.example.com/webhook",
    "callback_secret": "hmac-secret",
    "meta": {
      "session_id": "session-123",
      "job_type": "contacts_page",
      "page": 1
    }
  }'"""
STATUS = r"""curl -X POST http://localhost:3000/api/v1/flickr/jobs/status \
  -H "Content-Type: application/json" \
  -d '{
    "job_id": "<job-id>",
    "user_id": "<your-user-id>"
  }'"""


def example(command: str, placeholders: dict[str, str]) -> tuple[int, Any]:
    """Run an example with its placeholders filled in; HTTP status and JSON."""
    if shutil.which("curl") is None:
        pytest.skip("curl isn't installed here, so its examples can't be run")
    command = command.replace("http://localhost:3000", needed("GATEWAY_URL"))
    for name, value in placeholders.items():
        assert name in command
        command = command.replace(name, value)
    script = f"{command} --silent --show-error --noproxy '*' --write-out '\\n%{{http_code}}'"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=30, check=True)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body)


async def test_every_documented_curl_example_answers_as_documented(hub: FlickrHub) -> None:
    status, started = example(
        START,
        {"your_flickr_api_key": needed("DEMO_API_KEY"), "your_flickr_api_secret": needed("DEMO_API_SECRET")},
    )
    assert status == 200
    assert started["mode"] == "oob"
    verifier = await hub.approve(started["authorize_url"])

    tokens = {"token_from_start": started["oauth_token"], "verifier_from_authorization": verifier}
    status, completed = example(COMPLETE, tokens)
    assert status == 200
    user_id = completed["user_id"]
    assert str(uuid.UUID(user_id)) == user_id
    status, refused = example(COMPLETE, tokens)
    assert (status, refused["error"]["code"]) == (400, "ERR_INVALID_STATE")

    status, accepted = example(ENQUEUE, {"<your-user-id>": user_id})
    assert status == 202
    assert accepted["error"] is None
    job_id = accepted["data"]["job_id"]
    uuid.UUID(accepted["request_id"])

    await hub.ended(job_id, user_id)
    status, found = example(STATUS, {"<job-id>": job_id, "<your-user-id>": user_id})
    assert status == 200
    data = found["data"]
    assert (data["id"], data["state"], data["queue"]) == (job_id, "completed", "flickr_rest")
    assert data["failedReason"] is None
    assert data["stacktrace"] == []
    assert data["returnvalue"]["flickr"]["name"] == {"_content": "test"}
    assert data["returnvalue"]["flickr"]["method"] == {"_content": "flickr.test.echo"}


def test_the_documented_errors_of_the_examples() -> None:
    nobody = str(uuid.uuid4())
    status, reply = example(ENQUEUE, {"<your-user-id>": nobody})
    assert (status, reply["error"]["code"]) == (404, "ERR_TOKEN_NOT_FOUND")
    status, reply = example(STATUS, {"<job-id>": nobody, "<your-user-id>": nobody})
    assert (status, reply["error"]["code"]) == (404, "ERR_JOB_NOT_FOUND")
    status, reply = example(STATUS, {'"job_id": "<job-id>",': ""})
    assert (status, reply["error"]["code"]) == (400, "ERR_INVALID_REQUEST")
