"""Say whether there is a connection."""

from flickrhub_auth.ports import Tokens
from flickrhub_common.errors import TokenNotFound


class FindConnection:
    """Says whether a user_id is connected, without opening anything."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def __call__(self, user_id: str) -> str:
        """Returns the user_id. Raises TokenNotFound or Unavailable."""
        if not await self._tokens.exists(user_id):
            raise TokenNotFound
        return user_id
