"""Acknowledging a message."""

import asyncio
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
