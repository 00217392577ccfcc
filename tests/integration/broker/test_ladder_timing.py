"""The delay ladder keeps its times: never early, and late by no more than its bound.

The clock starts before the message is handed over and stops in the handler, so the lateness measured here includes
publishing and consuming.
"""

import asyncio
import statistics
import time

import pytest

from flickrhub_common.contracts import CallbackDue
from flickrhub_common.topology import DELAY_UNIT_SECONDS, NOTIFIER_CALLBACKS_DUE, delay_units
from tests.integration.broker.parts import MakeMessaging
from tests.support.waiting import eventually

pytestmark = pytest.mark.alone

DELAYS = (0.25, 0.5, 0.6, 0.75, 1.0, 1.75, 2.5, 4.0, 5.3, 8.0)
OF_EACH = 8
P95_LATE_SECONDS = 0.250


async def test_nothing_is_early_and_p95_is_at_most_250_ms_late(make: MakeMessaging) -> None:
    arrived: dict[str, float] = {}

    async def handle(due: CallbackDue) -> None:
        arrived[due.job_id] = time.monotonic()

    messaging = make("ladder")
    messaging.subscribe(NOTIFIER_CALLBACKS_DUE, (CallbackDue,), handle, concurrency=32)
    await messaging.start()
    sent: dict[str, tuple[float, float]] = {}

    async def send(delay: float, number: int) -> None:
        await asyncio.sleep(number * 0.11)  # so that messages of many ages are in the ladder together
        name = f"{delay}#{number}"
        sent[name] = (time.monotonic(), delay)
        await messaging.send_later(CallbackDue(job_id=name, attempt=1), queue=NOTIFIER_CALLBACKS_DUE, seconds=delay)

    await asyncio.gather(*(send(delay, number) for delay in DELAYS for number in range(OF_EACH)))
    await eventually(lambda: len(arrived) == len(sent), within=20, what="all messages")

    waited = {name: arrived[name] - at for name, (at, _) in sent.items()}
    early = {name: seconds for name, seconds in waited.items() if seconds < sent[name][1]}
    assert early == {}
    late = sorted(waited[name] - delay_units(delay) * DELAY_UNIT_SECONDS for name, (_, delay) in sent.items())
    p95 = statistics.quantiles(late, n=20)[-1]
    assert p95 <= P95_LATE_SECONDS, f"median {statistics.median(late):.3f} s, p95 {p95:.3f} s, worst {late[-1]:.3f} s"


async def test_a_long_wait_holds_up_no_short_one(make: MakeMessaging) -> None:
    order: list[str] = []

    async def handle(due: CallbackDue) -> None:
        order.append(due.job_id)

    messaging = make("ladder")
    messaging.subscribe(NOTIFIER_CALLBACKS_DUE, (CallbackDue,), handle, concurrency=1)
    await messaging.start()
    for delay in (3.75, 2.0, 1.0, 0.25):
        await messaging.send_later(
            CallbackDue(job_id=str(delay), attempt=1), queue=NOTIFIER_CALLBACKS_DUE, seconds=delay
        )
    await eventually(lambda: len(order) == 4, what="all messages")
    assert order == ["0.25", "1.0", "2.0", "3.75"]
