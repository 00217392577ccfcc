"""The error tree every service shares: each class is a decision, made once.

A class says which HTTP status and public code a client sees, and whether trying again can help. Messages are public:
they never carry a host name, a secret, a stack frame or another user's id. Wrap a cause with ``raise ... from``.
"""

from typing import ClassVar


class HubError(Exception):
    """An error with a public code and message.

    ``details`` is a list of sentences naming every wrong field; ``retry_after`` is whole seconds for ``Retry-After``.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "ERR_INTERNAL"
    retryable: ClassVar[bool] = False
    default_message: ClassVar[str] = "Something went wrong on our side."

    def __init__(
        self,
        message: str | None = None,
        *,
        details: list[str] | None = None,
        retry_after: int | None = None,
    ) -> None:
        self.message = message or self.default_message
        self.details = details
        self.retry_after = retry_after
        super().__init__(self.message)


class InvalidRequest(HubError):
    """The request is wrong in itself; the same request can never succeed."""

    status, code, default_message = 400, "ERR_INVALID_REQUEST", "Invalid request."


class InvalidState(HubError):
    """An OAuth token or verifier is wrong, expired or already used."""

    status, code, default_message = 400, "ERR_INVALID_STATE", "The OAuth token or verifier is wrong, expired or used."


class Unauthorized(HubError):
    """A credential is missing or wrong."""

    status, code, default_message = 401, "ERR_UNAUTHORIZED", "A valid credential is required."


class Forbidden(HubError):
    """The credential is good but doesn't allow this."""

    status, code, default_message = 403, "ERR_FORBIDDEN", "This isn't allowed."


class NotFound(HubError):
    """There is nothing at this address."""

    status, code, default_message = 404, "ERR_NOT_FOUND", "There is nothing here."


class TokenNotFound(HubError):
    """No usable connection for this ``user_id``: never made, or revoked."""

    status, code, default_message = 404, "ERR_TOKEN_NOT_FOUND", "There is no connected Flickr account for this user_id."


class JobNotFound(HubError):
    """No such job, or another user's: the two are not told apart."""

    status, code, default_message = 404, "ERR_JOB_NOT_FOUND", "There is no such job for this user_id."


class MethodNotAllowed(HubError):
    """The address exists, the HTTP method doesn't fit it."""

    status, code, default_message = 405, "ERR_METHOD_NOT_ALLOWED", "This HTTP method isn't allowed here."


class RequestTimedOut(HubError):
    """The request didn't come in time; the connection is closed."""

    status, code, retryable, default_message = 408, "ERR_REQUEST_TIMEOUT", True, "The request came too slowly."


class Conflict(HubError):
    """The request contradicts what is already there."""

    status, code, default_message = 409, "ERR_CONFLICT", "The request contradicts the current state."


class PayloadTooLarge(HubError):
    """The body is over the limit."""

    status, code, default_message = 413, "ERR_PAYLOAD_TOO_LARGE", "The body is too large."


class UnsupportedMediaType(HubError):
    """The body isn't JSON by its ``Content-Type``."""

    status, code, default_message = 415, "ERR_UNSUPPORTED_MEDIA_TYPE", "Send the body as application/json."


class HeadTooLarge(HubError):
    """The request's line and headers are over the limit."""

    status, code, default_message = 431, "ERR_HEADERS_TOO_LARGE", "The request's line and headers are too large."


class RateLimited(HubError):
    """Too many requests; ``retry_after`` says when to come back."""

    status, code, retryable, default_message = 429, "ERR_RATE_LIMITED", True, "Too many requests."


class UpstreamFailed(HubError):
    """Flickr's OAuth endpoints failed or answered nonsense."""

    status, code, retryable, default_message = 502, "ERR_UPSTREAM", True, "Flickr didn't answer as expected."


class Crowded(HubError):
    """More connections than the process may have, and none of them idle."""

    status, code, retryable = 503, "ERR_UNAVAILABLE", True
    default_message = "There are too many connections at the moment; try again shortly."


class Unavailable(HubError):
    """Something we depend on isn't there; ``dependency`` names it (rabbitmq, mongo, redis or auth).

    Whoever waits may try again: a client after ``Retry-After``, a consumer by the delay ladder.
    """

    status, code, retryable = 503, "ERR_UNAVAILABLE", True
    default_message = "A part of the hub is away for the moment; try again shortly."

    def __init__(self, dependency: str, *, retry_after: int = 2) -> None:
        self.dependency = dependency
        super().__init__(retry_after=retry_after)
