"""Opens everything auth uses, puts it together, and closes it in reverse order."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from fastapi import FastAPI, Request
from opentelemetry.trace import TracerProvider

from flickrhub_auth.adapters.flickr import FlickrOAuth
from flickrhub_auth.adapters.meter import AUTH_METRICS, PrometheusMeter
from flickrhub_auth.adapters.pending import RedisPending
from flickrhub_auth.adapters.tokens import MongoTokens
from flickrhub_auth.handlers import queue
from flickrhub_auth.handlers.http import internal_router
from flickrhub_auth.models import Mode
from flickrhub_auth.ports import UNMETERED, Events, Flickr, Meter, PendingAuthorisations, Tokens
from flickrhub_auth.settings import AuthSettings
from flickrhub_auth.usecases import (
    CompleteConnection,
    FindConnection,
    LendToken,
    RevokeConnection,
    StartConnection,
    UseCases,
)
from flickrhub_common.broker import Messaging
from flickrhub_common.clock import Clock, SystemClock
from flickrhub_common.health import Check, health_router
from flickrhub_common.http_client import HttpClient, make_http_client
from flickrhub_common.logs import logger
from flickrhub_common.metrics import Metrics
from flickrhub_common.mongo import make_mongo, ping_mongo
from flickrhub_common.redis import make_redis, ping_redis
from flickrhub_common.server import UNTRACED, make_app
from flickrhub_common.service_metrics import make_metrics, watch_dependencies, watch_messages

log = logger(__name__)

SERVICE = "auth"


@dataclass(frozen=True)
class Running:
    """What a running auth consists of."""

    usecases: UseCases
    checks: Mapping[str, Check]


def new_metrics() -> Metrics:
    """The metrics of one auth."""
    return make_metrics(SERVICE, *AUTH_METRICS)


def build_app(
    settings: AuthSettings, *, tracer_provider: TracerProvider | None = None, metrics: Metrics | None = None
) -> FastAPI:
    """The ASGI app; nothing is opened before its lifespan begins."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opened(settings, tracer_provider, metrics) as running:
            app.state.usecases, app.state.checks = running.usecases, running.checks
            yield

    app = make_app(
        title="FlickrHub auth",
        description="Internal: connects Flickr accounts and lends tokens.",
        lifespan=lifespan,
        tracer_provider=tracer_provider,
        untraced=UNTRACED | {"/internal/v1/health"},
        described=False,
    )
    app.include_router(internal_router(settings.internal_api_token.get_secret_value()))
    app.include_router(health_router(_checks))
    return app


@asynccontextmanager
async def opened(
    settings: AuthSettings, tracer_provider: TracerProvider | None = None, metrics: Metrics | None = None
) -> AsyncIterator[Running]:
    """Open everything; what isn't there yet is waited for in the background."""
    metrics = metrics or new_metrics()
    if settings.oauth_mode is Mode.CALLBACK and settings.callback() is None:
        log.warning("oauth_mode_is_oob", reason="OAUTH_MODE=callback needs CALLBACK_URL")
    async with AsyncExitStack() as stack:
        mongo = make_mongo(settings, service=SERVICE)
        stack.push_async_callback(mongo.close)
        redis = make_redis(settings)
        stack.push_async_callback(redis.aclose)
        http = await stack.enter_async_context(make_http_client(timeout_seconds=settings.flickr_timeout_seconds))
        messaging = Messaging(
            settings,
            service=SERVICE,
            tracer_provider=tracer_provider,
            drain_seconds=settings.drain_seconds(),
            metrics=metrics,
        )
        keys = settings.key_ring()
        usecases = make_usecases(
            flickr=_flickr(http, settings),
            pending=RedisPending(redis, keys),
            tokens=MongoTokens(mongo[settings.mongo_db], keys),
            events=messaging,
            clock=SystemClock(),
            callback_url=settings.callback(),
            meter=PrometheusMeter(metrics),
        )
        queue.subscribe(messaging, usecases)
        stack.push_async_callback(messaging.stop)
        await messaging.start()
        checks: dict[str, Check] = {
            "rabbitmq": messaging.ping,
            "mongo": partial(ping_mongo, mongo),
            "redis": partial(ping_redis, redis),
        }
        watch_dependencies(metrics, checks)
        watch_messages(metrics, messaging)
        yield Running(usecases, checks)


def make_usecases(
    *,
    flickr: Flickr,
    pending: PendingAuthorisations,
    tokens: Tokens,
    events: Events,
    clock: Clock,
    callback_url: str | None,
    meter: Meter = UNMETERED,
) -> UseCases:
    """Put the use cases together; tests give fakes."""
    return UseCases(
        start=StartConnection(flickr, pending, callback_url=callback_url),
        complete=CompleteConnection(flickr, pending, tokens, events, clock, meter=meter),
        find=FindConnection(tokens),
        lend=LendToken(tokens, meter=meter),
        revoke=RevokeConnection(tokens, events, clock, meter=meter),
    )


def _flickr(http: HttpClient, settings: AuthSettings) -> FlickrOAuth:
    return FlickrOAuth(
        http,
        oauth_url=settings.flickr_url("oauth"),
        rest_url=settings.flickr_url("rest"),
        perms=settings.flickr_perms,
        timeout_seconds=settings.flickr_timeout_seconds,
    )


def _checks(request: Request) -> Mapping[str, Check]:
    checks: Mapping[str, Check] = request.app.state.checks
    return checks
