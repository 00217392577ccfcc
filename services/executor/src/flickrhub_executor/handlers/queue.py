"""Messages in."""

from collections.abc import Awaitable, Callable

from flickrhub_common.broker import Messaging
from flickrhub_common.contracts import JobRequested, Target, TokenReplaced, TokenRevoked, queue_of
from flickrhub_common.topology import TOKEN_EVENTS_KEY
from flickrhub_executor.usecases.forget_token import ForgetToken
from flickrhub_executor.usecases.give_up_job import GiveUpJob


def subscribe(
    messaging: Messaging,
    *,
    target: Target,
    on_job: Callable[[JobRequested], Awaitable[None]],
    give_up: GiveUpJob,
    forget_token: ForgetToken,
    concurrency: int,
) -> None:
    """Take the jobs of a target, and hear of tokens that are no longer good."""

    async def job_requested(job: JobRequested) -> None:
        await on_job(job)

    async def job_given_up(job: JobRequested) -> None:
        await give_up(job)

    async def token_changed(event: TokenRevoked | TokenReplaced) -> None:
        await forget_token(event)

    messaging.subscribe(
        queue_of(target), (JobRequested,), job_requested, concurrency=concurrency, on_given_up=job_given_up
    )
    messaging.subscribe_every_instance(TOKEN_EVENTS_KEY, (TokenRevoked, TokenReplaced), token_changed)
