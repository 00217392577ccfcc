"""Where secrets must not be: in the stores, in logs, in traces, in errors."""

import asyncio
import base64
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Iterable

import bson
import httpx2
import pytest
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor
from opentelemetry.instrumentation.pymongo import PymongoInstrumentor
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import SecretStr

from flickrhub_auth.settings import AuthSettings
from flickrhub_common.mongo import make_mongo
from flickrhub_common.redis import make_redis
from flickrhub_common.telemetry import instrument_clients
from tests.integration.auth.parts import (
    INTERNAL_TOKEN,
    Auth,
    Reply,
    answers,
    free_port,
    process,
    running_auth,
    start,
    verifier,
)
from tests.support.plain_http import NOBODY
from tests.support.simulator import FlickrApp, Simulator


def absent(secrets: Iterable[str], text: str) -> None:
    """Fail if one of these is in the text, naming which (they are worth nothing)."""
    assert not [secret for secret in secrets if secret in text]


def token_secrets(lent: Reply) -> list[str]:
    return [lent.data["api_secret"], lent.data["oauth_token"], lent.data["oauth_token_secret"]]


async def everything_in_redis(settings: AuthSettings) -> str:
    client = make_redis(settings, max_connections=2)
    try:
        found = [(key, await client.hgetall(key)) for key in await client.keys("*")]
    finally:
        await client.aclose()
    assert found
    return str(found)


async def test_what_lies_in_redis_between_start_and_complete_holds_no_secret(
    auth: Auth, app: FlickrApp, settings: AuthSettings
) -> None:
    started = await start(auth, app)
    text = await everything_in_redis(settings)
    assert app.api_key in text
    absent([app.api_secret, started.data["oauth_token"], started.data["state"]], text)


async def test_what_lies_in_mongo_holds_no_secret_and_tells_the_operator_whose_it_is(
    auth: Auth, app: FlickrApp, settings: AuthSettings
) -> None:
    started = await start(auth, app)
    code = await verifier(started)
    user_id = (await auth.complete(started.data["oauth_token"], code)).data["user_id"]
    lent = await auth.lend(user_id)
    async with make_mongo(settings, service="test") as mongo:
        (document,) = await mongo[settings.mongo_db]["tokens"].find().to_list()
        indexes = await mongo[settings.mongo_db]["tokens"].index_information()
    absent(token_secrets(lent), bson.encode(document).decode("latin-1"))
    assert document["_id"] == user_id
    assert document["username"] == "ada.harbour"
    assert (document["api_key"], document["user_nsid"]) == (app.api_key, lent.data["nsid"])
    assert set(document["sealed"]) == {"api_secret", "oauth_token", "oauth_token_secret"}
    assert indexes["account"]["unique"]


async def test_a_sealed_value_does_not_open_in_another_document_or_field(
    auth: Auth, app: FlickrApp, settings: AuthSettings
) -> None:
    user_ids = []
    for account in ("ada.harbour", "lamplighter"):
        started = await start(auth, app)
        code = await verifier(started, account=account)
        user_ids.append((await auth.complete(started.data["oauth_token"], code)).data["user_id"])
    first, second = user_ids
    async with make_mongo(settings, service="test") as mongo:
        tokens = mongo[settings.mongo_db]["tokens"]
        stolen = await tokens.find_one({"_id": first})
        assert stolen
        await tokens.update_one({"_id": second}, {"$set": {"sealed": stolen["sealed"]}})
        swapped = {**stolen["sealed"], "oauth_token": stolen["sealed"]["api_secret"]}
        await tokens.update_one({"_id": first}, {"$set": {"sealed": swapped}})
    for user_id in user_ids:
        reply = await auth.lend(user_id)
        assert reply.failure == (503, "ERR_UNAVAILABLE")
        absent([app.api_secret], str(reply.body))


async def test_after_a_change_of_keys_old_tokens_open_and_without_the_old_key_they_dont(
    settings: AuthSettings, app: FlickrApp
) -> None:
    old = settings.encryption_keys.get_secret_value()
    new = "k2:" + base64.b64encode(os.urandom(32)).decode()
    async with running_auth(settings) as auth:
        started = await start(auth, app)
        code = await verifier(started)
        user_id = (await auth.complete(started.data["oauth_token"], code)).data["user_id"]
    async with running_auth(settings.model_copy(update={"encryption_keys": SecretStr(f"{new},{old}")})) as auth:
        assert (await auth.lend(user_id)).data["api_secret"] == app.api_secret
    async with running_auth(settings.model_copy(update={"encryption_keys": SecretStr(new)})) as auth:
        assert (await auth.lend(user_id)).failure == (503, "ERR_UNAVAILABLE")
        assert (await auth.find(user_id)).status == 200


