"""What auth can be told."""

import re
from typing import Literal

from pydantic import Field, field_validator

from flickrhub_auth.models import Mode
from flickrhub_common.settings import (
    FlickrSettings,
    InternalSettings,
    MongoSettings,
    RabbitSettings,
    RedisSettings,
    SealingSettings,
    Settings,
)

_ABSOLUTE_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[!-~]+")


class AuthSettings(
    RabbitSettings, MongoSettings, RedisSettings, InternalSettings, SealingSettings, FlickrSettings, Settings
):
    """The auth process."""

    HTTP_SHARE = 0.7
    """A request may be waiting for Flickr; the messages auth reads are done in a moment."""

    port: int = Field(3101, ge=0, le=65535, description="Port of the internal HTTP API and the health endpoints.")
    oauth_mode: Mode = Field(
        Mode.OOB,
        description="`oob`: Flickr shows the user a code to type in. `callback`: Flickr sends the browser to "
        "CALLBACK_URL, without which the mode stays `oob`.",
    )
    callback_url: str | None = Field(
        None, description="Where Flickr sends the browser in callback mode: `<gateway>/api/v1/auth/callback`."
    )
    flickr_perms: Literal["read", "write", "delete"] = Field(
        "write", description="What the user is asked to allow; each includes the ones before it."
    )

    @field_validator("callback_url")
    @classmethod
    def _absolute(cls, value: str | None) -> str | None:
        if value is not None and not _ABSOLUTE_URL.fullmatch(value):
            raise ValueError("must be an absolute URL")
        return value

    def callback(self) -> str | None:
        """The callback URL to give to Flickr, None in oob mode."""
        return self.callback_url if self.oauth_mode is Mode.CALLBACK else None
