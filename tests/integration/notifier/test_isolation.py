"""One user's hanging receiver and another user's callbacks: who waits, who doesn't, and what comes when it is well."""

import asyncio
from collections import Counter

import h11
import pytest

from flickrhub_common.broker import Messaging
from flickrhub_common.mongo import Database
from flickrhub_common.topology import CALLBACK_DLQ
from flickrhub_notifier.settings import NotifierSettings
from tests.integration.notifier.running import RunNotifier, an_ended_job
from tests.support.callback_receiver import CallbackReceiver
from tests.support.listening import listening
from tests.support.rabbit_admin import RabbitAdmin
from tests.support.waiting import eventually

SLOTS = 3
QUEUED = 200


class Turncoat:
    """A receiver that hangs until it is `well`; counts what is under way at once, and what it took from whom."""

    def __init__(self) -> None:
        self.well = asyncio.Event()
        self.came = 0
        self.under_way = 0
        self.most = 0
        self.taken: Counter[str] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, one request at a time."""
        try:
            while (job_id := await self._request(reader)) is not None:
                self.came += 1
                self.under_way += 1
                self.most = max(self.most, self.under_way)
                try:
                    if not self.well.is_set():
                        await reader.read()  # until it is hung up on
                        break
                    await asyncio.sleep(0.02)
                finally:
                    self.under_way -= 1
                self.taken[job_id] += 1
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        finally:
            writer.transport.abort()

    async def _request(self, reader: asyncio.StreamReader) -> str | None:
        connection, found = h11.Connection(h11.SERVER), ""
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(65536))
            elif isinstance(event, h11.Request):
                found = dict(event.headers)[b"webhook-id"].decode()
            elif isinstance(event, h11.ConnectionClosed):
                return None
        return found


@pytest.mark.few
@pytest.mark.timeout(90)
async def test_a_hanging_receiver_holds_its_slots_only_and_is_probed_singly_and_has_no_burst_when_it_is_well(
    run: RunNotifier,
    notifier_settings: NotifierSettings,
    sender: Messaging,
    receiver: CallbackReceiver,
    database: Database,
    rabbit_admin: RabbitAdmin,
) -> None:
    settings = {
        "callback_concurrency": 16,
        "callback_retry_attempts": 20,
        "callback_endpoint_concurrency": SLOTS,
        "callback_timeout_seconds": 1.0,
        "callback_breaker_failures": 4,
        "callback_breaker_seconds": 0.2,
        "callback_breaker_longest_seconds": 0.8,
    }
    await run(**settings)
    await run(**settings)
    bad = Turncoat()
    async with listening(bad.serve) as port:
        url = f"http://127.0.0.1:{port}/in"
        hanging = [an_ended_job(notifier_settings, url) for _ in range(QUEUED)]
        others = [
            an_ended_job(notifier_settings, receiver.url("/in")).model_copy(update={"user_id": "another"})
            for _ in range(10)
        ]
        for begin in range(0, QUEUED, 20):
            await asyncio.gather(*(sender.send_event(event) for event in hanging[begin : begin + 20]))

        async def all_wait() -> bool:
            return await database["deliveries"].count_documents({"user_id": {"$ne": "another"}}) == QUEUED

        await eventually(all_wait, within=20, what="all of them stored")
        await eventually(lambda: bad.came >= 4 and bad.under_way == 0, what="an open breaker")
        assert bad.most <= SLOTS
        before, bad.most = bad.came, 0
        await eventually(lambda: bad.came >= before + 2, within=15, what="two probes")
        assert bad.most == 1

        for count, event in enumerate(others, start=1):
            await sender.send_event(event)
            await receiver.received(count, "/in", within=5)

        bad.most = 0
        bad.well.set()
        await eventually(lambda: len(bad.taken) == QUEUED, within=30, what="all who waited")
        assert 0 < bad.most <= SLOTS
        assert set(bad.taken.values()) == {1}
        assert await rabbit_admin.depth(CALLBACK_DLQ) == 0

        async def all_recorded() -> bool:
            return await database["deliveries"].count_documents({"state": "delivered"}) == QUEUED + len(others)

        await eventually(all_recorded, within=10, what="their deliveries")
        attempts = [len(document["attempts"]) async for document in database["deliveries"].find()]
        assert sum(attempts) == bad.came + len(others), "waiting was no attempt"
