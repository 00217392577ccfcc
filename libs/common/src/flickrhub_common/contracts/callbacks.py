"""Messages about callbacks."""

from typing import ClassVar

from pydantic import Field

from flickrhub_common.contracts.base import Message


class CallbackDue(Message):
    """Sent by the notifier to itself through the delay ladder; read by the notifier when a delivery is due again.

    A delivery that was given up lies in ``callback_dlq`` as one of these; the dead-letter tool sends it again with the
    next ``replay`` and ``attempt`` 1.
    """

    name: ClassVar[str] = "callback.due"

    job_id: str
    attempt: int = Field(ge=1, description="The attempt that is due, from 1.")
    replay: int = Field(default=0, ge=0, description="How often the delivery has been replayed from the dead letters.")
    job_replay: int = Field(
        default=0, ge=0, description="Which run of the job the delivery is of: 0 is the first, n the n-th replay."
    )

    @property
    def delivery_id(self) -> str:
        """The id of the delivery that is due."""
        return delivery_id(self.job_id, self.job_replay)


def delivery_id(job_id: str, job_replay: int) -> str:
    """A delivery's id, which is its ``webhook-id``: the job's, and for a replayed job ``<job_id>-r<n>``."""
    return f"{job_id}-r{job_replay}" if job_replay else job_id
