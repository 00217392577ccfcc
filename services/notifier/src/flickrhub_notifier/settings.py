"""What the notifier can be told."""

from datetime import timedelta

from pydantic import Field

from flickrhub_common.retry import Backoff
from flickrhub_common.settings import (
    CallbackTargetSettings,
    MongoSettings,
    RabbitSettings,
    SealingSettings,
    Settings,
)


class NotifierSettings(RabbitSettings, MongoSettings, SealingSettings, CallbackTargetSettings, Settings):
    """The notifier's settings."""

    port: int = Field(3121, ge=0, le=65535, description="Port the notifier's health pages listen on.")
    callback_enabled: bool = Field(True, description="Whether callbacks are sent at all; what is due waits meanwhile.")
    callback_retry_attempts: int = Field(
        3, ge=1, le=20, description="How many times a callback is tried in all, the first included."
    )
    callback_retry_delay_ms: int = Field(
        1000,
        ge=0,
        le=3_600_000,
        description="Wait before the second attempt, in milliseconds; doubles from attempt to attempt, up to an hour.",
    )
    callback_timeout_seconds: float = Field(
        15, gt=0, le=60, description="Deadline of one attempt, from DNS to the end of the response, in seconds."
    )
    callback_concurrency: int = Field(
        64, ge=1, le=1000, description="How many first attempts, and how many repeated ones, may be under way at once."
    )
    delivery_ttl_days: float = Field(
        30, ge=0, le=36_500, description="Days a delivery is kept after it ended; 0 keeps it for good."
    )

    def keep(self) -> timedelta | None:
        """How long a delivery is kept after its end; None is for good."""
        return timedelta(days=self.delivery_ttl_days) if self.delivery_ttl_days else None

    def backoff(self) -> Backoff:
        """How long to wait between attempts."""
        return Backoff(first=self.callback_retry_delay_ms / 1000)
