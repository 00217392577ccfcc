"""The load generator against a gateway that answers as slowly as it is told."""

import asyncio
import time

import pytest

from tests.bench.speed.load import Load, Target, schedule
from tests.bench.speed.wire import Arrivals, first_message
from tests.support.listening import listening

SLOW_SECONDS = 0.02


def a_reply(number: int, status: str = "202 Accepted") -> bytes:
    body = b'{"request_id":"r","data":{"job_id":"job-%d"},"error":null}' % number
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


class Gateway:
    """Answers every request after a while."""

    def __init__(self, status: str = "202 Accepted") -> None:
        self.requests: list[bytes] = []
        self._status = status

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        buffer = b""
        try:
            while data := await reader.read(65536):
                message = first_message(buffer := buffer + data)
                if message is not None:
                    self.requests.append(message[1])
                    buffer = message[2]
                    await asyncio.sleep(SLOW_SECONDS)
                    writer.write(a_reply(len(self.requests), self._status))
        finally:
            writer.transport.abort()


def a_load(port: int, arrivals: Arrivals) -> Load:
    return Load(Target(f"http://127.0.0.1:{port}", "user-1"), arrivals, connections=1)


def test_jobs_are_due_evenly() -> None:
    assert list(schedule(10.0, rate=4.0, count=4)) == [10.0, 10.25, 10.5, 10.75]


async def test_a_job_that_waits_for_a_slow_one_counts_from_when_it_was_due() -> None:
    arrivals, count = Arrivals(), 10
    async with listening(Gateway().serve) as port:
        load = a_load(port, arrivals)
        await load.offered(count, rate=1000.0)
    for number in range(1, count + 1):
        arrivals.note(b"job-%d" % number, time.perf_counter())
    await arrivals.all_here(within=1)
    timed = sorted(load.timed(), key=lambda job: job.due)
    assert timed[-1].due - timed[0].due == pytest.approx((count - 1) / 1000, abs=0.002)
    waited = timed[-1].accepted - timed[-1].due
    assert waited > count * SLOW_SECONDS - count / 1000  # it was sent after nine others had been answered


async def test_a_closed_loop_counts_from_when_a_job_was_sent() -> None:
    arrivals, gateway = Arrivals(), Gateway()
    async with listening(gateway.serve) as port:
        load = a_load(port, arrivals)
        await load.closed(4)
    for number in range(1, 5):
        arrivals.note(b"job-%d" % number, time.perf_counter())
    assert [job.accepted - job.due for job in load.timed()] == pytest.approx([SLOW_SECONDS] * 4, abs=0.015)
    assert all(b'"callback_url":"http://127.0.0.1:' in request for request in gateway.requests)


async def test_anything_but_a_202_ends_the_phase() -> None:
    async with listening(Gateway("503 Service Unavailable").serve) as port:
        with pytest.raises(AssertionError, match="no 202 but 503"):
            await a_load(port, Arrivals()).closed(3)


async def test_a_callback_that_comes_again_is_counted_apart() -> None:
    arrivals = Arrivals()
    arrivals.expect(2)
    arrivals.note(b"a", 1.0)
    arrivals.note(b"a", 2.0)
    arrivals.note(b"b", 3.0)
    await arrivals.all_here(within=1)
    assert (arrivals.at, arrivals.again) == ({b"a": 1.0, b"b": 3.0}, 1)


async def test_callbacks_that_stay_away_are_counted() -> None:
    arrivals = Arrivals()
    arrivals.expect(2)
    arrivals.note(b"a", 1.0)
    with pytest.raises(AssertionError, match="1 of 2 callbacks"):
        await arrivals.all_here(within=0.01)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"POST / HTTP/1.1\r\ncontent-length: 3\r\n", None),
        (b"POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nab", None),
        (b"POST / HTTP/1.1\r\nContent-Length:3\r\n\r\nabcd", (b"POST / HTTP/1.1\r\nContent-Length:3", b"abc", b"d")),
        (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", (b"GET / HTTP/1.1\r\nhost: x", b"", b"")),
    ],
)
def test_a_message_is_taken_when_it_is_whole(data: bytes, expected: tuple[bytes, ...] | None) -> None:
    assert first_message(data) == expected
