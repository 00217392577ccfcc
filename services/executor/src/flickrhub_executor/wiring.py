"""Puts the executor together: opens everything, in order, and closes it in reverse."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from fastapi import FastAPI, Request
from opentelemetry.sdk.trace import TracerProvider
from redis.asyncio import Redis

from flickrhub_common.broker import Messaging
from flickrhub_common.clock import SystemClock
from flickrhub_common.contracts import Target
from flickrhub_common.health import Check, health_router
from flickrhub_common.http_client import HttpClient, make_http_client
from flickrhub_common.redis import make_redis, ping_redis
from flickrhub_common.retry import Backoff
from flickrhub_common.server import make_app
from flickrhub_executor.adapters.flickr_rest import FlickrRest
from flickrhub_executor.adapters.lent_tokens import LentTokens
from flickrhub_executor.adapters.redis_cache import RedisCache
from flickrhub_executor.adapters.redis_claims import RedisClaims
from flickrhub_executor.adapters.redis_limits import RedisLimits
from flickrhub_executor.handlers.queue import subscribe
from flickrhub_executor.settings import ExecutorSettings
from flickrhub_executor.usecases.attempts import RetryRules
from flickrhub_executor.usecases.execute_job import ExecuteJob
from flickrhub_executor.usecases.forget_token import ForgetToken
from flickrhub_executor.usecases.give_up_job import GiveUpJob
from flickrhub_executor.usecases.refuse_target import RefuseTarget
from flickrhub_executor.usecases.report_outcome import ReportOutcome

LEASE_MARGIN_SECONDS = 10.0
TELLING_SECONDS = 15.0
"""More than two messages' confirms and Redis's time limits together."""
AUTH_SECONDS = 2.5
"""Time limit of a question to auth."""


def service_name(settings: ExecutorSettings) -> str:
    """``executor-rest``, ``executor-upload`` or ``executor-replace``."""
    return f"executor-{settings.target.value}"


def build_app(settings: ExecutorSettings, *, tracer_provider: TracerProvider | None = None) -> FastAPI:
    """The executor as an app; its lifespan opens and closes everything."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with running(settings, tracer_provider) as checks:
            app.state.checks = checks
            yield
        if tracer_provider is not None:
            await asyncio.to_thread(tracer_provider.shutdown)

    app = make_app(
        title="FlickrHub executor",
        description="Makes the Flickr calls.",
        lifespan=lifespan,
        tracer_provider=tracer_provider,
    )
    app.include_router(health_router(_checks))
    return app


def _checks(request: Request) -> Mapping[str, Check]:
    checks: Mapping[str, Check] = request.app.state.checks
    return checks


@asynccontextmanager
async def running(
    settings: ExecutorSettings, tracer_provider: TracerProvider | None = None
) -> AsyncIterator[Mapping[str, Check]]:
    """An executor at work; yields its readiness checks."""
    messaging = Messaging(
        settings,
        service=service_name(settings),
        tracer_provider=tracer_provider,
        drain_seconds=settings.shutdown_grace_seconds,
    )
    async with AsyncExitStack() as stack:
        redis = make_redis(settings, max_connections=settings.concurrency() + 8)
        stack.push_async_callback(redis.aclose)
        auth = await stack.enter_async_context(
            make_http_client(timeout_seconds=AUTH_SECONDS, base_url=settings.auth_url)
        )
        flickr = await stack.enter_async_context(
            make_http_client(timeout_seconds=settings.flickr_timeout_seconds, max_connections=settings.concurrency())
        )
        _subscribe(settings, messaging, redis=redis, auth=auth, flickr=flickr)
        stack.push_async_callback(messaging.stop)
        await messaging.start()
        yield {
            "rabbitmq": messaging.ping,
            "redis": partial(ping_redis, redis),
            "auth": partial(_ping_auth, auth),
        }


def _subscribe(
    settings: ExecutorSettings, messaging: Messaging, *, redis: Redis, auth: HttpClient, flickr: HttpClient
) -> None:
    clock, attempts = SystemClock(), settings.job_retry_attempts
    lease = settings.flickr_timeout_seconds + LEASE_MARGIN_SECONDS
    tokens = LentTokens(auth, internal_api_token=settings.internal_api_token.get_secret_value())
    claims = RedisClaims(redis, lease_seconds=lease, telling_seconds=TELLING_SECONDS)
    report = ReportOutcome(messages=messaging, claims=claims, tokens=tokens, clock=clock)
    on_job: ExecuteJob | RefuseTarget = RefuseTarget(report=report, max_attempts=attempts, clock=clock)
    if settings.target is Target.REST:
        cache = RedisCache(redis, prefix=settings.cache_prefix, ttl_seconds=settings.cache_ttl_seconds)
        on_job = ExecuteJob(
            messages=messaging,
            tokens=tokens,
            flickr=FlickrRest(flickr, url=settings.flickr_url("rest"), timeout_seconds=settings.flickr_timeout_seconds),
            cache=cache if settings.cache_enabled else None,
            limits=_limits(settings, redis),
            claims=claims,
            report=report,
            rules=RetryRules(attempts, Backoff(first=settings.job_retry_delay_ms / 1000)),
            clock=clock,
        )
    subscribe(
        messaging,
        target=settings.target,
        on_job=on_job,
        give_up=GiveUpJob(report=report, max_attempts=attempts, clock=clock),
        forget_token=ForgetToken(tokens),
        concurrency=settings.concurrency(),
    )


def _limits(settings: ExecutorSettings, redis: Redis) -> RedisLimits:
    return RedisLimits(
        redis,
        prefix=settings.rate_limit_prefix,
        per_hour=settings.flickr_rate_limit_per_hour,
        per_second=settings.flickr_rate_limit_per_second,
    )


async def _ping_auth(client: HttpClient) -> None:
    (await client.get("/health")).raise_for_status()
