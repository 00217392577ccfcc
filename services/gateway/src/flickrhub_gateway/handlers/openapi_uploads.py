"""What the OpenAPI document says of handing photos over."""

from typing import Any

from flickrhub_common import errors
from flickrhub_common.photo_formats import PhotoFormat
from flickrhub_gateway.handlers import replies
from flickrhub_gateway.handlers.documenting import (
    ANY_BODY,
    AUTH_AWAY,
    PHOTO_REF,
    USER_ID,
    Documented,
    enveloped,
    json_body,
    linked,
    ok,
    refusals,
    wrong,
)
from flickrhub_gateway.handlers.forms import MAX_SECRET
from flickrhub_gateway.handlers.requests import PresignBody, UploadQuery
from flickrhub_gateway.uploads import MAX_FILENAME, TRUNCATED, too_large
from flickrhub_gateway.usecases.presign_upload import NO_URLS

_UPLOADED = {
    "photo_ref": PHOTO_REF,
    "bytes": 39702,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "content_type": "image/jpeg",
    "expires_at": "2026-01-02T12:00:00.000Z",
}
_PRESIGNED = {
    "photo_ref": PHOTO_REF,
    "url": f"https://photos.s3.example.com/{PHOTO_REF}?X-Amz-Signature=0a1b2c",
    "method": "PUT",
    "expires_at": "2026-01-02T12:00:00.000Z",
}
_UPLOAD_IT = {
    "operationId": "enqueue",
    "description": "Upload it, for the same `user_id`.",
    "requestBody": {"target": "upload", "params": {"photo_ref": "$response.body#/data/photo_ref"}},
}
_FILE = {"type": "string", "format": "binary"}
_USER_ID = {"minLength": 1, "maxLength": MAX_SECRET}
_FILENAME = {"maxLength": MAX_FILENAME}
_AS_IT_IS = ("application/octet-stream", "image/*", "video/*")
"""Any other type but a form's is taken so, too: what it is, its first bytes say."""
_FORM: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "description": "A form with one file.",
    "required": ["photo"],
    "properties": {
        "user_id": {
            "type": "string",
            **_USER_ID,
            "description": "Whose photo it is, unless the query says so. Put it before the file.",
        },
        "photo": {
            **_FILE,
            "description": "The photo or video, as a part with a filename; the field may have any name. Exactly one.",
        },
    },
}

UPLOAD: Documented = {
    "operation_id": "upload",
    "tags": ["uploads"],
    "summary": "Hand over a photo",
    "status_code": 201,
    "openapi_extra": {
        "parameters": [
            {
                "name": name,
                "in": "query",
                "required": False,
                "description": field.description,
                "schema": {"type": "string", **limits},
            }
            for (name, field), limits in zip(UploadQuery.model_fields.items(), (_USER_ID, _FILENAME), strict=True)
        ],
        "requestBody": {
            "required": True,
            "content": {"multipart/form-data": {"schema": _FORM}, **{name: {"schema": _FILE} for name in _AS_IT_IS}},
        },
    },
    "responses": {
        201: linked(ok(replies.UploadReply, "The photo is stored.", received=enveloped(_UPLOADED)), upload=_UPLOAD_IT),
        **refusals(
            wrong(f"photo: {TRUNCATED}"),
            errors.TokenNotFound(),
            too_large(PhotoFormat("photo", "image/jpeg", "jpg")),
            AUTH_AWAY,
        ),
    },
}
PRESIGN: Documented = {
    "operation_id": "presign",
    "tags": ["uploads"],
    "summary": "Get a URL to put a photo to",
    "status_code": 201,
    "openapi_extra": json_body(PresignBody, photo={"user_id": USER_ID, "filename": "harbour.jpg"}),
    "responses": {
        201: linked(
            ok(replies.PresignReply, "Put the photo to `url`, then enqueue its job.", url=enveloped(_PRESIGNED)),
            upload=_UPLOAD_IT,
        ),
        **refusals(
            wrong("user_id: is required"), errors.TokenNotFound(), errors.Conflict(NO_URLS), *ANY_BODY, AUTH_AWAY
        ),
    },
}
