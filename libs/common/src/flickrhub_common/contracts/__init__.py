"""Every message that crosses the broker: frozen, versioned, one class each.

A class's first sentence says who sends it and who reads it. Golden files in ``tests/data/messages`` hold one of each,
so a change of form is seen. Readers ignore fields they don't know: that is how a version is rolled out.
No message ever carries a secret in clear.
"""

from flickrhub_common.contracts.base import Callback, Message, Target, queue_of
from flickrhub_common.contracts.callbacks import CallbackDue, delivery_id
from flickrhub_common.contracts.jobs import (
    Failure,
    JobCompleted,
    JobFailed,
    JobReplayed,
    JobRequested,
    JobRetrying,
    Reservation,
    UploadProgress,
)
from flickrhub_common.contracts.tokens import TokenRejected, TokenReplaced, TokenRevoked

__all__ = [
    "Callback",
    "CallbackDue",
    "Failure",
    "JobCompleted",
    "JobFailed",
    "JobReplayed",
    "JobRequested",
    "JobRetrying",
    "Message",
    "Reservation",
    "Target",
    "TokenRejected",
    "TokenReplaced",
    "TokenRevoked",
    "UploadProgress",
    "delivery_id",
    "queue_of",
]
