"""A token was revoked or replaced: don't use the copy in memory any more."""

from flickrhub_common.contracts import TokenReplaced, TokenRevoked
from flickrhub_executor.ports import Tokens


class ForgetToken:
    """Drops the lent token of the event's user."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def __call__(self, event: TokenRevoked | TokenReplaced) -> None:
        """Never fails."""
        self._tokens.forget(event.user_id)
