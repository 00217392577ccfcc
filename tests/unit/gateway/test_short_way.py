"""The short way to the handlers of every job answers as the framework's own way would."""

import asyncio
import uuid
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from flickrhub_common import problems
from flickrhub_gateway.handlers.direct import Direct
from tests.unit.gateway.fakes import USER, FakeJobs, Surroundings

REST, STATUS = "/api/v1/flickr/rest", "/api/v1/flickr/jobs/status"
ECHO = {"method": "flickr.test.echo", "user_id": USER}
REQUEST_ID = "11111111-2222-4333-8444-555555555555"
CASES: dict[str, tuple[str, str, Any]] = {
    "accepted": ("POST", REST, {"json": ECHO}),
    "unknown user": ("POST", REST, {"json": {**ECHO, "user_id": REQUEST_ID}}),
    "wrong fields": ("POST", REST, {"json": {"target": "nowhere", "more": 1}}),
    "no JSON": ("POST", REST, {"content": b"{", "headers": {"content-type": "application/json"}}),
    "other media type": ("POST", REST, {"content": b"a=1"}),
    "too large": ("POST", REST, {"json": {**ECHO, "meta": {"a": "x" * 2**20}}}),
    "no job": ("POST", STATUS, {"json": {"job_id": REQUEST_ID, "user_id": USER}}),
    "other method": ("GET", REST, {}),
    "head": ("HEAD", STATUS, {}),
    "slash": ("POST", REST + "/", {"json": ECHO}),
}


def app_of(around: Surroundings, *, short: bool, provider: TracerProvider | None = None) -> FastAPI:
    app = around.app(provider)
    if not short:
        app.user_middleware = [
            one for one in app.user_middleware if getattr(one.cls, "__name__", "") != Direct.__name__
        ]
    return app


async def asked(app: FastAPI, method: str, path: str, given: dict[str, Any]) -> httpx2.Response:
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://hub") as http:
        headers = {"X-Request-ID": REQUEST_ID, **given.get("headers", {})}
        return await http.request(method, path, **{**given, "headers": headers})


def shown(reply: httpx2.Response) -> tuple[int, dict[str, str], Any]:
    body = reply.json() if reply.content else None
    if body and body.get("data"):
        body["data"]["job_id"] = "another each time"
    return reply.status_code, dict(reply.headers), body


@pytest.mark.parametrize("case", CASES)
async def test_both_ways_give_the_same_reply(case: str) -> None:
    short, long = [await asked(app_of(Surroundings(), short=short), *CASES[case]) for short in (True, False)]
    assert shown(short) == shown(long)


@pytest.mark.parametrize("away", [True, False], ids=["away", "crashed"])
async def test_what_goes_wrong_behind_it_is_said_in_the_same_way(away: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def crash(*_: object) -> None:
        raise ZeroDivisionError

    around = Surroundings(jobs=FakeJobs(away=away))
    if not away:
        monkeypatch.setattr(around.jobs, "add", crash)
    short, long = [await asked(app_of(around, short=short), "POST", REST, {"json": ECHO}) for short in (True, False)]
    assert shown(short) == shown(long)
    assert short.status_code == (503 if away else 500)


async def test_it_is_the_way_that_is_gone() -> None:
    app = Surroundings().app()
    app.router.routes.clear()
    assert (await asked(app, "POST", REST, {"json": ECHO})).status_code == 202


async def test_both_ways_leave_the_same_span() -> None:
    def spans(*, short: bool) -> list[tuple[str, dict[str, Any]]]:
        exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        asyncio.run(asked(app_of(Surroundings(), short=short, provider=provider), *CASES["accepted"]))
        return [(span.name, dict(span.attributes or {})) for span in exporter.get_finished_spans()]

    short, long = [await asyncio.to_thread(spans, short=short) for short in (True, False)]
    assert short == long
    assert [(name, attributes["http.route"]) for name, attributes in short] == [(f"POST {REST}", REST)]


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = ("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01")
CARRIED: dict[str, tuple[list[tuple[str, str]], bool, str | None]] = {
    "a trace": ([PARENT], True, None),
    "none": ([], False, None),
    "no trace at all": ([("traceparent", "00-zz-1-01")], False, None),
    "state in two lines": ([PARENT, ("tracestate", "a=1"), ("tracestate", "b=2")], True, "a=1,b=2"),
    "two parents": ([PARENT, ("traceparent", f"00-{'1' * 32}-{'2' * 16}-01")], True, None),
}


@pytest.mark.parametrize("case", CARRIED)
@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "not recorded"])
async def test_a_job_has_its_requests_trace_recorded_or_not(case: str, recorded: bool) -> None:
    headers, theirs, state = CARRIED[case]
    around = Surroundings()
    provider = TracerProvider() if recorded else TracerProvider(sampler=ALWAYS_OFF)
    transport = httpx2.ASGITransport(around.app(provider))
    async with httpx2.AsyncClient(transport=transport, base_url="http://hub") as http:
        for _ in range(2):
            await http.post(REST, json=ECHO, headers=headers)
    first, second = around.publisher.handed
    assert (first.trace_id == second.trace_id == str(uuid.UUID(TRACE))) is theirs
    assert (first.trace_id == second.trace_id) is theirs
    assert first.trace_headers["traceparent"].split("-")[1] == first.trace_id.replace("-", "")
    assert first.trace_headers.get("tracestate") == state
    assert not trace.get_current_span().get_span_context().is_valid


async def test_a_crash_is_logged_with_its_trace_recorded_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    async def crash(*_: object) -> None:
        raise ZeroDivisionError

    def note(*_: object, **__: object) -> None:
        seen.append(trace.format_trace_id(trace.get_current_span().get_span_context().trace_id))

    monkeypatch.setattr(problems, "log", SimpleNamespace(error=note))
    for provider in (TracerProvider(), TracerProvider(sampler=ALWAYS_OFF)):
        around = Surroundings()
        monkeypatch.setattr(around.jobs, "add", crash)
        given = {"json": ECHO, "headers": dict([PARENT])}
        reply = await asyncio.create_task(asked(around.app(provider), "POST", REST, given))
        assert reply.status_code == 500
    assert seen == [TRACE, TRACE]
