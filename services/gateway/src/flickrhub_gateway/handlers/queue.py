"""Job events, and events that make the gateway forget a connection."""

from flickrhub_common.broker import Messaging
from flickrhub_common.contracts import JobCompleted, JobFailed, JobReplayed, JobRetrying, TokenReplaced, TokenRevoked
from flickrhub_common.topology import GATEWAY_JOB_EVENTS, TOKEN_EVENTS_KEY
from flickrhub_gateway.usecases import UseCases

JOB_EVENTS = (JobCompleted, JobFailed, JobRetrying, JobReplayed)
TOKEN_EVENTS = (TokenRevoked, TokenReplaced)
CONCURRENCY = 64


def subscribe(messaging: Messaging, use: UseCases) -> None:
    """Have every event reach its use case."""

    async def on_job_event(event: JobCompleted | JobFailed | JobRetrying | JobReplayed) -> None:
        await use.record_job_event(event)

    async def on_token_event(event: TokenRevoked | TokenReplaced) -> None:
        use.check_connection.forget(event.user_id)

    messaging.subscribe(GATEWAY_JOB_EVENTS, JOB_EVENTS, on_job_event, concurrency=CONCURRENCY)
    messaging.subscribe_every_instance(TOKEN_EVENTS_KEY, TOKEN_EVENTS, on_token_event)
