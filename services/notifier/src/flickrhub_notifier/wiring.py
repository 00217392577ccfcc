"""Opens everything the notifier uses, puts it together, and closes it in reverse order."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from fastapi import FastAPI, Request
from opentelemetry import trace
from opentelemetry.trace import TracerProvider

from flickrhub_common.background import beside, every, until_done
from flickrhub_common.broker import Messaging
from flickrhub_common.clock import SystemClock
from flickrhub_common.guarded_calls import make_guarded_call_client
from flickrhub_common.health import Check, health_router
from flickrhub_common.logs import logger
from flickrhub_common.metrics import Metrics
from flickrhub_common.mongo import make_mongo, ping_mongo
from flickrhub_common.redis import PipelinedRedis, make_redis, ping_redis
from flickrhub_common.server import make_app
from flickrhub_common.service_metrics import make_metrics, watch_dependencies, watch_messages
from flickrhub_notifier.adapters.deliveries import MongoDeliveries
from flickrhub_notifier.adapters.meter import NOTIFIER_METRICS, PrometheusMeter, watch_endpoints
from flickrhub_notifier.adapters.receiver import HttpReceiver
from flickrhub_notifier.adapters.redis_endpoints import RedisEndpoints
from flickrhub_notifier.handlers import queue
from flickrhub_notifier.ports import Meter, Receiver
from flickrhub_notifier.settings import NotifierSettings
from flickrhub_notifier.usecases import AdmitAttempt, ContinueDelivery, KeepLines, MakeAttempt, Policy, StartDelivery

log = logger(__name__)

SERVICE = "notifier"
INDEX_RETRY_SECONDS = 5.0
LEASE_MARGIN_SECONDS = 5.0
"""How much longer a slot holds than an attempt can take."""
LOOK_SECONDS = 0.5
FIND_SECONDS = 30.0
"""How often lines are looked at whose time has come, and how often all of them are gone through in MongoDB."""


def new_metrics() -> Metrics:
    """The metrics of one notifier."""
    return make_metrics(SERVICE, *NOTIFIER_METRICS)


def build_app(
    settings: NotifierSettings, *, tracer_provider: TracerProvider | None = None, metrics: Metrics | None = None
) -> FastAPI:
    """The ASGI app; nothing is opened before its lifespan begins."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opened(settings, tracer_provider, metrics) as checks:
            app.state.checks = checks
            yield

    app = make_app(
        title="FlickrHub notifier",
        description="Internal: sends signed callbacks.",
        lifespan=lifespan,
        tracer_provider=tracer_provider,
    )
    app.include_router(health_router(_checks))
    return app


@asynccontextmanager
async def opened(
    settings: NotifierSettings, tracer_provider: TracerProvider | None = None, metrics: Metrics | None = None
) -> AsyncIterator[Mapping[str, Check]]:
    """Open everything; what isn't there yet is waited for in the background."""
    metrics = metrics or new_metrics()
    async with AsyncExitStack() as stack:
        mongo = make_mongo(settings, service=SERVICE)
        stack.push_async_callback(mongo.close)
        redis = make_redis(settings, max_connections=settings.callback_concurrency)
        stack.push_async_callback(redis.aclose)
        deliveries = MongoDeliveries(mongo[settings.mongo_db], keep=settings.keep())
        await stack.enter_async_context(beside(until_done(INDEX_RETRY_SECONDS, deliveries.ensure_indexes)))
        receiver = await stack.enter_async_context(_receiver(settings, tracer_provider))
        messaging = Messaging(
            settings,
            service=SERVICE,
            tracer_provider=tracer_provider,
            drain_seconds=settings.drain_seconds(),
            metrics=metrics,
        )
        endpoints = _endpoints(settings, PipelinedRedis(redis))
        lines = KeepLines(
            deliveries,
            endpoints,
            messaging,
            SystemClock(),
            expire_after=settings.expire_after(),
        )
        _subscribe(settings, messaging, lines, receiver, meter=PrometheusMeter(metrics))
        stack.push_async_callback(messaging.stop)
        await messaging.start()
        if settings.callback_enabled:
            await stack.enter_async_context(beside(every(LOOK_SECONDS, lines.look)))
            await stack.enter_async_context(beside(every(FIND_SECONDS, lines.find)))

        async def mongo_ready() -> None:
            await ping_mongo(mongo)
            await deliveries.check_indexes()

        checks: dict[str, Check] = {
            "rabbitmq": messaging.ping,
            "mongo": mongo_ready,
            "redis": partial(ping_redis, redis),
        }
        watch_dependencies(metrics, checks)
        watch_messages(metrics, messaging)
        watch_endpoints(metrics, endpoints)
        yield checks


def _endpoints(settings: NotifierSettings, redis: PipelinedRedis) -> RedisEndpoints:
    return RedisEndpoints(
        redis,
        concurrency=settings.callback_endpoint_concurrency,
        failures=settings.callback_breaker_failures,
        open_seconds=settings.callback_breaker_seconds,
        longest_seconds=settings.callback_breaker_longest_seconds,
        lease_seconds=settings.callback_timeout_seconds + LEASE_MARGIN_SECONDS,
    )


def _subscribe(
    settings: NotifierSettings, messaging: Messaging, lines: KeepLines, receiver: Receiver, *, meter: Meter
) -> None:
    policy = Policy(
        settings.callback_retry_attempts,
        settings.backoff(),
        settings.callback_timeout_seconds,
        settings.expire_after(),
    )
    make = MakeAttempt(
        deliveries=lines.deliveries,
        receiver=receiver,
        postbox=messaging,
        keys=settings.key_ring(),
        clock=lines.clock,
        policy=policy,
        admit=AdmitAttempt(lines.endpoints, lines, lines.clock, settings.callback_endpoint_concurrency, meter),
        lines=lines,
        meter=meter,
    )
    start = StartDelivery(make, enabled=settings.callback_enabled)
    queue.subscribe_ended(messaging, start, concurrency=settings.callback_concurrency)
    if settings.callback_enabled:  # else what is due waits in its queue until callbacks are on again
        queue.subscribe_due(messaging, ContinueDelivery(make), concurrency=settings.callback_concurrency)


@asynccontextmanager
async def _receiver(settings: NotifierSettings, tracer_provider: TracerProvider | None) -> AsyncIterator[Receiver]:
    policy, timeout_seconds = settings.address_policy(), settings.callback_timeout_seconds
    client = make_guarded_call_client(
        policy,
        timeout_seconds=timeout_seconds + 1,  # to connect: the deadline of the whole comes first
        max_connections=4 * settings.callback_concurrency,  # two queues; after a lost connection twice as many go on
    )
    tracer = trace.get_tracer("flickrhub_notifier", tracer_provider=tracer_provider)
    async with client:
        yield HttpReceiver(client, policy=policy, tracer=tracer, timeout_seconds=timeout_seconds)


def _checks(request: Request) -> Mapping[str, Check]:
    checks: Mapping[str, Check] = request.app.state.checks
    return checks
