"""What executors report, in any order, through the real broker into the real store."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flickrhub_common.broker import Messaging
from flickrhub_common.contracts import Message
from flickrhub_common.topology import EVENTS_EXCHANGE, GATEWAY_JOB_EVENTS, dead_letters_of
from flickrhub_gateway.settings import GatewaySettings
from tests.integration.gateway.parts import USER, Gateway, Store, completed, failed, retrying, running_gateway
from tests.support.rabbit_admin import RabbitAdmin
from tests.support.waiting import eventually


async def _settled(admin: RabbitAdmin, gateway: Gateway, others: Messaging) -> None:
    """Wait until the gateway has taken every event sent so far, by one more whose effect shows."""
    last = await gateway.echo()
    await others.send_event(completed(last))
    await eventually(lambda: _is(gateway, last, "completed"), what="the last event")
    await eventually(lambda: _empty(admin), what="an empty queue")


async def _is(gateway: Gateway, job_id: str, state: str) -> bool:
    return await gateway.state(job_id) == state


async def _empty(admin: RabbitAdmin) -> bool:
    return await admin.depth(GATEWAY_JOB_EVENTS) == 0


async def test_a_completed_job_shows_flickrs_reply_untouched(gateway: Gateway, others: Messaging) -> None:
    job_id = await gateway.echo()
    flickr = '{"stat":"ok","lat":1.10,"big":123456789012345678901234567890,"s":"ü🌅"}'
    await others.send_event(completed(job_id, 2, flickr))
    await eventually(lambda: _is(gateway, job_id, "completed"), what="completion")
    reply = await gateway.status(job_id, USER)
    assert f'"flickr":{flickr},' in reply.text
    assert reply.json()["data"]["returnvalue"]["observability"]["attempt"] == 2


async def test_a_failed_job_says_why(gateway: Gateway, others: Messaging) -> None:
    job_id = await gateway.echo()
    await others.send_event(retrying(job_id))
    await eventually(lambda: _is(gateway, job_id, "retrying"), what="the retry")
    assert (await gateway.status(job_id, USER)).json()["data"]["failedReason"] is None
    await others.send_event(failed(job_id))
    await eventually(lambda: _is(gateway, job_id, "failed"), what="the failure")
    data = (await gateway.status(job_id, USER)).json()["data"]
    assert (data["failedReason"], data["stacktrace"]) == ("Photo not found.", ["FlickrFailed: Photo not found."])


async def test_whatever_the_order_a_final_state_stays(
    gateway: Gateway, others: Messaging, rabbit_admin: RabbitAdmin, store: Store
) -> None:
    orders = list(itertools.permutations([0, 1, 2]))
    job_ids = [await gateway.echo() for _ in orders]
    for job_id, order in zip(job_ids, orders, strict=True):
        events: list[Message] = [retrying(job_id, 1), retrying(job_id, 2), completed(job_id, 3)]
        for number in (*order, *order):
            await others.send_event(events[number])
    await _settled(rabbit_admin, gateway, others)
    found = [await store.job(job_id) for job_id in job_ids]
    assert {(document["state"], document["attempts"]) for document in found} == {("completed", 3)}


async def test_the_first_of_two_ends_counts(
    gateway: Gateway, others: Messaging, rabbit_admin: RabbitAdmin, store: Store
) -> None:
    job_id = await gateway.echo()
    await others.send_event(failed(job_id))
    await eventually(lambda: _is(gateway, job_id, "failed"), what="the failure")
    before = await store.job(job_id)
    await others.send_event(completed(job_id))
    await others.send_event(retrying(job_id, 9))
    await _settled(rabbit_admin, gateway, others)
    assert await store.job(job_id) == before


async def test_a_late_retry_of_an_earlier_attempt_changes_nothing(
    gateway: Gateway, others: Messaging, rabbit_admin: RabbitAdmin, store: Store
) -> None:
    job_id = await gateway.echo()
    await others.send_event(retrying(job_id, 2))
    await eventually(lambda: _is(gateway, job_id, "retrying"), what="the retry")
    await others.send_event(retrying(job_id, 1))
    await _settled(rabbit_admin, gateway, others)
    assert (await store.job(job_id))["attempts"] == 2


async def test_many_events_at_once_are_all_recorded(gateway: Gateway, others: Messaging, store: Store) -> None:
    job_ids = await asyncio.gather(*(gateway.echo() for _ in range(200)))
    await asyncio.gather(*(others.send_event(completed(job_id)) for job_id in job_ids))

    async def all_done() -> bool:
        return await store.jobs.count_documents({"state": "completed"}) == len(job_ids)

    await eventually(all_done, what="200 completed jobs")


async def test_garbage_is_dead_with_a_reason_and_the_gateway_goes_on(
    gateway: Gateway, others: Messaging, rabbit_admin: RabbitAdmin
) -> None:
    graveyard = dead_letters_of(GATEWAY_JOB_EVENTS)
    for body, kind in ((b"\xff\x00", "job.completed"), (b"{}", "job.completed"), (b"{}", "job.unheard")):
        await rabbit_admin.publish(body, exchange=EVENTS_EXCHANGE, key="job.completed", type=kind)
    job_id = await gateway.echo()
    await others.send_event(completed(job_id))
    await eventually(lambda: _is(gateway, job_id, "completed"), what="the good event")

    async def buried() -> bool:
        return await rabbit_admin.depth(graveyard) == 3

    await eventually(buried, what="three dead letters")
    assert all(letter.headers["reason"].startswith("unreadable") for letter in await rabbit_admin.peek(graveyard))


@pytest.mark.parametrize(("event", "days"), [(completed, 2.0), (failed, 5.0)], ids=["completed", "failed"])
async def test_ended_jobs_expire_by_how_they_ended(
    settings: GatewaySettings, others: Messaging, store: Store, event: Any, days: float
) -> None:
    keeping = settings.model_copy(update={"job_ttl_complete_days": 2, "job_ttl_fail_days": 5})
    async with running_gateway(keeping) as gateway:
        await eventually(gateway.ready, what="readiness")
        job_id = await gateway.echo()
        assert "expires_at" not in await store.job(job_id)
        await others.send_event(event(job_id))

        async def expiry() -> datetime | None:
            at: datetime | None = (await store.job(job_id)).get("expires_at")
            return at

        left = await eventually(expiry, what="an expiry") - datetime.now(UTC)
        assert timedelta(days=days) - timedelta(minutes=1) < left <= timedelta(days=days)
        indexes = await store.jobs.index_information()
    [ttl] = [index for index in indexes.values() if "expireAfterSeconds" in index]
    assert (ttl["key"], ttl["expireAfterSeconds"]) == ([("expires_at", 1)], 0)


async def test_by_default_nothing_expires(gateway: Gateway, others: Messaging, store: Store) -> None:
    job_id = await gateway.echo()
    await others.send_event(completed(job_id))
    await eventually(lambda: _is(gateway, job_id, "completed"), what="completion")
    assert "expires_at" not in await store.job(job_id)
