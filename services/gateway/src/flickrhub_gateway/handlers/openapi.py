"""What the OpenAPI document says of jobs, and of the hub itself: bodies, replies, every error, with examples."""

from typing import Any

from starlette.responses import HTMLResponse

from flickrhub_common import errors
from flickrhub_gateway.handlers import replies
from flickrhub_gateway.handlers.documenting import (
    ANY_BODY,
    AUTH_AWAY,
    JOB_ID,
    PHOTO_REF,
    TRACE_ID,
    USER_ID,
    Documented,
    enveloped,
    explained,
    json_body,
    linked,
    ok,
    refusals,
    wrong,
)
from flickrhub_gateway.handlers.enqueue_bodies import ReplaceBody, RestBody, UploadBody
from flickrhub_gateway.handlers.requests import StatusBody
from flickrhub_gateway.usecases.claim_photo import IN_USE, NO_SUCH_UPLOAD

_NOT_PROMISED = (
    "nothing was promised, and what was stored all the same is taken back; send the call again after `Retry-After`."
    " Only if the gateway dies before it could do so, while MongoDB is away, may the refused call be made as well."
)
_FINISHED: dict[str, Any] = {
    "id": JOB_ID,
    "state": "completed",
    "returnvalue": {
        "from_cache": False,
        "flickr": {"method": {"_content": "flickr.test.echo"}, "name": {"_content": "test"}, "stat": "ok"},
        "observability": {"ok": True, "status": 200, "trace_id": TRACE_ID, "attempt": 1, "duration_ms": 87},
    },
    "failedReason": None,
    "stacktrace": [],
    "queue": "flickr_rest",
}
_UPLOADED: dict[str, Any] = {
    **_FINISHED,
    "returnvalue": {
        **_FINISHED["returnvalue"],
        "flickr": {"stat": "ok", "photoid": {"_content": "53483212345"}},
    },
    "queue": "flickr_upload",
}
_BROKEN = {
    **_FINISHED,
    "state": "failed",
    "returnvalue": None,
    "failedReason": "Flickr answered with error 1: Photo not found.",
    "stacktrace": ["PermanentFailure: Flickr answered with error 1: Photo not found."],
}
_WAITING = {**_FINISHED, "state": "queued", "returnvalue": None}


ROOT: Documented = {
    "tags": ["about"],
    "summary": "What this is",
    "responses": {
        200: ok(
            replies.RootReply,
            "Where to go on.",
            here=enveloped({"name": "FlickrHub", "docs": "/docs", "openapi": "/openapi.json", "health": "/health"}),
        )
    },
}
DOCS: Documented = {
    "tags": ["about"],
    "summary": "This document for people",
    "response_class": HTMLResponse,
    "responses": {200: {"description": "One page that loads nothing from anywhere."}},
}
ENQUEUE: Documented = {
    "operation_id": "enqueue",
    "tags": ["jobs"],
    "summary": "Enqueue a call",
    "status_code": 202,
    "openapi_extra": json_body(
        RestBody,
        UploadBody,
        ReplaceBody,
        echo={
            "method": "flickr.test.echo",
            "params": {"name": "test"},
            "user_id": USER_ID,
            "target": "rest",
            "callback_url": "https://client.example.com/webhook",
            "callback_secret": "hmac-secret",
            "meta": {"session_id": "session-123", "job_type": "contacts_page", "page": 1},
        },
        shortest={"method": "flickr.test.login", "user_id": USER_ID},
        upload={
            "target": "upload",
            "user_id": USER_ID,
            "params": {
                "photo_ref": PHOTO_REF,
                "title": "Harbour at dusk",
                "description": "Seen from the <b>pier</b>.",
                "tags": ["harbour", "blue hour"],
                "is_public": 0,
                "is_family": True,
                "safety_level": 1,
                "content_type": 1,
                "hidden": 2,
                "async": 1,
            },
            "callback_url": "https://client.example.com/webhook",
        },
        upload_from_a_url={
            "target": "upload",
            "user_id": USER_ID,
            "params": {"photo_url": "https://photos.example.com/harbour.jpg", "tags": 'harbour "blue hour"'},
        },
        upload_of_a_small_photo={
            "target": "upload",
            "user_id": USER_ID,
            "params": {"photo_base64": "R0lGODlhAQABAIAAAP///wAAACH5BAAAAAAALAAAAAABAAEAAAICRAEAOw=="},
        },
        replace={
            "target": "replace",
            "user_id": USER_ID,
            "params": {"photo_id": "53483212345", "photo_ref": PHOTO_REF},
        },
    ),
    "responses": {
        202: linked(
            ok(replies.EnqueueReply, "The job is stored and will end.", accepted=enveloped({"job_id": JOB_ID})),
            status={
                "operationId": "status",
                "description": "How the job is.",
                "requestBody": {"job_id": "$response.body#/data/job_id", "user_id": "$request.body#/user_id"},
            },
        ),
        **explained(
            refusals(
                wrong(
                    "params.safety_level: must be 1, 2 or 3",
                    "params.size: isn't a parameter of upload",
                    f"params.photo_ref: {NO_SUCH_UPLOAD}",
                ),
                errors.TokenNotFound(),
                errors.Conflict(IN_USE),
                *ANY_BODY,
                AUTH_AWAY,
            ),
            503,
            _NOT_PROMISED,
        ),
    },
}
STATUS: Documented = {
    "operation_id": "status",
    "tags": ["jobs"],
    "summary": "Read a job",
    "openapi_extra": json_body(StatusBody, job={"job_id": JOB_ID, "user_id": USER_ID}),
    "responses": {
        200: ok(
            replies.StatusReply,
            "How the job is.",
            completed=enveloped(_FINISHED),
            uploaded=enveloped(_UPLOADED),
            failed=enveloped(_BROKEN),
            queued=enveloped(_WAITING),
        ),
        **refusals(wrong("job_id: is required"), errors.JobNotFound(), *ANY_BODY, errors.Unavailable("mongo")),
    },
}
