"""Puts the executor together: opens everything, in order, and closes it in reverse."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from fastapi import FastAPI, Request
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from flickrhub_common.broker import Messaging
from flickrhub_common.call_client import make_call_client
from flickrhub_common.clock import Clock, SystemClock
from flickrhub_common.contracts import Target
from flickrhub_common.health import Check, health_router
from flickrhub_common.http_client import HttpClient, make_guarded_client, make_http_client
from flickrhub_common.metrics import Metrics
from flickrhub_common.mongo import make_mongo
from flickrhub_common.photo_store import PhotoStore, open_photo_store
from flickrhub_common.redis import PipelinedRedis, make_redis, ping_redis
from flickrhub_common.retry import Backoff
from flickrhub_common.server import make_app
from flickrhub_common.service_metrics import make_metrics, watch_dependencies, watch_messages
from flickrhub_common.settings import MongoSettings
from flickrhub_common.upload_client import make_upload_client
from flickrhub_executor.adapters.fetched_photos import MOST_REPLY_BYTES, FetchedPhotos
from flickrhub_executor.adapters.flickr_rest import MAX_REPLY_BYTES, FlickrRest
from flickrhub_executor.adapters.flickr_uploads import FlickrUploads
from flickrhub_executor.adapters.lent_tokens import LentTokens
from flickrhub_executor.adapters.meter import EXECUTOR_METRICS, PrometheusMeter, watch_budgets
from flickrhub_executor.adapters.photos import PhotoSources
from flickrhub_executor.adapters.redis_cache import RedisCache
from flickrhub_executor.adapters.redis_claims import RedisClaims
from flickrhub_executor.adapters.redis_limits import RedisLimits
from flickrhub_executor.handlers.queue import subscribe
from flickrhub_executor.ports import Meter
from flickrhub_executor.settings import ExecutorSettings
from flickrhub_executor.usecases.attempts import RetryRules
from flickrhub_executor.usecases.execute_job import LEASE_MARGIN_SECONDS, ExecuteJob
from flickrhub_executor.usecases.execute_upload import ExecuteUpload
from flickrhub_executor.usecases.forget_token import ForgetToken
from flickrhub_executor.usecases.give_up_job import GiveUpJob
from flickrhub_executor.usecases.hold_claim import LEASE_SECONDS
from flickrhub_executor.usecases.hold_outcome import HOLD_SECONDS, UPLOAD_HOLD_SECONDS, Hold
from flickrhub_executor.usecases.next_step import UploadRules
from flickrhub_executor.usecases.report_outcome import ReportOutcome

TELLING_SECONDS = 15.0
"""More than two messages' confirms and Redis's time limits together."""
AUTH_SECONDS = 2.5
"""Time limit of a question to auth."""


def service_name(settings: ExecutorSettings) -> str:
    """``executor-rest``, ``executor-upload`` or ``executor-replace``."""
    return f"executor-{settings.target.value}"


def new_metrics(settings: ExecutorSettings) -> Metrics:
    """The metrics of one executor."""
    return make_metrics(service_name(settings), *EXECUTOR_METRICS)


def build_app(
    settings: ExecutorSettings, *, tracer_provider: TracerProvider | None = None, metrics: Metrics | None = None
) -> FastAPI:
    """The executor as an app; its lifespan opens and closes everything."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with running(settings, tracer_provider, metrics) as checks:
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
    settings: ExecutorSettings, tracer_provider: TracerProvider | None = None, metrics: Metrics | None = None
) -> AsyncIterator[Mapping[str, Check]]:
    """An executor at work; yields its readiness checks."""
    metrics = metrics or new_metrics(settings)
    messaging = Messaging(
        settings,
        service=service_name(settings),
        tracer_provider=tracer_provider,
        drain_seconds=settings.drain_seconds(),
        metrics=metrics,
    )
    async with AsyncExitStack() as stack:
        redis = make_redis(settings)
        stack.push_async_callback(redis.aclose)
        auth = await stack.enter_async_context(
            make_http_client(timeout_seconds=AUTH_SECONDS, base_url=settings.auth_url)
        )
        flickr = await stack.enter_async_context(
            make_call_client(
                timeout_seconds=settings.flickr_timeout_seconds,
                max_connections=_at_once(settings),
                most_reply_bytes=2 * MAX_REPLY_BYTES,
            )
        )
        rest = FlickrRest(
            flickr,
            url=settings.flickr_url("rest"),
            tracer=trace.get_tracer("flickrhub_executor", tracer_provider=tracer_provider),
            timeout_seconds=settings.flickr_timeout_seconds,
        )
        meter = PrometheusMeter(metrics)
        parts = _parts(settings, messaging, redis=PipelinedRedis(redis), auth=auth, flickr=rest, meter=meter)
        checks: dict[str, Check] = {
            "rabbitmq": messaging.ping,
            "redis": partial(ping_redis, redis),
            "auth": partial(_ping_auth, auth, settings.internal_api_token.get_secret_value()),
        }
        on_job: ExecuteJob | ExecuteUpload
        if settings.target is Target.REST:
            on_job = _execute_job(settings, parts)
        else:
            store = await stack.enter_async_context(_photo_store(settings))
            checks["photo_store"] = store.ping
            photos = await stack.enter_async_context(_photos(settings, store, tracer_provider))
            uploads = await stack.enter_async_context(_uploads(settings))
            on_job = _execute_upload(settings, parts, photos=photos, uploads=uploads)
        _subscribe(settings, parts, on_job)
        stack.push_async_callback(messaging.stop)
        await messaging.start()
        watch_dependencies(metrics, checks)
        watch_messages(metrics, messaging)
        watch_budgets(metrics, parts.limits, per_hour=settings.flickr_rate_limit_per_hour)
        yield checks


