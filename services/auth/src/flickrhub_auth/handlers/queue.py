"""The messages auth reads."""

from flickrhub_auth.usecases import UseCases
from flickrhub_common.broker import Messaging
from flickrhub_common.contracts import TokenRejected
from flickrhub_common.topology import AUTH_TOKEN_EVENTS

CONCURRENCY = 8


def subscribe(messaging: Messaging, usecases: UseCases) -> None:
    """Have rejected tokens revoked."""

    async def on_token_rejected(event: TokenRejected) -> None:
        await usecases.revoke(event)

    messaging.subscribe(AUTH_TOKEN_EVENTS, (TokenRejected,), on_token_rejected, concurrency=CONCURRENCY)
