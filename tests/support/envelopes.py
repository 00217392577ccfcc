"""The envelope of every reply, checked in full (contract, section 1)."""

import re
import uuid
from typing import Any

import httpx2

# What a client must never read in a message: addresses, frames of our code, our files.
_TELLTALE = re.compile(
    r"127\.0\.0\.1|localhost|Traceback|site-packages|File \"|\.py\b|amqp://|mongodb://|redis://", re.IGNORECASE
)


def success(reply: httpx2.Response, status: int = 200) -> dict[str, Any]:
    """The data of a reply that must be a success with this status and the whole envelope."""
    body = _enveloped(reply, status)
    assert body["error"] is None, body
    assert isinstance(body["data"], dict), body
    return dict(body["data"])


def failure(reply: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The error of a reply that must be this failure with the whole envelope, telling nothing about our insides."""
    body = _enveloped(reply, status)
    assert set(body) == {"request_id", "data", "error"}
    assert body["data"] is None, body
    error = body["error"]
    assert set(error) <= {"code", "message", "details"}, error
    assert error["code"] == code, error
    assert error["message"], error
    assert not _TELLTALE.search(str(error)), error
    return dict(error)


def _enveloped(reply: httpx2.Response, status: int) -> dict[str, Any]:
    assert reply.status_code == status, f"{reply.status_code} {reply.text[:1000]}"
    assert reply.headers["content-type"] == "application/json"
    body = reply.json()
    assert {"request_id", "data", "error"} <= set(body), body
    assert str(uuid.UUID(body["request_id"])) == body["request_id"]
    assert reply.headers["x-request-id"] == body["request_id"]
    return dict(body)