@dataclass(frozen=True)
class _Parts:
    """What executors of all targets are made of."""

    messaging: Messaging
    tokens: LentTokens
    claims: RedisClaims
    report: ReportOutcome
    flickr: FlickrRest
    limits: RedisLimits
    cache: RedisCache | None
    clock: Clock
    meter: Meter


def _parts(
    settings: ExecutorSettings,
    messaging: Messaging,
    *,
    redis: PipelinedRedis,
    auth: HttpClient,
    flickr: FlickrRest,
    meter: Meter,
) -> _Parts:
    clock = SystemClock()
    lease = settings.flickr_timeout_seconds + LEASE_MARGIN_SECONDS if settings.target is Target.REST else LEASE_SECONDS
    tokens = LentTokens(auth, internal_api_token=settings.internal_api_token.get_secret_value())
    claims = RedisClaims(redis, lease_seconds=lease, telling_seconds=TELLING_SECONDS)
    hold = Hold(UPLOAD_HOLD_SECONDS if settings.target is Target.UPLOAD else HOLD_SECONDS)
    cache = RedisCache(redis, prefix=settings.cache_prefix, ttl_seconds=settings.cache_ttl_seconds)
    return _Parts(
        messaging=messaging,
        tokens=tokens,
        claims=claims,
        report=ReportOutcome(messages=messaging, claims=claims, tokens=tokens, clock=clock, meter=meter, hold=hold),
        flickr=flickr,
        limits=RedisLimits(
            redis,
            prefix=settings.rate_limit_prefix,
            per_hour=settings.flickr_rate_limit_per_hour,
            per_second=settings.flickr_rate_limit_per_second,
        ),
        cache=cache if settings.cache_enabled else None,
        clock=clock,
        meter=meter,
    )


def _execute_job(settings: ExecutorSettings, parts: _Parts) -> ExecuteJob:
    return ExecuteJob(
        messages=parts.messaging,
        tokens=parts.tokens,
        flickr=parts.flickr,
        cache=parts.cache,
        limits=parts.limits,
        claims=parts.claims,
        report=parts.report,
        rules=RetryRules(settings.job_retry_attempts, _backoff(settings)),
        clock=parts.clock,
        meter=parts.meter,
    )


def _execute_upload(
    settings: ExecutorSettings, parts: _Parts, *, photos: PhotoSources, uploads: FlickrUploads
) -> ExecuteUpload:
    rules = UploadRules(
        settings.job_retry_attempts,
        _backoff(settings),
        looks=settings.look_waits(),
        timeout_seconds=settings.upload_timeout_seconds,
    )
    return ExecuteUpload(
        messages=parts.messaging,
        tokens=parts.tokens,
        flickr=parts.flickr,
        photos=photos,
        uploads=uploads,
        cache=parts.cache,
        limits=parts.limits,
        claims=parts.claims,
        report=parts.report,
        rules=rules,
        clock=parts.clock,
        meter=parts.meter,
    )


def _subscribe(settings: ExecutorSettings, parts: _Parts, on_job: ExecuteJob | ExecuteUpload) -> None:
    attempts = settings.job_retry_attempts
    subscribe(
        parts.messaging,
        target=settings.target,
        on_job=on_job,
        give_up=GiveUpJob(report=parts.report, max_attempts=attempts, clock=parts.clock),
        forget_token=ForgetToken(parts.tokens),
        concurrency=settings.concurrency(),
    )


@asynccontextmanager
async def _photo_store(settings: ExecutorSettings) -> AsyncIterator[PhotoStore]:
    async with AsyncExitStack() as stack:
        database = None
        if settings.mongo_url is not None:
            mongo = MongoSettings(mongo_url=settings.mongo_url, mongo_db=settings.mongo_db)
            client = await stack.enter_async_context(make_mongo(mongo, service=service_name(settings)))
            database = client[settings.mongo_db]
        yield await stack.enter_async_context(open_photo_store(settings, database=database))


@asynccontextmanager
async def _photos(
    settings: ExecutorSettings, store: PhotoStore, tracer_provider: TracerProvider | None
) -> AsyncIterator[PhotoSources]:
    policy = settings.photo_address_policy()
    client = make_guarded_client(
        policy,
        timeout_seconds=settings.upload_timeout_seconds,
        max_connections=_at_once(settings),
        most_reply_bytes=MOST_REPLY_BYTES,
    )
    async with client:
        fetched = FetchedPhotos(
            client,
            policy=policy,
            bytes_per_second=settings.upload_min_bytes_per_second,
            tracer=trace.get_tracer("flickrhub_executor", tracer_provider=tracer_provider),
        )
        yield PhotoSources(store=store, fetched=fetched)


@asynccontextmanager
async def _uploads(settings: ExecutorSettings) -> AsyncIterator[FlickrUploads]:
    timeout_seconds = settings.upload_timeout_seconds
    url = settings.flickr_url("upload" if settings.target is Target.UPLOAD else "replace")
    async with make_upload_client(timeout_seconds=timeout_seconds, max_connections=_at_once(settings)) as client:
        yield FlickrUploads(client, url=url, timeout_seconds=timeout_seconds)


def _at_once(settings: ExecutorSettings) -> int:
    """Connections at most: what is in hand when RabbitMQ's is lost goes on, beside as many messages that come anew."""
    return 2 * settings.concurrency()


def _backoff(settings: ExecutorSettings) -> Backoff:
    return Backoff(first=settings.job_retry_delay_ms / 1000)


async def _ping_auth(client: HttpClient, token: str) -> None:
    """Raise unless auth lives and lets us in."""
    headers = {"Authorization": f"Bearer {token}"}
    (await client.get("/internal/v1/health", headers=headers)).raise_for_status()
