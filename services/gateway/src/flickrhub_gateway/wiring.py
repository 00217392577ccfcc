"""Opens everything the gateway needs, builds its use cases, closes everything in reverse."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, cast

from fastapi import FastAPI, Request
from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
from opentelemetry.trace import TracerProvider
from starlette.middleware import Middleware

from flickrhub_common.background import beside, until_done
from flickrhub_common.broker import Messaging
from flickrhub_common.clock import SystemClock
from flickrhub_common.errors import HubError
from flickrhub_common.health import Check, health_router
from flickrhub_common.http_client import make_http_client
from flickrhub_common.metrics import Metrics
from flickrhub_common.mongo import make_mongo, ping_mongo
from flickrhub_common.photo_store import PhotoStore, open_photo_store
from flickrhub_common.queue_metrics import watch_queues
from flickrhub_common.redis import PipelinedRedis, make_redis, ping_redis
from flickrhub_common.server import UNTRACED, Lifespan, make_app
from flickrhub_common.service_metrics import make_metrics, watch_dependencies, watch_messages
from flickrhub_common.settings import GRIDFS
from flickrhub_common.telemetry import records
from flickrhub_gateway.adapters.auth import LOOKUP_SECONDS, HttpAuth
from flickrhub_gateway.adapters.jobs import MongoJobs
from flickrhub_gateway.adapters.meter import GATEWAY_METRICS, PrometheusMeter, watch_unpublished
from flickrhub_gateway.adapters.request_counts import OwnCounts, RedisCounts
from flickrhub_gateway.adapters.uploads import MongoUploads
from flickrhub_gateway.handlers import documenting, http, queue, timer, uploads
from flickrhub_gateway.handlers.cors import Cors
from flickrhub_gateway.handlers.direct import Direct, Refused
from flickrhub_gateway.handlers.request_limits import RequestLimits
from flickrhub_gateway.handlers.trace_context import TraceContext
from flickrhub_gateway.models import AddressPolicies, Retention
from flickrhub_gateway.ports import Meter
from flickrhub_gateway.settings import GatewaySettings
from flickrhub_gateway.usecases import UseCases
from flickrhub_gateway.usecases.admit_request import AdmitRequest
from flickrhub_gateway.usecases.bound_pending import BoundPending
from flickrhub_gateway.usecases.check_connection import CheckConnection
from flickrhub_gateway.usecases.claim_photo import ClaimPhoto
from flickrhub_gateway.usecases.connect_account import ConnectAccount
from flickrhub_gateway.usecases.discard_upload import DiscardUpload
from flickrhub_gateway.usecases.enqueue_job import EnqueueJob
from flickrhub_gateway.usecases.hold_photo import HoldPhoto
from flickrhub_gateway.usecases.mark_published import MarkPublished
from flickrhub_gateway.usecases.presign_upload import PresignUpload
from flickrhub_gateway.usecases.publish_job import PublishJob
from flickrhub_gateway.usecases.publish_jobs import PublishJobs
from flickrhub_gateway.usecases.read_job_status import ReadJobStatus
from flickrhub_gateway.usecases.receive_upload import ReceiveUpload
from flickrhub_gateway.usecases.record_job_event import RecordJobEvent
from flickrhub_gateway.usecases.settle_photos import SettlePhotos
from flickrhub_gateway.usecases.sweep_jobs import SweepJobs
from flickrhub_gateway.usecases.sweep_uploads import SweepUploads
from flickrhub_gateway.usecases.take_back import TakeBack

SERVICE = "gateway"
INDEX_RETRY_SECONDS = 2.0
VERDICT_SECONDS = 0.5
"""How long a verdict of readiness is good for: anybody may ask, and isn't counted."""
DESCRIPTION = (
    "Turns calls of the Flickr API into durable jobs: connect an account, enqueue a call, read its result or receive "
    "it as a signed callback. Every reply has a `request_id`; a failure has `error` with `code`, `message` and, for "
    "wrong fields, `details`."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stores:
    """Where everything is kept."""

    database_lives: Check
    jobs: MongoJobs
    uploads: MongoUploads
    photos: PhotoStore

    async def make_indexes(self) -> None:
        await self.jobs.make_indexes()
        await self.uploads.make_indexes()

    async def ping(self) -> None:
        await self.database_lives()
        await self.jobs.check_indexes()
        await self.uploads.check_indexes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A running gateway: what handlers call, and what readiness asks."""

    use: UseCases
    checks: Mapping[str, Check]


def make_gateway_app(
    lifespan: Lifespan, *, tracer_provider: TracerProvider | None = None, origins: Sequence[str] = ()
) -> FastAPI:
    """The ASGI app; its lifespan puts ``use`` and ``checks`` into the app's state. ``origins`` are those of CORS.

    No span is made for the OAuth callback, whose query holds the verifier.
    """
    recorded = records(tracer_provider)
    app = make_app(
        title="FlickrHub",
        description=DESCRIPTION,
        lifespan=lifespan,
        tracer_provider=tracer_provider,
        larger_bodies={uploads.UPLOADS_PATH: uploads.MAX_UPLOAD_BYTES},
        untraced=UNTRACED | {http.CALLBACK_PATH} | (frozenset() if recorded else http.EVERY_JOBS.keys()),
        middleware=[
            Middleware(RequestLimits, frozenset({*http.USER_PATHS, *uploads.USER_PATHS})),
            *([Middleware(Cors, origins)] if origins else []),
        ],
    )

    if tracer_provider is not None and not recorded:
        app.add_middleware(TraceContext, tracer_provider, http.EVERY_JOBS)
    refused = cast("Refused", app.exception_handlers[HubError])
    # Innermost, behind all that make_app adds: add_middleware would put it before them.
    app.user_middleware.append(Middleware(Direct, http.EVERY_JOBS, refused))

    def checks(request: Request) -> Mapping[str, Check]:
        named: Mapping[str, Check] = request.app.state.checks
        return named

    routers = (http.router, uploads.router, health_router(checks, good_for=VERDICT_SECONDS))
    for router in routers:
        app.include_router(router)
    documenting.describe(app, routers)
    return app


def new_metrics() -> Metrics:
    """The metrics of one gateway."""
    return make_metrics(SERVICE, *GATEWAY_METRICS)


def lifespan(settings: GatewaySettings, tracer_provider: SdkTracerProvider, metrics: Metrics | None = None) -> Lifespan:
    """The app's lifespan: everything is open while it serves."""

    @asynccontextmanager
    async def run(app: FastAPI) -> AsyncIterator[None]:
        async with open_gateway(settings, tracer_provider, metrics) as gateway:
            app.state.use, app.state.checks = gateway.use, gateway.checks
            yield
        await asyncio.to_thread(tracer_provider.shutdown)

    return run


@asynccontextmanager
async def open_gateway(
    settings: GatewaySettings, tracer_provider: TracerProvider, metrics: Metrics | None = None
) -> AsyncIterator[Gateway]:
    """A gateway that takes job events, publishes and sweeps; it starts also when what it needs is away."""
    clock, metrics = SystemClock(), metrics or new_metrics()
    async with AsyncExitStack() as stack:
        stores = await _open_stores(stack, settings)
        redis = make_redis(settings, max_connections=4)
        stack.push_async_callback(redis.aclose)
        auth = await _open_auth(stack, settings)
        messaging = Messaging(
            settings,
            service=SERVICE,
            tracer_provider=tracer_provider,
            drain_seconds=settings.drain_seconds() / 2,
            metrics=metrics,
        )
        swept_after = timedelta(seconds=settings.sweep_after_seconds)
        published = MarkPublished(stores.jobs, clock, swept_after=swept_after)
        publisher = _publisher(settings, messaging, published)
        take_back = _take_back(settings, stores)
        admit = _admit(settings, await _open_counts(stack, settings))
        meter = PrometheusMeter(metrics)
        use = _use_cases(
            settings, stores, auth=auth, publisher=publisher, take_back=take_back, admit=admit, meter=meter
        )

        queue.subscribe(messaging, use)
        stack.push_async_callback(_ignoring_outage(published.flush))
        stack.push_async_callback(_ignoring_outage(take_back.flush))
        stack.push_async_callback(messaging.stop)
        await messaging.start()
        for loop in (
            until_done(INDEX_RETRY_SECONDS, stores.make_indexes),
            published.run(),
            publisher.run(),
            take_back.run(),
            timer.sweep(
                settings.sweep_interval_seconds, _sweep(settings, messaging, stores.jobs, published, take_back)
            ),
            timer.sweep_uploads(settings.upload_sweep_seconds, _sweep_uploads(settings, stores)),
        ):
            await stack.enter_async_context(beside(loop))
        stack.push_async_callback(publisher.drain, settings.drain_seconds() / 4)
        stack.push_async_callback(use.receive_upload.ended, settings.drain_seconds() / 4)
        checks: dict[str, Check] = {
            "rabbitmq": messaging.ping,
            "mongo": stores.ping,
            "redis": partial(ping_redis, redis),
            "auth": auth.ping,
        }
        if settings.upload_store_url != GRIDFS:  # which is Mongo
            checks["photo_store"] = stores.photos.ping
        watch_dependencies(metrics, checks)
        watch_messages(metrics, messaging)
        watch_queues(metrics, messaging)
        watch_unpublished(metrics, stores.jobs, clock)
        yield Gateway(use=use, checks=checks)


async def _open_stores(stack: AsyncExitStack, settings: GatewaySettings) -> _Stores:
    mongo = await stack.enter_async_context(make_mongo(settings, service=SERVICE))
    database = mongo[settings.mongo_db]
    return _Stores(
        database_lives=partial(ping_mongo, mongo),
        jobs=MongoJobs(database),
        uploads=MongoUploads(database),
        photos=await stack.enter_async_context(open_photo_store(settings, database=database)),
    )


async def _open_auth(stack: AsyncExitStack, settings: GatewaySettings) -> HttpAuth:
    client = make_http_client(timeout_seconds=LOOKUP_SECONDS, base_url=settings.auth_url)
    await stack.enter_async_context(client)
    return HttpAuth(client, token=settings.internal_api_token.get_secret_value())


async def _open_counts(stack: AsyncExitStack, settings: GatewaySettings) -> RedisCounts:
    redis = make_redis(settings)
    stack.push_async_callback(redis.aclose)
    return RedisCounts(PipelinedRedis(redis))


def _admit(settings: GatewaySettings, counts: RedisCounts) -> AdmitRequest:
    return AdmitRequest(
        counts,
        OwnCounts(time.monotonic),
        per_user=settings.rate_limit_user_per_minute,
        per_address=settings.rate_limit_address_per_minute,
        now=time.monotonic,
    )


def _publisher(settings: GatewaySettings, messaging: Messaging, published: MarkPublished) -> PublishJobs:
    publish = PublishJob(messaging, published)
    return PublishJobs(publish, SystemClock(), leave_after=timedelta(seconds=settings.sweep_after_seconds))


def _take_back(settings: GatewaySettings, stores: _Stores) -> TakeBack:
    lifetime = timedelta(hours=settings.upload_ttl_hours)
    return TakeBack(jobs=stores.jobs, uploads=stores.uploads, clock=SystemClock(), lifetime=lifetime)


def _sweep(
    settings: GatewaySettings, messaging: Messaging, jobs: MongoJobs, published: MarkPublished, take_back: TakeBack
) -> SweepJobs:
    return SweepJobs(
        jobs=jobs,
        publish=PublishJob(messaging, published),
        published=published,
        take_back=take_back,
        clock=SystemClock(),
        after=timedelta(seconds=settings.sweep_after_seconds),
    )


def _discard(stores: _Stores) -> DiscardUpload:
    return DiscardUpload(uploads=stores.uploads, store=stores.photos, clock=SystemClock())


def _sweep_uploads(settings: GatewaySettings, stores: _Stores) -> SweepUploads:
    return SweepUploads(
        uploads=stores.uploads,
        jobs=stores.jobs,
        discard=_discard(stores),
        clock=SystemClock(),
        lifetime=timedelta(hours=settings.upload_ttl_hours),
    )


def _use_cases(
    settings: GatewaySettings,
    stores: _Stores,
    *,
    auth: HttpAuth,
    publisher: PublishJobs,
    take_back: TakeBack,
    admit: AdmitRequest,
    meter: Meter,
) -> UseCases:
    clock, lifetime = SystemClock(), timedelta(hours=settings.upload_ttl_hours)
    jobs, uploads, photos = stores.jobs, stores.uploads, stores.photos
    check = CheckConnection(auth, clock, remember=timedelta(seconds=settings.connection_cache_seconds))
    retention = Retention(completed_days=settings.job_ttl_complete_days, failed_days=settings.job_ttl_fail_days)
    claim_photo = ClaimPhoto(uploads=uploads, jobs=jobs, store=photos, clock=clock, lifetime=lifetime)
    settle = SettlePhotos(uploads=uploads, discard=_discard(stores), clock=clock, lifetime=lifetime)
    return UseCases(
        admit_request=admit,
        connect_account=ConnectAccount(auth),
        enqueue_job=EnqueueJob(
            check_connection=check,
            bound_pending=BoundPending(jobs, clock, most=settings.max_pending_jobs),
            claim_photo=claim_photo,
            jobs=jobs,
            publisher=publisher,
            take_back=take_back,
            key_ring=settings.key_ring(),
            clock=clock,
            meter=meter,
        ),
        receive_upload=ReceiveUpload(
            check_connection=check, uploads=uploads, store=photos, clock=clock, lifetime=lifetime
        ),
        presign_upload=PresignUpload(
            check_connection=check, uploads=uploads, store=photos, clock=clock, lifetime=lifetime
        ),
        read_job_status=ReadJobStatus(jobs),
        record_job_event=RecordJobEvent(jobs, settle, HoldPhoto(claim_photo), clock, retention=retention),
        check_connection=check,
        address_policies=AddressPolicies(settings.address_policy(), settings.photo_address_policy()),
        least_speed=settings.upload_min_bytes_per_second,
        trusted_proxies=settings.trusted_proxies(),
    )


def _ignoring_outage(act: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], Coroutine[Any, Any, None]]:
    """At the very end nothing can be made up for: what isn't marked is swept by whoever starts next."""

    async def run() -> None:
        with contextlib.suppress(HubError):
            await act()

    return run