@pytest.fixture
async def spans(settings: AuthSettings) -> AsyncIterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrument_clients(provider)
    yield exporter
    for instrumentor in (HTTPX2ClientInstrumentor(), RedisInstrumentor(), PymongoInstrumentor()):
        instrumentor.uninstrument()


async def test_the_spans_of_a_walk_hold_no_secret(spans: InMemorySpanExporter, auth: Auth, app: FlickrApp) -> None:
    started = await start(auth, app)
    code = await verifier(started)
    spans.clear()  # those of the user's browser, whose URLs do hold the request token
    user_id = (await auth.complete(started.data["oauth_token"], code)).data["user_id"]
    lent = await auth.lend(user_id)
    finished = spans.get_finished_spans()
    assert {"POST", "EVALSHA", "insert"} <= {span.name.rpartition(".")[2] for span in finished}
    text = "".join(span.to_json() for span in finished)
    absent([*token_secrets(lent), started.data["oauth_token"], code, INTERNAL_TOKEN], text)


def environment(settings: AuthSettings, port: int) -> dict[str, str]:
    return {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "METRICS_PORT": "0",
        "LOG_LEVEL": "DEBUG",
        "RABBIT_URL": settings.rabbit_url.get_secret_value(),
        "MONGO_URL": settings.mongo_url.get_secret_value(),
        "MONGO_DB": settings.mongo_db,
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "INTERNAL_API_TOKEN": INTERNAL_TOKEN,
        "ENCRYPTION_KEYS": settings.encryption_keys.get_secret_value(),
        "MOCK_FLICKR": "true",
        "FLICKR_SIM_URL": settings.flickr_sim_url,
    }


async def test_the_process_logs_no_secret_even_at_debug_and_stops_when_told(
    settings: AuthSettings, app: FlickrApp, sim: Simulator
) -> None:
    port = free_port()
    async with process("flickrhub_auth", environment(settings, port)) as running:
        await answers(f"http://127.0.0.1:{port}/health/ready")
        async with httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{port}",
            headers={"Authorization": f"Bearer {INTERNAL_TOKEN}"},
            verify=NOBODY,
            trust_env=False,
        ) as http:
            auth = Auth(http)
            assert (await auth.start(app.api_key, "0" * 16)).status == 400
            started = await start(auth, app)
            code = await verifier(started)
            assert (await auth.complete(started.data["oauth_token"], "000-000-001")).status == 400
            await sim.order({"kind": "oauth", "method": "access_token"}, status=503)
            assert (await auth.complete(started.data["oauth_token"], code)).status == 502
            user_id = (await auth.complete(started.data["oauth_token"], code)).data["user_id"]
            lent = await auth.lend(user_id)
        running.send_signal(signal.SIGTERM)
        output = (await asyncio.wait_for(running.communicate(), 15))[0].decode()
    assert running.returncode == 0
    given = re.findall(r"[A-Za-z0-9+/]{43}=", environment(settings, port)["ENCRYPTION_KEYS"])
    absent([*token_secrets(lent), started.data["oauth_token"], started.data["state"], code, *given], output)
    absent([INTERNAL_TOKEN, "0" * 16, "000-000-001"], output)
    lines = [json.loads(line) for line in output.splitlines()]
    events = {line["event"] for line in lines}
    assert {"authorisation_started", "account_connected", "request_failed"} <= events
    connected = next(line for line in lines if line["event"] == "account_connected")
    assert (connected["user_id"], connected["service"]) == (user_id, "auth")
    assert connected["request_id"]


async def test_a_bad_setting_stops_the_process_at_start_with_one_line(settings: AuthSettings) -> None:
    env = environment(settings, free_port()) | {"FLICKR_PERMS": "everything"}
    async with process("flickrhub_auth", env) as running:
        output = (await asyncio.wait_for(running.communicate(), 15))[0].decode()
    assert running.returncode == 1
    assert re.fullmatch(r"FLICKR_PERMS: .*\n", output)
