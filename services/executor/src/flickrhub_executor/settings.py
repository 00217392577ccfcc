"""What the executor can be told."""

from pydantic import Field

from flickrhub_common.contracts import Target
from flickrhub_common.settings import FlickrSettings, InternalSettings, RabbitSettings, RedisSettings, Settings


class ExecutorSettings(RabbitSettings, RedisSettings, InternalSettings, FlickrSettings, Settings):
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

    worker_concurrency: int = Field(16, ge=1, le=1000, description="Jobs one executor process works on at once.")
    worker_rest_concurrency: int | None = Field(None, ge=1, le=1000, description="The same for rest alone.")
    worker_upload_concurrency: int | None = Field(None, ge=1, le=1000, description="The same for upload alone.")
    worker_replace_concurrency: int | None = Field(None, ge=1, le=1000, description="The same for replace alone.")

    def concurrency(self) -> int:
        """Jobs at once for this executor's target."""
        own: int | None = getattr(self, f"worker_{self.target.value}_concurrency")
        return own or self.worker_concurrency
