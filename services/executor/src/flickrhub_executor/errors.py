"""Why a call failed, and with that whether it is tried again: the error tree is the retry decision.

Every message is one public sentence. ``code`` is ``FLICKR_<n>`` for Flickr's own codes, ``ERR_…`` for ours.
"""

from typing import ClassVar


class CallFailed(Exception):
    """An attempt that didn't end with Flickr's answer.

    ``retryable``: a later attempt may succeed. ``doubtful``: Flickr may have done what was asked all the same.
    ``token_dead``: Flickr no longer takes the token. ``retry_after``: seconds Flickr asked for. ``outline``: the
    message without the far side's words, which may quote values of params; the message itself if there are none.
    """

    retryable: ClassVar[bool] = False
    token_dead: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        code: str | None,
        doubtful: bool = False,
        retry_after: float | None = None,
        outline: str | None = None,
    ) -> None:
        self.message = message
        self.outline = outline or message
        self.code = code
        self.doubtful = doubtful
        self.retry_after = retry_after
        super().__init__(message)

    def chain(self) -> list[str]:
        """The errors that led here, the last first, one line each; of foreign errors only the kind is told."""
        lines, error = [f"{type(self).__name__}: {self.outline}"], self.__cause__
        while error is not None and len(lines) < 10:
            text = f": {error.outline}" if isinstance(error, CallFailed) else ""
            lines.append(f"caused by {type(error).__name__}{text}")
            error = error.__cause__
        return lines


class TransientFailure(CallFailed):
    """Flickr is away, busy or asks for patience: worth another attempt."""

    retryable = True


class PermanentFailure(CallFailed):
    """The same call would fail again."""


class TokenDead(PermanentFailure):
    """Flickr no longer takes this connection's token; the account has to be connected again."""

    token_dead = True


class OutcomeUnknown(PermanentFailure):
    """The call may have had its effect and repeating it could do it twice, so it isn't repeated."""


class AttemptsExhausted(PermanentFailure):
    """Every attempt failed; the last reason is the cause."""


class ClaimLost(Exception):
    """Another executor has taken over the job, or may have: what this one was about to do isn't its any more."""
