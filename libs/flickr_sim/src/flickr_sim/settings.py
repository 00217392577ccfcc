"""Read the simulator's settings from the environment."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

# The pair every fresh simulator knows. They open nothing but the simulator, so they are no secrets.
DEMO_API_KEY = "5f1c6e9d0a7b4c3e8d2f1a6b9c0e7d54"
DEMO_API_SECRET = "9a3c5e7d1b2f4068"  # noqa: S105

HEX_KEY = r"^[0-9a-f]{32}$"
HEX_SECRET = r"^[0-9a-f]{16}$"  # noqa: S105


class Settings(BaseSettings):
    """Everything that can be set from outside, as `SIM_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="SIM_")

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(3131, ge=1, le=65535, description="Port to listen on.")
    seed: int = Field(1, description="Seed of the generated world: the same seed gives the same people and photos.")
    demo_api_key: str = Field(DEMO_API_KEY, pattern=HEX_KEY, description="Key of the app that is there from the start.")
    demo_api_secret: str = Field(DEMO_API_SECRET, pattern=HEX_SECRET, description="Secret of that app.")
    rate_limit_per_hour: int = Field(0, ge=0, description="Calls per api key in any hour before 429; 0 means no limit.")
    max_photo_bytes: int = Field(209_715_200, ge=1, description="Largest photo that is taken.")
    max_video_bytes: int = Field(1_073_741_824, ge=1, description="Largest video that is taken.")
    ticket_seconds: float = Field(1.0, ge=0, allow_inf_nan=False, description="Seconds an asynchronous upload takes.")
    search_lag_seconds: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="Seconds until flickr.photos.search shows an uploaded photo."
    )
    state_file: Path | None = Field(
        None,
        description="Journal of apps, access tokens and uploads, so that a killed simulator still knows them.",
    )
