"""The public calls that hand photos over before their job."""

from contextlib import aclosing
from typing import cast

from fastapi import APIRouter, Request
from starlette.responses import Response

from flickrhub_common.clock import iso
from flickrhub_common.photo_formats import MAX_VIDEO_BYTES
from flickrhub_common.problems import envelope
from flickrhub_gateway.handlers import openapi_uploads as docs
from flickrhub_gateway.handlers.bodies import checked, json_body, query_of
from flickrhub_gateway.handlers.requests import PresignBody, UploadQuery
from flickrhub_gateway.handlers.upload_body import MAX_AROUND, arriving
from flickrhub_gateway.usecases import UseCases

UPLOADS_PATH = "/api/v1/uploads"
MAX_UPLOAD_BYTES = MAX_VIDEO_BYTES + MAX_AROUND

router = APIRouter()


def _use(request: Request) -> UseCases:
    return cast("UseCases", request.app.state.use)


@router.post(UPLOADS_PATH, **docs.UPLOAD)
async def upload(request: Request) -> Response:
    """Take a photo or video, as `multipart/form-data` or as it is, for a job that will name its `photo_ref`."""
    use, query = _use(request), checked(UploadQuery, query_of(request))
    async with aclosing(arriving(request, filename=query.filename, least_speed=use.least_speed)) as body:
        received = await use.receive_upload(body, user_id=query.user_id)
    data = {
        "photo_ref": received.ref,
        "bytes": received.size,
        "sha256": received.sha256,
        "content_type": received.content_type,
        "expires_at": iso(received.expires_at),
    }
    return envelope(request, data, status=201)


@router.post(f"{UPLOADS_PATH}/presign", **docs.PRESIGN)
async def presign(request: Request) -> Response:
    """Give a URL of the photo store to which a photo can be put, past the hub."""
    body = checked(PresignBody, await json_body(request))
    presigned = await _use(request).presign_upload(user_id=body.user_id, filename=body.filename)
    data = {
        "photo_ref": presigned.ref,
        "url": presigned.url,
        "method": "PUT",
        "expires_at": iso(presigned.expires_at),
    }
    return envelope(request, data, status=201)
