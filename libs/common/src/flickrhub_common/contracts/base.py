"""What all messages have in common."""

from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict


class Target(StrEnum):
    """Which executor takes a job; the routing key on ``flickr.jobs``."""

    REST = "rest"
    UPLOAD = "upload"
    REPLACE = "replace"


def queue_of(target: Target) -> str:
    """A target's queue, as clients see it: ``flickr_rest``, ``flickr_upload``, ``flickr_replace``."""
    return f"flickr_{target.value}"


class Message(BaseModel):
    """A message on the broker. ``name`` is its AMQP ``type`` and, for events, its routing key."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: ClassVar[str]
    version: Literal[1] = 1

    def to_bytes(self) -> bytes:
        """Compact UTF-8 JSON."""
        return self.model_dump_json().encode()


class Callback(BaseModel):
    """Where a client wants its callback. The secret is sealed by the gateway; only the notifier opens it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    url: str
    sealed_secret: str | None = None
