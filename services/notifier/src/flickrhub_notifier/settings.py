"""What the notifier can be told."""

from datetime import timedelta

from pydantic import Field

from flickrhub_common.retry import Backoff
from flickrhub_common.settings import (
    CallbackTargetSettings,
    MongoSettings,
    RabbitSettings,
    RedisSettings,
    SealingSettings,
    Settings,
)


class NotifierSettings(RabbitSettings, MongoSettings, RedisSettings, SealingSettings, CallbackTargetSettings, Settings):
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
    callback_endpoint_concurrency: int = Field(
        8, ge=0, le=1000, description="How many callbacks of one user may be under way to one endpoint; 0 is no limit."
    )
    callback_breaker_failures: int = Field(
        8,
        ge=0,
        le=1000,
        description="Time-outs, broken connections, names that can't be resolved, 429, 502, 503 and 504 in a row, each "
        "of another callback than the one before, after which an endpoint is left alone for a while; 0 is never.",
    )
    callback_breaker_seconds: float = Field(
        5, gt=0, le=3600, description="For how many seconds at first; doubles while it stays so."
    )
    callback_breaker_longest_seconds: float = Field(
        300, gt=0, le=3600, description="For how many seconds at the longest; then one callback tries again."
    )
    callback_expire_hours: float = Field(
        72, gt=0, le=8760, description="Hours after which a callback that hasn't arrived is given up, however it waits."
    )
    delivery_ttl_days: float = Field(
        30, ge=0, le=36_500, description="Days a delivery is kept after it ended; 0 keeps it for good."
    )

    def keep(self) -> timedelta | None:
        """How long a delivery is kept after its end; None is for good."""
        return timedelta(days=self.delivery_ttl_days) if self.delivery_ttl_days else None

    def expire_after(self) -> timedelta:
        """How long a callback may try to arrive."""
        return timedelta(hours=self.callback_expire_hours)

    def backoff(self) -> Backoff:
        """How long to wait between attempts."""
        return Backoff(first=self.callback_retry_delay_ms / 1000)
