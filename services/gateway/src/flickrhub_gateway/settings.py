"""What the gateway can be told."""

import re

from pydantic import Field, field_validator

from flickrhub_common.addresses import AddressPolicy, IpNetwork
from flickrhub_common.settings import (
    CallbackTargetSettings,
    InternalSettings,
    MongoSettings,
    PhotoStoreSettings,
    RabbitSettings,
    RedisSettings,
    SealingSettings,
    Settings,
    UploadSourceSettings,
)

_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?", re.ASCII)


class GatewaySettings(
    RabbitSettings,
    MongoSettings,
    RedisSettings,
    InternalSettings,
    SealingSettings,
    CallbackTargetSettings,
    UploadSourceSettings,
    PhotoStoreSettings,
    Settings,
):
    """The environment of the gateway."""

    HTTP_SHARE = 0.45
    """Photos come in by HTTP; the messages a gateway reads are done in a moment."""

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
        5,
        gt=0,
        le=3600,
        description="Age at which a job that RabbitMQ never confirmed is published again, in seconds; below 5, one "
        "that was refused with 503 may be published before it was taken back.",
    )
    upload_ttl_hours: float = Field(
        24, gt=0, le=168, description="Hours a photo that was handed over waits for its job, and again after a failure."
    )
    upload_sweep_seconds: float = Field(
        60, gt=0, le=3600, description="How often photos that have expired are looked for, in seconds."
    )
    upload_min_bytes_per_second: int = Field(
        16384, ge=1, description="Slowest average at which a photo may come in, after 10 s of grace."
    )
    rate_limit_user_per_minute: int = Field(
        6000, ge=0, description="Requests a minute for one user_id, over all gateways; then 429. 0 is no limit."
    )
    rate_limit_address_per_minute: int = Field(
        12000,
        ge=0,
        description="Requests a minute from one client address, over all gateways; then 429. 0 is no limit.",
    )
    trusted_proxy_cidrs: str = Field(
        "",
        description="Comma-separated networks of proxies whose `X-Forwarded-For` is believed; without it none is.",
    )
    max_pending_jobs: int = Field(
        100_000, ge=0, description="Jobs of one user_id that haven't ended; then 503. 0 is no limit."
    )
    cors_origins: str = Field(
        "",
        description="Comma-separated origins whose web pages may call the API (`https://app.example.com`), or `*`; "
        "without it none may.",
    )

    @field_validator("trusted_proxy_cidrs")
    @classmethod
    def _proxies(cls, value: str) -> str:
        AddressPolicy.parse(value)
        return value

    def trusted_proxies(self) -> tuple[IpNetwork, ...]:
        """The networks of proxies that are believed."""
        return AddressPolicy.parse(self.trusted_proxy_cidrs).allowed

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: str) -> str:
        named = _listed(value)
        if named != ["*"] and not all(_ORIGIN.fullmatch(origin) for origin in named):
            raise ValueError("must be origins such as https://app.example.com, without a path, or * alone")
        return value

    def origins(self) -> list[str]:
        """The origins that CORS allows."""
        return _listed(self.cors_origins)


def _listed(value: str) -> list[str]:
    return [item.strip() for item in value.split(",") if item.strip()]
