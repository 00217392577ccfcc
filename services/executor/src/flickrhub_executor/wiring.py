"""Puts the executor together: opens everything, in order, and closes it in reverse."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager

from fastapi import FastAPI, Request

from flickrhub_common.broker import Messaging
from flickrhub_common.clock import SystemClock
from flickrhub_common.contracts import JobRequested, Target
from flickrhub_common.health import Check, health_router
from flickrhub_common.http_client import HttpClient, make_http_client
from flickrhub_common.redis import make_redis, ping_redis
from flickrhub_common.retry import Backoff
from flickrhub_common.server import make_app
from flickrhub_common.telemetry import make_tracer_provider
from flickrhub_executor.adapters.flickr_rest import FlickrRest
from flickrhub_executor.adapters.lent_tokens import LentTokens
from flickrhub_executor.adapters.redis_cache import RedisCache
from flickrhub_executor.adapters.redis_claims import RedisClaims
from flickrhub_executor.adapters.redis_limits import RedisLimits
from flickrhub_executor.handlers.queue import subscribe
from flickrhub_executor.settings import ExecutorSettings
from flickrhub_executor.usecases.execute_job import ExecuteJob, RetryRules
from flickrhub_executor.usecases.forget_token import ForgetToken
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


def build_app(settings: ExecutorSettings) -> FastAPI:
    """The executor as an app; its lifespan opens and closes everything."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with running(settings) as checks:
            app.state.checks = checks
            yield

    app = make_app(title="FlickrHub executor", description="Makes the Flickr calls.", lifespan=lifespan)
    app.include_router(health_router(_checks))
    return app


def _checks(request: Request) -> Mapping[str, Check]:
    checks: Mapping[str, Check] = request.app.state.checks
    return checks


@asynccontextmanager
async def running(settings: ExecutorSettings) -> AsyncIterator[Mapping[str, Check]]:
    """An executor at work; yields its readiness checks."""
    provider = make_tracer_provider(settings, service=service_name(settings))
    redis = make_redis(settings, max_connections=settings.concurrency() + 8)
    auth = make_http_client(timeout_seconds=AUTH_SECONDS, base_url=settings.auth_url)
    flickr = make_http_client(timeout_seconds=settings.flickr_timeout_seconds, max_connections=settings.concurrency())
    messaging = Messaging(
        settings,
        service=service_name(settings),
        tracer_provider=provider,
        drain_seconds=settings.shutdown_grace_seconds,
    )
    async with aclosing(redis), auth, flickr:
        lease = settings.flickr_timeout_seconds + LEASE_MARGIN_SECONDS
        tokens = LentTokens(auth, internal_api_token=settings.internal_api_token.get_secret_value())
        claims = RedisClaims(redis, lease_seconds=lease, telling_seconds=TELLING_SECONDS)
        report = ReportOutcome(messages=messaging, claims=claims, tokens=tokens, clock=SystemClock())
        on_job: Callable[[JobRequested], Awaitable[None]]
        if settings.target is Target.REST:
            cache = RedisCache(redis, prefix=settings.cache_prefix, ttl_seconds=settings.cache_ttl_seconds)
            on_job = ExecuteJob(
                messages=messaging,
                tokens=tokens,
                flickr=FlickrRest(
                    flickr, url=settings.flickr_url("rest"), timeout_seconds=settings.flickr_timeout_seconds
                ),
                cache=cache if settings.cache_enabled else None,
                limits=RedisLimits(
                    redis,
                    prefix=settings.rate_limit_prefix,
                    per_hour=settings.flickr_rate_limit_per_hour,
                    per_second=settings.flickr_rate_limit_per_second,
                ),
                claims=claims,
                report=report,
                rules=RetryRules(settings.job_retry_attempts, Backoff(first=settings.job_retry_delay_ms / 1000)),
                clock=SystemClock(),
            )
        else:
            on_job = RefuseTarget(report=report, max_attempts=settings.job_retry_attempts, clock=SystemClock())
        subscribe(
            messaging,
            target=settings.target,
            on_job=on_job,
            forget_token=ForgetToken(tokens),
            concurrency=settings.concurrency(),
        )
        try:
            await messaging.start()
            yield {
                "rabbitmq": messaging.ping,
                "redis": lambda: ping_redis(redis),
                "auth": lambda: _ping_auth(auth),
            }
        finally:
            await messaging.stop()
            provider.shutdown()


async def _ping_auth(client: HttpClient) -> None:
    (await client.get("/health")).raise_for_status()
