"""What the OpenAPI document says of connecting accounts: bodies, replies, every error, with examples."""

from flickrhub_common import errors
from flickrhub_gateway.handlers import replies
from flickrhub_gateway.handlers.documenting import (
    ANY_BODY,
    AUTH_AWAY,
    USER_ID,
    Documented,
    enveloped,
    json_body,
    linked,
    ok,
    refusals,
    wrong,
)
from flickrhub_gateway.handlers.forms import LONGEST_WALKED, WALKED
from flickrhub_gateway.handlers.requests import CallbackQuery, CompleteBody, StartBody

_STARTED = {
    "authorize_url": "https://www.flickr.com/services/oauth/authorize?oauth_token=72157720836323165-1a2b3c&perms=write",
    "oauth_token": "72157720836323165-1a2b3c",
    "state": "Zk3mB0xQ2w",
    "mode": "oob",
}
_FOR_THIS_USER = {
    "operationId": "enqueue",
    "description": "A call for this connection.",
    "requestBody": {"user_id": "$response.body#/user_id"},
}
_WALK_ERRORS = (
    wrong("oauth_verifier: is required"),
    errors.InvalidState(),
    errors.RateLimited(retry_after=2),
    errors.UpstreamFailed(),
    AUTH_AWAY,
)

START: Documented = {
    "operation_id": "start",
    "tags": ["auth"],
    "summary": "Start connecting an account",
    "openapi_extra": json_body(
        StartBody, demo={"api_key": "your_flickr_api_key", "api_secret": "your_flickr_api_secret"}
    ),
    "responses": {
        200: linked(
            ok(replies.StartReply, "Send the owner to `authorize_url`.", oob=enveloped(_STARTED, twice=True)),
            finish={
                "operationId": "complete",
                "description": "With the verifier that Flickr shows the owner.",
                "requestBody": {
                    "oauth_token": "$response.body#/oauth_token",
                    "state": "$response.body#/state",
                },
            },
            finish_by_redirect={
                "operationId": "callback",
                "description": "What Flickr's redirect calls, with a verifier.",
                "parameters": {
                    "oauth_token": "$response.body#/oauth_token",
                    "state": "$response.body#/state",
                },
            },
        ),
        **refusals(
            wrong("api_secret: is required"),
            *ANY_BODY,
            errors.RateLimited(retry_after=2),
            errors.UpstreamFailed(),
            AUTH_AWAY,
        ),
    },
}
COMPLETE: Documented = {
    "operation_id": "complete",
    "tags": ["auth"],
    "summary": "Finish connecting an account",
    "openapi_extra": json_body(
        CompleteBody, verifier={"oauth_token": _STARTED["oauth_token"], "oauth_verifier": "123-456-789"}
    ),
    "responses": {
        200: linked(
            ok(
                replies.CompleteReply,
                "The account is connected.",
                connected=enveloped({"user_id": USER_ID}, twice=True),
            ),
            enqueue=_FOR_THIS_USER,
        ),
        **refusals(*_WALK_ERRORS, *ANY_BODY),
    },
}
CALLBACK: Documented = {
    "operation_id": "callback",
    "tags": ["auth"],
    "summary": "Finish connecting an account by Flickr's redirect",
    "openapi_extra": {
        "parameters": [
            {
                "name": name,
                "in": "query",
                "required": field.is_required(),
                "description": field.description,
                "schema": WALKED
                if field.is_required()
                else {"type": "string", "minLength": 1, "maxLength": LONGEST_WALKED},
            }
            for name, field in CallbackQuery.model_fields.items()
        ]
    },
    "responses": {
        200: linked(
            ok(
                replies.CallbackReply,
                "The account is connected.",
                connected=enveloped({"status": "ok", "user_id": USER_ID}, twice=True),
            ),
            enqueue=_FOR_THIS_USER,
        ),
        **refusals(*_WALK_ERRORS),
    },
}
