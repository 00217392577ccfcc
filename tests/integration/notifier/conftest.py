"""A running notifier on the real RabbitMQ, MongoDB and Redis."""

from base64 import b64encode
from collections.abc import AsyncIterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import SecretStr

from flickrhub_common.broker import Messaging
from flickrhub_common.mongo import Database, make_mongo
from flickrhub_common.settings import MongoSettings, RabbitSettings, RedisSettings
from flickrhub_notifier.settings import NotifierSettings
from tests.integration.notifier.running import RunNotifier


@pytest.fixture
def notifier_settings(
    rabbit_settings: RabbitSettings, mongo_settings: MongoSettings, redis_settings: RedisSettings
) -> NotifierSettings:
    """Short times, loopback allowed."""
    return NotifierSettings(
        rabbit_url=rabbit_settings.rabbit_url,
        mongo_url=mongo_settings.mongo_url,
        mongo_db=mongo_settings.mongo_db,
        redis_url=redis_settings.redis_url,
        encryption_keys=SecretStr("k1:" + b64encode(b"1" * 32).decode()),
        callback_enabled=True,
        callback_allow_cidrs="127.0.0.0/8,::1/128",
        callback_retry_attempts=3,
        callback_retry_delay_ms=250,
        callback_timeout_seconds=1,
        callback_concurrency=16,
        shutdown_grace_seconds=3,
    )


@pytest.fixture
async def database(mongo_settings: MongoSettings) -> AsyncIterator[Database]:
    """The database of this test."""
    async with make_mongo(mongo_settings, service="test") as client:
        yield client[mongo_settings.mongo_db]


@pytest.fixture
def spans() -> InMemorySpanExporter:
    """What was traced."""
    return InMemorySpanExporter()


@pytest.fixture
def tracing(spans: InMemorySpanExporter) -> TracerProvider:
    """A provider that records everything."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return provider


@pytest.fixture
async def sender(notifier_settings: NotifierSettings, tracing: TracerProvider) -> AsyncIterator[Messaging]:
    """Somebody who sends events, as executors do."""
    messaging = Messaging(notifier_settings, service="sender", tracer_provider=tracing)
    await messaging.start()
    try:
        yield messaging
    finally:
        await messaging.stop()


@pytest.fixture
async def run(notifier_settings: NotifierSettings, tracing: TracerProvider) -> AsyncIterator[RunNotifier]:
    """Runs notifiers, and stops them at the test's end."""
    running = RunNotifier(notifier_settings, tracing)
    try:
        yield running
    finally:
        await running.stop_all()
