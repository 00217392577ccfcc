"""From the request to the document, to the message, to the mark."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from flickrhub_common.broker import Messaging
from flickrhub_common.contracts import JobRequested
from flickrhub_gateway.adapters.jobs import MongoJobs
from flickrhub_gateway.settings import GatewaySettings
from tests.integration.gateway.parts import REST_QUEUE, STRANGER, USER, Gateway, Store, StubAuth, running_gateway
from tests.support.rabbit_admin import RabbitAdmin
from tests.support.samples import a_replacement, a_revocation
from tests.support.waiting import eventually

SECRET = "callback-secret-in-clear"


async def test_a_job_is_a_document_then_a_message_then_a_mark(
    gateway: Gateway, store: Store, rabbit_admin: RabbitAdmin, settings: GatewaySettings
) -> None:
    params, meta = {"text": "sön 🌅", "$a.b": [1, True]}, {"$where": {"a.b": None}}
    job_id = await gateway.echo(
        params=params, meta=meta, callback_url="http://127.0.0.1:9/hook", callback_secret=SECRET
    )
    await eventually(lambda: store.published(job_id), what="the mark")
    [letter] = await rabbit_admin.take(REST_QUEUE)
    message = JobRequested.model_validate_json(letter.body)
    document = await store.job(job_id)
    assert (letter.type, letter.correlation_id, letter.delivery_mode) == ("job.requested", job_id, 2)
    assert (message.job_id, message.user_id, message.params, message.meta) == (job_id, USER, params, meta)
    assert (json.loads(document["params"]), json.loads(document["meta"])) == (params, meta)
    assert (document["state"], document["attempts"], document["trace_id"]) == ("queued", 0, message.trace_id)
    assert message.callback is not None
    assert document["callback"] == message.callback.model_dump()
    assert SECRET not in repr(document) + letter.body.decode()
    sealed = message.callback.sealed_secret
    assert sealed is not None
    assert settings.key_ring().open(sealed, purpose="callback_secret", owner=job_id) == SECRET


async def test_every_target_has_its_queue(gateway: Gateway, rabbit_admin: RabbitAdmin) -> None:
    photo = {"photo_url": "https://photos.example.com/harbour.jpg"}
    for target, params in (("rest", {}), ("upload", photo), ("replace", {**photo, "photo_id": 1})):
        job_id = await gateway.echo(target=target, params=params)
        queue = f"flickr_{target}"
        await eventually(lambda queue=queue: rabbit_admin.depth(queue), what=f"a message in {queue}")  # type: ignore[misc]
        assert (await rabbit_admin.take(queue))[0].correlation_id == job_id
        assert (await gateway.status(job_id, USER)).json()["data"]["queue"] == queue


async def test_without_a_broker_the_document_is_there_all_the_same(
    settings: GatewaySettings, store: Store, rabbit_admin: RabbitAdmin
) -> None:
    nowhere = settings.model_copy(update={"rabbit_url": type(settings.rabbit_url)("amqp://guest:guest@127.0.0.1:1/")})
    async with running_gateway(nowhere) as gateway:
        job_id = await gateway.echo()
        assert (await store.job(job_id))["published_at"] is None
        assert await gateway.state(job_id) == "queued"
    # Another gateway, started when the broker is there, finds it.
    async with running_gateway(settings):
        await eventually(lambda: store.published(job_id), what="the sweep")
        assert [letter.correlation_id for letter in await rabbit_admin.take(REST_QUEUE)] == [job_id]


async def test_what_was_accepted_just_before_the_stop_is_published_before_the_end(
    settings: GatewaySettings, store: Store, rabbit_admin: RabbitAdmin
) -> None:
    async with running_gateway(settings.model_copy(update={"shutdown_grace_seconds": 20})) as gateway:
        job_ids = await asyncio.gather(*(gateway.echo() for _ in range(50)))
    assert await store.published(*job_ids)
    assert {letter.correlation_id for letter in await rabbit_admin.take(REST_QUEUE)} == set(job_ids)


async def test_a_job_runs_in_the_trace_of_its_request(settings: GatewaySettings, rabbit_admin: RabbitAdmin) -> None:
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    async with running_gateway(settings, provider) as gateway:
        headers = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
        body = {"method": "flickr.test.echo", "user_id": USER}
        await gateway.post("/api/v1/flickr/rest", body, headers=headers)
        [letter] = await eventually(lambda: rabbit_admin.take(REST_QUEUE), what="the message")
    by_id = {span.context.span_id: span for span in spans.get_finished_spans() if span.context}
    span = next(span for span in by_id.values() if span.name.endswith("publish"))
    names = [span.name]
    while span.parent is not None and span.parent.span_id in by_id:
        span = by_id[span.parent.span_id]
        names.append(span.name)
    assert names[-1] == "POST /api/v1/flickr/rest", names
    assert {span.context.trace_id for span in by_id.values() if span.context} == {0x4BF92F3577B34DA6A3CE929D0E0E4736}
    assert json.loads(letter.body)["trace_id"] == "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"
    assert letter.headers["traceparent"].split("-")[1] == "4bf92f3577b34da6a3ce929d0e0e4736"


async def test_a_revoked_user_is_asked_about_again_at_once(gateway: Gateway, auth: StubAuth, others: Messaging) -> None:
    for _ in range(3):
        await gateway.echo()
    assert auth.asked == [USER]
    auth.users.clear()
    await others.send_event(a_revocation(USER))

    async def refused() -> bool:
        return (await gateway.enqueue(method="flickr.test.echo", user_id=USER)).status_code == 404

    await eventually(refused, within=3, what="the refusal")


async def test_an_account_connected_anew_is_asked_about_again(
    gateway: Gateway, auth: StubAuth, others: Messaging
) -> None:
    await gateway.echo()
    await others.send_event(a_replacement(USER))

    async def asked_again() -> bool:
        await gateway.echo()
        return len(auth.asked) > 1

    await eventually(asked_again, within=3, what="the second question")


async def test_a_user_that_is_connected_later_is_known_at_once(gateway: Gateway, auth: StubAuth) -> None:
    assert (await gateway.enqueue(method="flickr.test.echo", user_id=STRANGER)).status_code == 404
    auth.users.add(STRANGER)
    assert (await gateway.enqueue(method="flickr.test.echo", user_id=STRANGER)).status_code == 202


async def test_the_sweeper_finds_its_jobs_by_an_index_of_their_own(gateway: Gateway, store: Store) -> None:
    await eventually(gateway.ready, what="readiness")
    query = {"published_at": None, "state": "queued", "created_at": {"$lt": datetime.now(UTC)}}
    plan = await store.jobs.find(query).sort("created_at", 1).explain()
    assert "'indexName': 'unpublished'" in repr(plan["queryPlanner"]["winningPlan"])
    assert "'stage': 'SORT'" not in repr(plan["queryPlanner"]["winningPlan"])
    assert "partialFilterExpression" in (await store.jobs.index_information())["unpublished"]


class _Slow:
    """A collection whose update waits until it is let go."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection
        self.reached = asyncio.Event()
        self.go = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)

    async def update_many(self, *arguments: Any) -> Any:
        self.reached.set()
        await self.go.wait()
        return await self._collection.update_many(*arguments)


async def test_a_slow_sweeper_takes_nothing_from_a_quick_one(gateway: Gateway, store: Store) -> None:
    ids = [await gateway.echo() for _ in range(10)]
    await eventually(lambda: store.published(*ids), what="the marks")
    now = datetime.now(UTC) + timedelta(days=1)  # after which the running gateway's own sweeper doesn't look
    later = now + timedelta(seconds=10)
    await store.jobs.update_many({}, {"$set": {"published_at": None, "created_at": now}})
    slow, quick = (MongoJobs(store.jobs.database) for _ in range(2))
    slow._jobs = held = _Slow(slow._jobs)  # type: ignore[assignment]
    losing = asyncio.create_task(slow.claim_unpublished(created_before=later, now=later, limit=20))
    await held.reached.wait()
    claimed = await quick.claim_unpublished(created_before=later, now=later, limit=20)
    held.go.set()
    assert {job.id for job in claimed} == set(ids)
    assert await losing == []
