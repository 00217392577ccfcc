"""Messages about the connections of Flickr accounts."""

from datetime import datetime
from typing import ClassVar

from pydantic import Field

from flickrhub_common.contracts.base import Message


class TokenRejected(Message):
    """Sent by the executor when Flickr refuses a token; read by auth, which revokes the connection."""

    name: ClassVar[str] = "token.rejected"

    user_id: str
    fingerprint: str = Field(description="Of the refused token, so that a newer one isn't revoked in its place.")
    reason: str
    at: datetime


class TokenRevoked(Message):
    """Sent by auth when a connection is no longer usable; read by every gateway and executor, which forget it."""

    name: ClassVar[str] = "token.revoked"

    user_id: str
    reason: str
    at: datetime


class TokenReplaced(Message):
    """Sent by auth when an account was connected anew; read by every gateway and executor, which drop the old token."""

    name: ClassVar[str] = "token.replaced"

    user_id: str
    at: datetime
