"""Messages about callbacks."""

from typing import ClassVar

from pydantic import Field

from flickrhub_common.contracts.base import Message


class CallbackDue(Message):
    """Sent by the notifier to itself through the delay ladder; read by the notifier when a delivery is due again."""

    name: ClassVar[str] = "callback.due"

    job_id: str
    attempt: int = Field(ge=1, description="The attempt that is due, from 1.")
    replay: int = Field(default=0, ge=0, description="How often the delivery has been replayed from the dead letters.")
