"""Lend a token."""

from flickrhub_auth.errors import TokenUnreadable
from flickrhub_auth.models import Connection
from flickrhub_auth.ports import UNMETERED, Meter, Tokens
from flickrhub_common.errors import TokenNotFound
from flickrhub_common.logs import logger

log = logger(__name__)


class LendToken:
    """Opens a stored token for another service, which keeps it in memory for a minute at most."""

    def __init__(self, tokens: Tokens, *, meter: Meter = UNMETERED) -> None:
        self._meter = meter
        self._tokens = tokens

    async def __call__(self, user_id: str) -> Connection:
        """Raises TokenNotFound, TokenUnreadable or Unavailable."""
        try:
            connection = await self._tokens.read(user_id)
        except TokenUnreadable as error:
            self._meter.unreadable()
            # What to do about it: put the key it was sealed with back into ENCRYPTION_KEYS.
            log.error("token_unreadable", user_id=user_id, error=str(error.__cause__))  # noqa: TRY400
            raise
        if connection is None:
            raise TokenNotFound
        return connection
