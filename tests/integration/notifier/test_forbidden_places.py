"""A whole notifier with its default settings, told to call where it shouldn't: nobody hears from it."""

import asyncio
import socket

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from flickrhub_common.broker import Messaging
from flickrhub_common.mongo import Database
from flickrhub_common.topology import CALLBACK_DLQ
from flickrhub_notifier.settings import NotifierSettings
from tests.integration.notifier.running import RunNotifier, an_ended_job
from tests.support.hostile_urls import NAMES_LEADING_INSIDE, batched, hostile_urls
from tests.support.planted import planted
from tests.support.rabbit_admin import RabbitAdmin
from tests.support.stub_dns import StubDns
from tests.support.waiting import eventually


async def test_no_hostile_url_reaches_loopback_and_each_is_given_up_at_once_without_naming_an_address(
    run: RunNotifier,
    notifier_settings: NotifierSettings,
    sender: Messaging,
    database: Database,
    rabbit_admin: RabbitAdmin,
    spans: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    dns = StubDns(real=socket.getaddrinfo)
    dns.answers.update(NAMES_LEADING_INSIDE)
    monkeypatch.setattr("socket.getaddrinfo", dns)
    default: str = NotifierSettings.model_fields["callback_allow_cidrs"].default
    await run(callback_allow_cidrs=default)
    async with planted() as trap:
        events = [an_ended_job(notifier_settings, url) for url in hostile_urls(trap.port)]
        for some in batched(events):
            await asyncio.gather(*(sender.send_event(event) for event in some))

        async def all_buried() -> bool:
            return await rabbit_admin.depth(CALLBACK_DLQ) == len(events)

        await eventually(all_buried, within=30, what="the dead letter of every delivery")
        assert trap.connections == 0
    documents = await database["deliveries"].find({}).to_list(None)
    reasons = {document["reason"] for document in documents}
    assert reasons == {"refused_address", "invalid_url"}
    assert {len(document["attempts"]) for document in documents} == {1}
    told = [*(span.to_json() for span in spans.get_finished_spans()), *capfd.readouterr()]
    told += [str(document["attempts"]) for document in documents]
    told += [str(letter) for letter in await rabbit_admin.peek(CALLBACK_DLQ)]
    for address in ("10.96.0.1", "168.63.129.16", "93.184.216.34"):
        assert not any(address in text for text in told), address
