"""What the gateway can be told."""

from pydantic import Field

from flickrhub_common.settings import (
    CallbackTargetSettings,
    InternalSettings,
    MongoSettings,
    RabbitSettings,
    RedisSettings,
    SealingSettings,
    Settings,
)


class GatewaySettings(
    RabbitSettings,
    MongoSettings,
    RedisSettings,
    InternalSettings,
    SealingSettings,
    CallbackTargetSettings,
    Settings,
):
    """The environment of the gateway."""

    auth_url: str = Field("http://127.0.0.1:3101", description="Base URL of the auth service's internal HTTP.")
    job_ttl_complete_days: float = Field(
        0, ge=0, le=36500, description="Days a completed job is kept after it ended; 0 keeps it for good."
    )
    job_ttl_fail_days: float = Field(
        0, ge=0, le=36500, description="Days a failed job is kept after it ended; 0 keeps it for good."
    )
    connection_cache_seconds: float = Field(
        60,
        ge=0,
        le=3600,
        description="How long the gateway remembers that a user_id is connected, in seconds; 0 asks auth each time.",
    )
    sweep_interval_seconds: float = Field(
        2, gt=0, le=3600, description="How often jobs that never reached RabbitMQ are looked for, in seconds."
    )
    sweep_after_seconds: float = Field(
        5, gt=0, le=3600, description="Age at which a job that RabbitMQ never confirmed is published again, in seconds."
    )
