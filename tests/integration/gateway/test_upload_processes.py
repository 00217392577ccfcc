"""Uploads and the process that receives them: its memory, its death, its stop."""

import asyncio
import hashlib
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from flickrhub_gateway.settings import GatewaySettings
from tests.integration.gateway.parts import USER, Store, half_sent, running_gateway
from tests.integration.gateway.processes import Running, running
from tests.support.photographs import jpeg
from tests.support.waiting import eventually

MIB = 1024 * 1024
LARGE = 200 * MIB
MOST_GROWTH = 32 * MIB
FORM = {"content-type": "multipart/form-data; boundary=frontier"}

pytestmark = pytest.mark.few


@pytest.fixture
async def process(settings: GatewaySettings, unused_port: int) -> AsyncIterator[Running]:
    """A gateway as a process."""
    async with running(settings, unused_port, UPLOAD_SWEEP_SECONDS="3600", SHUTDOWN_GRACE_SECONDS="2") as started:
        yield started


def _large_photo() -> list[bytes]:
    """A JPEG of 200 MiB in pieces, most of them comments, each the same."""
    middle = (b"\xff\xfe\xff\xff" + b"x" * 65_533) * 8
    count = (LARGE - MIB) // len(middle)
    rest = jpeg(LARGE - count * len(middle)).data
    return [rest[:2], *[middle] * count, rest[2:]]


async def _most_memory(process: Running, during: asyncio.Task[None]) -> int:
    most = 0
    while not during.done():
        most = max(most, process.resident())
        await asyncio.wait({during}, timeout=0.01)
    return most


async def test_a_photo_of_200_mib_costs_less_than_32_mib_of_memory(process: Running) -> None:
    head = (
        f'--frontier\r\nContent-Disposition: form-data; name="user_id"\r\n\r\n{USER}\r\n'
        '--frontier\r\nContent-Disposition: form-data; name="photo"; filename="large.jpg"\r\n\r\n'
    )
    photo = _large_photo()
    parts = [head.encode(), *photo, b"\r\n--frontier--\r\n"]

    async def body() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    async def send() -> None:
        reply = await process.http.post("/api/v1/uploads", content=body(), headers=FORM)
        data = reply.json()["data"]
        assert (reply.status_code, data["bytes"]) == (201, LARGE)
        assert data["sha256"] == hashlib.sha256(b"".join(photo)).hexdigest()

    await process.http.post("/api/v1/uploads", params={"user_id": USER}, content=jpeg(3 * MIB).data)
    before = process.resident()
    sending = asyncio.create_task(send())
    most = await _most_memory(process, sending)
    await sending
    assert most - before < MOST_GROWTH


async def test_what_a_killed_gateway_was_receiving_is_swept(
    process: Running, settings: GatewaySettings, store: Store
) -> None:
    async with half_sent(process.port, jpeg(8 * MIB)):
        await eventually(lambda: store.has_chunks(2), what="chunks of the half")
        process.process.kill()
        await process.process.wait()
    assert await store.uploads.count_documents({"state": "receiving"}) == 1
    await store.uploads.update_many({}, {"$set": {"expires_at": datetime.now(UTC)}})
    async with running_gateway(settings.model_copy(update={"upload_sweep_seconds": 0.1})):
        await eventually(store.has_no_photos, what="nothing left")


async def test_a_stop_ends_an_upload_that_goes_on_for_too_long(process: Running, store: Store) -> None:
    async with half_sent(process.port, jpeg(8 * MIB)) as reader:
        await eventually(lambda: store.has_chunks(2), what="chunks of the half")
        process.process.send_signal(signal.SIGTERM)
        answer = await asyncio.wait_for(reader.read(), 10)
        output, _ = await asyncio.wait_for(process.process.communicate(), 10)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"code":"ERR_UNAVAILABLE"' in answer
    assert process.process.returncode == 0, output.decode()
    assert b"Traceback" not in output, output.decode()
    assert await store.has_no_photos()
