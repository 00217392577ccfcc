"""Acknowledging a message."""

import asyncio
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from flickrhub_common import consuming
from flickrhub_common.rabbit_errors import BROKER_ERRORS


class Deaf:
    """A channel whose connection's writer has ended, with its queue full: nobody takes what is to be sent."""

    async def basic_ack(self, *_: Any, **__: Any) -> None:
        await asyncio.Event().wait()


@pytest.mark.timeout(5)
async def test_an_acknowledgement_that_nobody_takes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consuming, "ACK_SECONDS", 0.01, raising=False)
    came = DeliveredMessage(
        delivery=Basic.Deliver(delivery_tag=1), header=ContentHeader(), body=b"", channel=cast(Any, Deaf())
    )
    with pytest.raises(BROKER_ERRORS):
        await consuming.Delivery(came).ack()


SENT, LEFT, EARLIER = (datetime(2026, 11, 21, 2, minute, tzinfo=UTC) for minute in (0, 30, 15))


@pytest.mark.parametrize(
    ("headers", "since"),
    [
        ({}, SENT),
        ({"x-death": [{"time": LEFT, "reason": "expired"}, {"time": EARLIER}]}, LEFT),
        ({"x-death": []}, SENT),
        ({"x-death": "nonsense"}, SENT),
        ({"x-death": [7]}, SENT),
        ({"x-death": [{"time": "yesterday"}]}, None),
        ({"x-death": [{}]}, None),
    ],
    ids=["sent", "out of the ladder", "empty", "text", "a number", "no time", "nothing"],
)
def test_since_when_a_message_has_lain_in_its_queue(headers: dict[str, Any], since: datetime | None) -> None:
    header = ContentHeader(properties=Basic.Properties(headers=headers, timestamp=SENT))
    came = DeliveredMessage(delivery=Basic.Deliver(delivery_tag=1), header=header, body=b"", channel=cast(Any, Deaf()))
    assert consuming.Delivery(came).ready_since == since
