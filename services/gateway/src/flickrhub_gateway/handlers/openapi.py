"""What the OpenAPI document says of each call: bodies, replies, every error, with examples."""

from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel

from flickrhub_common import errors
from flickrhub_common.errors import HubError
from flickrhub_gateway.handlers import replies
from flickrhub_gateway.handlers.requests import CallbackQuery, CompleteBody, EnqueueBody, StartBody, StatusBody

Documented = dict[str, Any]

_REQUEST_ID = "5f0c2a52-8f0e-4c63-9b0a-0f6a2f1c7d11"
_USER_ID = "09b4e414-4f70-4226-9ee8-f9e815fc2539"
_JOB_ID = "e6b6634c-e07c-43f0-88b3-9516590aad77"
_TRACE_ID = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"
_AWAY = errors.Unavailable("auth")
_ANY_BODY = (errors.PayloadTooLarge(), errors.UnsupportedMediaType())

_STARTED = {
    "authorize_url": "https://www.flickr.com/services/oauth/authorize?oauth_token=72157720836323165-1a2b3c&perms=write",
    "oauth_token": "72157720836323165-1a2b3c",
    "state": "Zk3mB0xQ2w",
    "mode": "oob",
}
_FINISHED: dict[str, Any] = {
    "id": _JOB_ID,
    "state": "completed",
    "returnvalue": {
        "from_cache": False,
        "flickr": {"method": {"_content": "flickr.test.echo"}, "name": {"_content": "test"}, "stat": "ok"},
        "observability": {"ok": True, "status": 200, "trace_id": _TRACE_ID, "attempt": 1, "duration_ms": 87},
    },
    "failedReason": None,
    "stacktrace": [],
    "queue": "flickr_rest",
}
_BROKEN = {
    **_FINISHED,
    "state": "failed",
    "returnvalue": None,
    "failedReason": "Flickr answered 1: Photo not found.",
    "stacktrace": ["FlickrFailed: Flickr answered 1: Photo not found."],
}
_WAITING = {**_FINISHED, "state": "queued", "returnvalue": None}


def _enveloped(data: dict[str, Any], *, twice: bool = False) -> dict[str, Any]:
    return {**(data if twice else {}), "request_id": _REQUEST_ID, "data": data, "error": None}


def _body(model: type[BaseModel], **examples: Any) -> Documented:
    named = {name: {"value": value} for name, value in examples.items()}
    content = {"application/json": {"schema": model.model_json_schema(), "examples": named}}
    return {"requestBody": {"required": True, "content": content}}


def _ok(model: type[BaseModel], description: str, **examples: Any) -> Documented:
    named = {name: {"value": value} for name, value in examples.items()}
    return {"model": model, "description": description, "content": {"application/json": {"examples": named}}}


