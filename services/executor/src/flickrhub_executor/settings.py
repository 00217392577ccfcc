"""What the executor can be told."""

import math

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from flickrhub_common.contracts import Target
from flickrhub_common.settings import (
    FlickrSettings,
    InternalSettings,
    PhotoStoreSettings,
    RabbitSettings,
    RedisSettings,
    Settings,
    UploadSourceSettings,
)

REST_CONCURRENCY, CONCURRENCY = 32, 16
"""Jobs at once unless told otherwise. A call to Flickr costs little to hold, and what many ask of Redis at the same
time costs a third less each than what few do; a photo under way has megabytes in memory."""
LOOKS = range(2, 21)
LONGEST_LOOK_SECONDS = 3600.0


class ExecutorSettings(
    UploadSourceSettings,
    PhotoStoreSettings,
    RabbitSettings,
    RedisSettings,
    InternalSettings,
    FlickrSettings,
    Settings,
):
    """One executor process; run one deployment per target."""

    port: int = Field(3111, ge=0, le=65535, description="Port of the health endpoints.")
    target: Target = Field(Target.REST, description="Whose jobs this executor takes: rest, upload or replace.")
    auth_url: str = Field("http://localhost:3101", description="Where auth is, for lent tokens.")

    job_retry_attempts: int = Field(3, ge=1, le=100, description="Attempts of a job in all, the first included.")
    job_retry_delay_ms: int = Field(
        1000,
        ge=0,
        description="Wait before the second attempt, in milliseconds; doubling from then on, ±20 %.",
    )
    flickr_rate_limit_per_hour: int = Field(
        3500, ge=0, description="Calls to Flickr per api key in any hour, over all executors; 0 is off."
    )
    flickr_rate_limit_per_second: float = Field(
        1,
        ge=0,
        allow_inf_nan=False,
        description="Calls to Flickr per user and second, over all executors; 0 is off.",
    )
    rate_limit_prefix: str = Field("quota:", description="Prefix of the limits' keys in Redis.")
    cache_enabled: bool = Field(True, description="Whether answers of read methods are cached.")
    cache_ttl_seconds: int = Field(300, ge=1, description="How long a cached answer is used, in seconds.")
    cache_prefix: str = Field("flickrhub:cache:", description="Prefix of the cache's keys in Redis.")

    worker_concurrency: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="Jobs one executor process works on at once. Unset: 32 for rest, 16 for upload and for replace.",
    )
    worker_rest_concurrency: int | None = Field(None, ge=1, le=1000, description="The same for rest alone.")
    worker_upload_concurrency: int | None = Field(None, ge=1, le=1000, description="The same for upload alone.")
    worker_replace_concurrency: int | None = Field(None, ge=1, le=1000, description="The same for replace alone.")

    upload_timeout_seconds: float = Field(
        1200,
        gt=0,
        le=1500,
        description="Time limit of one send of a photo, in seconds; below RabbitMQ's consumer_timeout (1800).",
    )
    upload_min_bytes_per_second: float = Field(
        16384, gt=0, allow_inf_nan=False, description="Slowest average at which a photo_url's server may send."
    )
    upload_look_seconds: str = Field(
        "1,4,15,40",
        description="Waits before each look for the photo of a lost upload, in seconds; two or more, as there are two"
        " ways to look. For asynchronous uploads each is taken four times.",
    )
    mongo_url: SecretStr | None = Field(
        None,
        validate_default=True,
        description="MongoDB URL, credentials included. Required for upload and replace with a `gridfs:` store.",
    )
    mongo_db: str = Field("flickrhub", min_length=1, description="Name of the database.")

    @field_validator("upload_look_seconds")
    @classmethod
    def _waits(cls, value: str) -> str:
        try:
            waits = _numbers(value)
        except ValueError:
            raise ValueError("must be numbers of seconds, separated by commas") from None
        if len(waits) not in LOOKS or not all(0 <= wait <= LONGEST_LOOK_SECONDS for wait in waits):
            raise ValueError(f"must be {LOOKS[0]} to {LOOKS[-1]} numbers from 0 to {LONGEST_LOOK_SECONDS:g}")
        return value

    @field_validator("mongo_url")
    @classmethod
    def _there_for_gridfs(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        sends_photos = info.data.get("target", Target.REST) is not Target.REST
        if value is None and sends_photos and info.data.get("upload_store_url") == "gridfs:":
            raise ValueError(f"is needed for target {info.data['target'].value} while UPLOAD_STORE_URL is gridfs:")
        return value

    def look_waits(self) -> tuple[float, ...]:
        """The waits before each look, in seconds."""
        return _numbers(self.upload_look_seconds)

    def concurrency(self) -> int:
        """Jobs at once for this executor's target."""
        own: int | None = getattr(self, f"worker_{self.target.value}_concurrency")
        return own or self.worker_concurrency or (REST_CONCURRENCY if self.target is Target.REST else CONCURRENCY)


def _numbers(text: str) -> tuple[float, ...]:
    numbers = tuple(float(part) for part in text.split(","))
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError("not finite")
    return numbers
