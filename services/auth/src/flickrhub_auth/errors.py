"""What can go wrong in auth beyond the errors every service shares."""

from flickrhub_common.errors import HubError, InvalidRequest, InvalidState


class AppRefused(InvalidRequest):
    """Flickr doesn't know the key, or the signature made with the secret is wrong."""

    default_message = "Flickr doesn't accept this api_key or api_secret."


class VerifierRefused(InvalidState):
    """Flickr doesn't take the verifier, or no longer the request token."""

    default_message = "Flickr refused the oauth_verifier, or the authorisation has expired there."


class StateMismatch(InvalidState):
    """The state that was sent isn't the one this authorisation was started with."""

    default_message = "The state doesn't belong to this oauth_token."


class TokenUnreadable(HubError):
    """A stored token can't be opened: its key isn't in ENCRYPTION_KEYS, or the document was changed.

    Retryable, because an operator who puts the key back has mended it.
    """

    status, code, retryable = 503, "ERR_UNAVAILABLE", True
    default_message = "The stored token can't be read at the moment."

    def __init__(self) -> None:
        super().__init__(retry_after=30)


class UnexpectedAnswer(Exception):
    """Flickr's answer isn't one we know; the text names the step and what was seen, never a value of it."""
