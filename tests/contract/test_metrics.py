"""Metrics: jobs of every kind go through the stack; whatever docs/metrics.md names has moved, or is there."""

import asyncio
import hashlib
import math
import secrets
from typing import Any

import httpx2
import pytest

from docs.generate import METRICS
from flickrhub_common.metrics import Kind, Metric
from tests.support.callback_receiver import CallbackReceiver, Reply
from tests.support.hub_account import ECHO, SEARCH, Account
from tests.support.metrics_pages import PROCESSES, Series, figure, page_of, series_of
from tests.support.photographs import jpeg
from tests.support.plain_http import NOBODY
from tests.support.run_env import needed
from tests.support.simulator import Simulator
from tests.support.waiting import eventually

Moves = dict[str, list[tuple[str, dict[str, str], float]]]
"""By process: name, labels, and by how much at the least."""

REST, UPLOAD, REFUSED = {"target": "rest"}, {"target": "upload"}, "flickr_refused"
MOVED: Moves = {
    "gateway": [
        ("flickrhub_jobs_accepted_total", {**REST, "class": "read"}, 5),
        ("flickrhub_jobs_accepted_total", {**REST, "class": "write"}, 1),
        ("flickrhub_jobs_accepted_total", {**UPLOAD, "class": "write"}, 1),
        ("flickrhub_messages_settled_total", {"queue": "gateway_job_events", "fate": "done"}, 7),
        ("flickrhub_queue_wait_seconds_count", {"queue": "gateway_job_events"}, 7),
    ],
    "auth": [("flickrhub_connections_total", {"event": "revoked"}, 1)],
    "executor-rest": [
        ("flickrhub_jobs_ended_total", {**REST, "class": "read", "outcome": "completed"}, 2),
        ("flickrhub_jobs_ended_total", {**REST, "class": "read", "outcome": "cached"}, 1),
        ("flickrhub_jobs_ended_total", {**REST, "class": "write", "outcome": REFUSED}, 1),
        ("flickrhub_jobs_ended_total", {**REST, "class": "read", "outcome": REFUSED}, 1),
        ("flickrhub_jobs_ended_total", {**REST, "class": "read", "outcome": "token_rejected"}, 1),
        ("flickrhub_job_seconds_count", {**REST, "state": "completed"}, 3),
        ("flickrhub_job_seconds_count", {**REST, "state": "failed"}, 3),
        ("flickrhub_job_retries_total", REST, 1),
        ("flickrhub_flickr_calls_total", {"class": "read", "outcome": "ok"}, 2),
        ("flickrhub_flickr_calls_total", {"class": "read", "outcome": "unavailable"}, 1),
        ("flickrhub_flickr_calls_total", {"class": "write", "outcome": "refused"}, 1),
        ("flickrhub_flickr_calls_total", {"class": "read", "outcome": "token_rejected"}, 1),
        ("flickrhub_flickr_call_seconds_count", {"class": "read"}, 4),
        ("flickrhub_cache_lookups_total", {"result": "hit"}, 1),
        ("flickrhub_cache_lookups_total", {"result": "miss"}, 3),
        ("flickrhub_tokens_rejected_total", {}, 1),
        ("flickrhub_turn_waits_total", {"limit": "user"}, 1),
        ("flickrhub_turn_wait_seconds_total", {"limit": "user"}, 0.1),
        ("flickrhub_messages_settled_total", {"queue": "flickr_rest", "fate": "done"}, 7),
    ],
    "executor-upload": [
        ("flickrhub_jobs_ended_total", {**UPLOAD, "class": "write", "outcome": "completed"}, 1),
        ("flickrhub_flickr_calls_total", {"class": "write", "outcome": "ok"}, 1),
    ],
    "notifier": [
        ("flickrhub_callback_attempts_total", {"outcome": "delivered"}, 1),
        ("flickrhub_callback_attempts_total", {"outcome": "http_5xx"}, 1),
        ("flickrhub_callback_attempts_total", {"outcome": "gone"}, 1),
        ("flickrhub_callback_attempt_seconds_count", {}, 3),
        ("flickrhub_callbacks_ended_total", {"outcome": "delivered"}, 1),
        ("flickrhub_callbacks_ended_total", {"outcome": "gone"}, 1),
        ("flickrhub_job_callback_seconds_count", {}, 1),
    ],
}


async def all_series() -> dict[str, Series]:
    pages = await asyncio.gather(*(page_of(process) for process in PROCESSES))
    return dict(zip(PROCESSES, map(series_of, pages), strict=True))


def still(before: dict[str, Series], now: dict[str, Series]) -> list[Any]:
    """What hasn't moved far enough."""
    return [
        (process, name, labels)
        for process, moves in MOVED.items()
        for name, labels, least in moves
        if figure(now[process], name, **labels) < figure(before[process], name, **labels) + least
    ]


