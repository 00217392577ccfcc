"""The public API (contract, section 2)."""

from typing import cast

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from flickrhub_common.contracts import queue_of
from flickrhub_common.json_text import dump
from flickrhub_common.problems import envelope, json_response, request_id
from flickrhub_gateway.handlers import openapi as docs
from flickrhub_gateway.handlers import openapi_accounts as account_docs
from flickrhub_gateway.handlers.bodies import checked, json_body, query_of
from flickrhub_gateway.handlers.docs_page import docs_page
from flickrhub_gateway.handlers.enqueue_bodies import body_for
from flickrhub_gateway.handlers.requests import CallbackQuery, CompleteBody, StartBody, StatusBody
from flickrhub_gateway.models import JobReport, returnvalue_of
from flickrhub_gateway.usecases import UseCases

CALLBACK_PATH = "/api/v1/auth/callback"
ENQUEUE_PATH = "/api/v1/flickr/rest"
STATUS_PATH = "/api/v1/flickr/jobs/status"
USER_PATHS = (ENQUEUE_PATH, STATUS_PATH)
"""Whose body names a user."""

router = APIRouter()


def _use(request: Request) -> UseCases:
    return cast("UseCases", request.app.state.use)


@router.post("/api/v1/auth/start", **account_docs.START)
async def start(request: Request) -> Response:
    """Begin connecting a Flickr account: send its owner to `authorize_url`, keep `oauth_token` and `state`."""
    body = checked(StartBody, await json_body(request))
    begun = await _use(request).connect_account.start(
        api_key=body.api_key, api_secret=body.api_secret.get_secret_value()
    )
    data = {
        "authorize_url": begun.authorize_url,
        "oauth_token": begun.oauth_token,
        "state": begun.state,
        "mode": begun.mode,
    }
    return envelope(request, data, twice=True)


@router.post("/api/v1/auth/complete", **account_docs.COMPLETE)
async def complete(request: Request) -> Response:
    """End connecting an account with the verifier its owner got; the `user_id` names the connection from now on."""
    user_id = await _complete(request, checked(CompleteBody, await json_body(request)))
    return envelope(request, {"user_id": user_id}, twice=True)


@router.get(CALLBACK_PATH, **account_docs.CALLBACK)
async def callback(request: Request) -> Response:
    """Where Flickr sends the account's owner back to when `OAUTH_MODE=callback`; ends connecting the account."""
    user_id = await _complete(request, checked(CallbackQuery, query_of(request, only=CallbackQuery.model_fields)))
    return envelope(request, {"status": "ok", "user_id": user_id}, twice=True)


async def _complete(request: Request, walk: CompleteBody) -> str:
    return await _use(request).connect_account.complete(
        oauth_token=walk.oauth_token, oauth_verifier=walk.oauth_verifier.get_secret_value(), state=walk.state
    )


@router.post(ENQUEUE_PATH, **docs.ENQUEUE)
async def enqueue(request: Request) -> Response:
    """Accept a call of Flickr's API as a job; 202 means that it will end."""
    use = _use(request)
    given = await json_body(request)
    body = checked(body_for(given.get("target")), given, use.address_policies)
    return envelope(request, {"job_id": await use.enqueue_job(body.job())}, status=202)


@router.post(STATUS_PATH, **docs.STATUS)
async def status(request: Request) -> Response:
    """Tell how a job is, and what came of it."""
    body = checked(StatusBody, await json_body(request))
    report = await _use(request).read_job_status(job_id=body.job_id, user_id=body.user_id)
    return json_response(f'{{"request_id":{dump(request_id(request))},"data":{_job(report)},"error":null}}')


def _job(report: JobReport) -> str:
    """The contract's status as JSON text: Flickr's reply goes through as it came, neither parsed nor written anew."""
    failure = report.failure
    before = dump({"id": report.id, "state": report.state.value})
    after = dump(
        {
            "failedReason": failure.message if failure else None,
            "stacktrace": failure.chain if failure else [],
            "queue": queue_of(report.target),
        }
    )
    return f'{before[:-1]},"returnvalue":{returnvalue_of(report)},{after[1:]}'


EVERY_JOBS = {ENQUEUE_PATH: enqueue, STATUS_PATH: status}
"""What every job's client calls, and so goes the short way."""


@router.get("/", **docs.ROOT)
async def root(request: Request) -> Response:
    """Say what this is."""
    return envelope(request, {"name": "FlickrHub", "docs": "/docs", "openapi": "/openapi.json", "health": "/health"})


@router.get("/docs", **docs.DOCS)
async def show_docs(request: Request) -> Response:
    """The API's description for people; the page loads nothing from anywhere."""
    headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}
    return HTMLResponse(docs_page(request.app.openapi()), headers=headers)
