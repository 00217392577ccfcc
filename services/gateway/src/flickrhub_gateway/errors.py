"""What can go wrong here beyond the errors every service shares."""

from flickrhub_common import errors
from flickrhub_common.errors import HubError

_PASSED_ON: dict[str, type[HubError]] = {
    kind.code: kind
    for kind in (
        errors.InvalidRequest,
        errors.InvalidState,
        errors.Forbidden,
        errors.TokenNotFound,
        errors.Conflict,
        errors.RateLimited,
        errors.UpstreamFailed,
    )
}


def passed_on(
    code: str, *, message: str | None = None, details: list[str] | None = None, retry_after: int | None = None
) -> HubError:
    """An error of auth's as a client of the gateway sees it, with the same status, code, message and details.

    ``ERR_UNAVAILABLE`` names what auth lacks in its own logs; here auth is what is away. Anything that only says that
    the gateway and auth misunderstand each other (a refused credential, an unknown address, a crash) is
    ``ERR_INTERNAL``.
    """
    if code == errors.Unavailable.code:
        return errors.Unavailable("auth", retry_after=retry_after or 2)
    if code == errors.RateLimited.code:
        return errors.RateLimited(message, details=details, retry_after=retry_after or 2)
    kind = _PASSED_ON.get(code)
    return kind(message, details=details, retry_after=retry_after) if kind else HubError()


class TooManyPending(HubError):
    """This user has as many jobs waiting as it may have."""

    status, code, retryable = 503, errors.Unavailable.code, True

    def __init__(self, most: int) -> None:
        super().__init__(
            f"This user_id has {most} jobs waiting, the most it may have; try again when some have ended.",
            retry_after=10,
        )