async def jobs_of_every_kind(account: Account, sim: Simulator, receiver: CallbackReceiver) -> None:
    """Completed, cached, retried, refused, of no method at all, uploaded; a callback in vain, one in the end."""
    search = {"text": secrets.token_hex(8)}
    receiver.script("/late", Reply(status=500))
    receiver.script("/gone", Reply(status=410))
    await account.run(SEARCH, params=search, callback_url=receiver.url("/late"))
    await sim.fault(account.app, ECHO, status=503)
    photo = await account.hand_over(jpeg())
    await asyncio.gather(
        account.run(SEARCH, params=search, callback_url=receiver.url("/gone")),
        account.run(ECHO, params={"again": secrets.token_hex(4)}),
        account.run("flickr.photos.delete", params={"photo_id": "1"}),
        account.run(f"flickr.no.such{secrets.token_hex(8)}"),
        account.run_upload({"photo_ref": photo}),
    )
    await sim.fault(account.app, code=98, message="Invalid auth token")
    await account.run(ECHO, params={"dead": secrets.token_hex(4)})
    await receiver.received(2, "/late")


async def test_every_series_of_the_docs_moves_with_the_jobs(
    account: Account, sim: Simulator, receiver: CallbackReceiver
) -> None:
    before = await all_series()
    await jobs_of_every_kind(account, sim, receiver)

    async def moved() -> bool:
        now = await all_series()
        return not still(before, now) and spent(account, now["executor-rest"])

    try:
        await eventually(moved, within=15, every=0.5)
    except AssertionError:
        assert still(before, await all_series()) == []
        raise


def spent(account: Account, series: Series) -> bool:
    """Whether the key has less than its budget left; it is one of the first this executor has met, or of the others."""
    key = hashlib.sha256(account.app.api_key.encode()).hexdigest()[:8]
    left = [figure(series, "flickrhub_budget_left_calls", key=shown) for shown in (key, "other")]
    return any(0 < calls < figure(series, "flickrhub_budget_calls") for calls in left)


@pytest.mark.parametrize("process", PROCESSES)
async def test_every_metric_of_the_docs_is_shown(process: str) -> None:
    page = await page_of(process)
    shown = {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE")}
    assert {metric.name for metric in defined(process)} <= shown
    assert "process_resident_memory_bytes" in shown
    ours = [line for line in page.splitlines() if line.startswith("flickrhub_")]
    assert len(ours) <= sum(metric.most_series for metric in defined(process))


def defined(process: str) -> tuple[Metric, ...]:
    return (*METRICS["every service"], *METRICS[process.partition("-")[0]])


async def test_what_others_are_asked_for_is_there(account: Account) -> None:
    await account.run(ECHO)
    found = await all_series()
    for process, series in found.items():
        shown = {name for name, _ in series}
        gauges = {metric.name for metric in defined(process) if metric.kind is Kind.GAUGE}
        assert gauges - shown <= {"flickrhub_budget_left_calls"}, process
        assert figure(series, "flickrhub_dependency_up", dependency="rabbitmq") == 1, process
    gateway, executor = found["gateway"], found["executor-rest"]
    assert figure(gateway, "flickrhub_queue_consumers", queue="flickr_rest") == 1
    assert figure(gateway, "flickrhub_queue_consumed", queue="gateway_job_events") == 1
    assert figure(executor, "flickrhub_queue_consumed", queue="flickr_rest") == 1
    assert not math.isnan(figure(gateway, "flickrhub_oldest_unpublished_job_seconds"))


async def test_no_page_says_a_key_a_user_a_method_or_a_host(account: Account, receiver: CallbackReceiver) -> None:
    method = f"flickr.no.such{secrets.token_hex(8)}"
    await account.run(method, callback_url=receiver.url("/hook"))
    await receiver.received(1, "/hook")
    for page in await asyncio.gather(*(page_of(process) for process in PROCESSES)):
        for hidden in (method, account.user_id, account.app.api_key, str(receiver.port)):
            assert hidden not in page


async def test_the_public_port_has_no_metrics_and_the_metrics_port_nothing_of_the_public_but_that_it_lives() -> None:
    async with httpx2.AsyncClient(verify=NOBODY, trust_env=False) as http:
        assert (await http.get(f"{needed('GATEWAY_URL')}/metrics")).status_code == 404
        inside = f"http://127.0.0.1:{needed('GATEWAY_METRICS_PORT')}"
        assert (await http.get(f"{inside}/health/ready")).status_code == 404
        assert (await http.post(f"{inside}/metrics")).status_code == 405
        assert (await http.head(f"{inside}/metrics")).content == b""