def _errors(*failures: HubError) -> dict[int | str, Documented]:
    """A reply for every status, with an example for every code under it."""
    found: dict[int | str, Documented] = {}
    for failure in (*failures, HubError()):
        problem: dict[str, Any] = {"code": failure.code, "message": failure.message}
        if failure.details:
            problem["details"] = failure.details
        reply = found.setdefault(
            failure.status, {"model": replies.Failed, "description": "", "content": {"application/json": {}}}
        )
        reply["description"] = " · ".join(filter(None, (reply["description"], f"`{failure.code}`")))
        value = {"request_id": _REQUEST_ID, "data": None, "error": problem}
        reply["content"]["application/json"].setdefault("examples", {})[failure.code] = {"value": value}
        if failure.retry_after is not None:
            reply["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return found


def _wrong(*details: str) -> HubError:
    return errors.InvalidRequest(details=list(details))


_WALK_ERRORS = (
    _wrong("oauth_verifier: is required"),
    errors.InvalidState(),
    errors.RateLimited(retry_after=2),
    errors.UpstreamFailed(),
    _AWAY,
)

START: Documented = {
    "tags": ["auth"],
    "summary": "Start connecting an account",
    "openapi_extra": _body(StartBody, demo={"api_key": "your_flickr_api_key", "api_secret": "your_flickr_api_secret"}),
    "responses": {
        200: _ok(replies.StartReply, "Send the owner to `authorize_url`.", oob=_enveloped(_STARTED, twice=True)),
        **_errors(
            _wrong("api_secret: is required"),
            *_ANY_BODY,
            errors.RateLimited(retry_after=2),
            errors.UpstreamFailed(),
            _AWAY,
        ),
    },
}
COMPLETE: Documented = {
    "tags": ["auth"],
    "summary": "Finish connecting an account",
    "openapi_extra": _body(
        CompleteBody, verifier={"oauth_token": _STARTED["oauth_token"], "oauth_verifier": "123-456-789"}
    ),
    "responses": {
        200: _ok(
            replies.CompleteReply, "The account is connected.", connected=_enveloped({"user_id": _USER_ID}, twice=True)
        ),
        **_errors(*_WALK_ERRORS, *_ANY_BODY),
    },
}
CALLBACK: Documented = {
    "tags": ["auth"],
    "summary": "Finish connecting an account by Flickr's redirect",
    "openapi_extra": {
        "parameters": [
            {
                "name": name,
                "in": "query",
                "required": field.is_required(),
                "description": field.description,
                "schema": {"type": "string"},
            }
            for name, field in CallbackQuery.model_fields.items()
        ]
    },
    "responses": {
        200: _ok(
            replies.CallbackReply,
            "The account is connected.",
            connected=_enveloped({"status": "ok", "user_id": _USER_ID}, twice=True),
        ),
        **_errors(*_WALK_ERRORS),
    },
}
ENQUEUE: Documented = {
    "tags": ["jobs"],
    "summary": "Enqueue a call",
    "status_code": 202,
    "openapi_extra": _body(
        EnqueueBody,
        echo={
            "method": "flickr.test.echo",
            "params": {"name": "test"},
            "user_id": _USER_ID,
            "target": "rest",
            "callback_url": "https://client.example.com/webhook",
            "callback_secret": "hmac-secret",
            "meta": {"session_id": "session-123", "job_type": "contacts_page", "page": 1},
        },
        shortest={"method": "flickr.test.login", "user_id": _USER_ID},
    ),
    "responses": {
        202: _ok(replies.EnqueueReply, "The job is stored and will end.", accepted=_enveloped({"job_id": _JOB_ID})),
        **_errors(
            _wrong("method: is required", "params.oauth_token: is set by the hub and can't be given"),
            errors.TokenNotFound(),
            *_ANY_BODY,
            _AWAY,
        ),
    },
}
STATUS: Documented = {
    "tags": ["jobs"],
    "summary": "Read a job",
    "openapi_extra": _body(StatusBody, job={"job_id": _JOB_ID, "user_id": _USER_ID}),
    "responses": {
        200: _ok(
            replies.StatusReply,
            "How the job is.",
            completed=_enveloped(_FINISHED),
            failed=_enveloped(_BROKEN),
            queued=_enveloped(_WAITING),
        ),
        **_errors(_wrong("job_id: is required"), errors.JobNotFound(), *_ANY_BODY, errors.Unavailable("mongo")),
    },
}


def describe(app: FastAPI, routers: Iterable[APIRouter]) -> None:
    """Give the app its document, with the examples of these routers' calls as they were written.

    FastAPI leaves every null out of the document, which the envelope's ``"error": null`` doesn't survive.
    """
    routes = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]
    plain = app.openapi

    def openapi() -> Documented:
        if app.openapi_schema is None:
            document = plain()
            for route in routes:
                for method in route.methods or () if route.include_in_schema else ():
                    _put_back(document["paths"][route.path][method.lower()], route)
        return plain()

    app.openapi = openapi  # type: ignore[method-assign]  # the way FastAPI's own documentation shows


def _put_back(call: Documented, route: APIRoute) -> None:
    written = [(call["responses"][str(status)], reply) for status, reply in route.responses.items()]
    if "requestBody" in (route.openapi_extra or {}):
        written.append((call["requestBody"], (route.openapi_extra or {})["requestBody"]))
    for shown, given in written:
        for media_type, content in given["content"].items():
            examples = {name: content[name] for name in ("example", "examples") if name in content}
            shown["content"][media_type].update(examples)
