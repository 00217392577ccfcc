"""Settings from the environment: typed, documented, checked at start, secrets also from files.

Every variable ``NAME`` can be given as ``NAME_FILE`` instead (``setting_files``). A bad value ends the process with one
line that names the variable and never repeats it.
"""

import re
from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from flickrhub_common.addresses import AddressPolicy
from flickrhub_common.mongo_url import check_mongo_url
from flickrhub_common.sealing import KeyRing
from flickrhub_common.setting_files import FilesSource

S = TypeVar("S", bound=BaseSettings)

CLOSING_SECONDS = 3.5
"""What parting from clients and closing every connection take at the most, when the servers are silent."""
SHORTEST_STOP_SECONDS = 3.0


class Settings(BaseSettings):
    """What every service can be told."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_ignore_empty=True)

    service_env: str = Field("local", description="Name of this deployment, written into every log line.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level that is logged.")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="`json` lines, `console` for people, or `auto`: console on a terminal only."
    )
    host: str = Field("0.0.0.0", description="Address the service listens on.")
    port: int = Field(3000, ge=0, le=65535, description="Port the service listens on.")
    metrics_port: int = Field(
        9464,
        ge=0,
        le=65535,
        validate_default=True,
        description="Port of `/metrics`, at the same address; 0 is none. Not for the public.",
    )
    otel_exporter_otlp_endpoint: str | None = Field(
        None, description="Base URL of an OTLP/HTTP collector. Traces are exported only when it is set."
    )
    request_header_seconds: float = Field(
        10, gt=0, le=300, description="How long the head of a request may take to come, in seconds; then 408."
    )
    request_body_seconds: float = Field(
        30,
        gt=0,
        le=3600,
        description="How long the body of a request, unless it is a photo, may take to come, in seconds; then 408.",
    )
    max_connections: int = Field(
        800, ge=1, description="How many connections one process has open; beyond that idle ones are closed, or 503."
    )
    shutdown_grace_seconds: float = Field(
        20,
        gt=0,
        allow_inf_nan=False,
        description="Time from SIGTERM to the end of the process, in seconds; work in flight may finish within it.",
    )

    @field_validator("metrics_port")
    @classmethod
    def _metrics_apart(cls, value: int, info: ValidationInfo) -> int:
        if value and value == info.data.get("port"):
            raise ValueError("is the same as PORT: set one of them to another port")
        return value

    HTTP_SHARE: ClassVar[float] = 0.05
    """The part of the grace time that requests under way may take; messages in hand have the rest."""

    def http_grace_seconds(self) -> float:
        """How long requests under way may take after SIGTERM."""
        return self.shutdown_grace_seconds * self.HTTP_SHARE

    def drain_seconds(self) -> float:
        """How long messages in hand may take after that; what is left then is for closing connections."""
        return self.shutdown_grace_seconds - self.http_grace_seconds() - self._closing_seconds()

    def end_seconds(self) -> float:
        """When the process ends after SIGTERM whatever it is still waiting for: just within the grace time."""
        return max(SHORTEST_STOP_SECONDS, self.shutdown_grace_seconds - self._closing_seconds() / 5)

    def _closing_seconds(self) -> float:
        return min(CLOSING_SECONDS, self.shutdown_grace_seconds / 4)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment first, then files named by it."""
        return init_settings, env_settings, FilesSource(settings_cls)


class RabbitSettings(BaseSettings):
    """The broker."""

    rabbit_url: SecretStr = Field(
        SecretStr("amqp://guest:guest@localhost:5672/"), description="AMQP URL of RabbitMQ, credentials included."
    )
    rabbit_heartbeat_seconds: int = Field(
        10,
        ge=1,
        le=600,
        description="Seconds between heartbeats; a connection whose other end is silent is given up after about three."
        " A `heartbeat` in RABBIT_URL wins.",
    )


class MongoSettings(BaseSettings):
    """The database."""

    mongo_url: SecretStr = Field(description="MongoDB URL, credentials included. Required.")
    mongo_db: str = Field("flickrhub", min_length=1, description="Name of the database.")

    @field_validator("mongo_url")
    @classmethod
    def _mongo_readable(cls, value: SecretStr) -> SecretStr:
        check_mongo_url(value.get_secret_value())
        return value


class RedisSettings(BaseSettings):
    """The store of short-lived things."""

    redis_url: SecretStr = Field(SecretStr("redis://localhost:6379/0"), description="Redis URL, credentials included.")


class InternalSettings(BaseSettings):
    """The credential services show each other."""

    internal_api_token: SecretStr = Field(
        min_length=16,
        description="Shared credential of internal HTTP, 16 visible ASCII characters or more. Required.",
    )

    @field_validator("internal_api_token")
    @classmethod
    def _fits_a_header(cls, value: SecretStr) -> SecretStr:
        if not re.fullmatch(r"[!-~]+", value.get_secret_value()):
            raise ValueError("must hold visible ASCII characters only: it travels in a header")
        return value


class SealingSettings(BaseSettings):
    """Keys for secrets at rest."""

    encryption_keys: SecretStr = Field(description="Key ring, newest first: `<id>:<base64 of 32 bytes>[,…]`. Required.")

    @field_validator("encryption_keys")
    @classmethod
    def _readable(cls, value: SecretStr) -> SecretStr:
        KeyRing.parse(value.get_secret_value())
        return value

    def key_ring(self) -> KeyRing:
        """The keys, ready to use."""
        return KeyRing.parse(self.encryption_keys.get_secret_value())


def _networks(value: str) -> str:
    AddressPolicy.parse(value)
    return value


AllowedNetworks = Annotated[str, AfterValidator(_networks)]
"""Networks that may be called though not public; none is wider than any private one."""


class CallbackTargetSettings(BaseSettings):
    """Where callbacks may go."""

    callback_allow_cidrs: AllowedNetworks = Field(
        "",
        description="Comma-separated networks that callbacks may reach though not public, none wider than a /8"
        " (IPv6: /7).",
    )

    def address_policy(self) -> AddressPolicy:
        """The policy these settings ask for."""
        return AddressPolicy.parse(self.callback_allow_cidrs)


class UploadSourceSettings(BaseSettings):
    """Where photos may be fetched from."""

    upload_allow_cidrs: AllowedNetworks = Field(
        "",
        description="Comma-separated networks that a photo_url may reach though not public, none wider than a /8"
        " (IPv6: /7).",
    )

    def photo_address_policy(self) -> AddressPolicy:
        """The policy these settings ask for."""
        return AddressPolicy.parse(self.upload_allow_cidrs)


_HTTP_URL = re.compile(r"https?://[^\s/?#]+(/[^\s?#]*)?", re.ASCII)

GRIDFS = "gridfs:"
_S3_URL = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*)/?", re.ASCII)


class PhotoStoreSettings(BaseSettings):
    """Where photos wait for their upload."""

    upload_store_url: str = Field(
        GRIDFS, description="`gridfs:` (the MongoDB of MONGO_URL) or `s3://<bucket>[/<prefix>]`."
    )
    upload_s3_endpoint: str | None = Field(
        None, description="URL of the S3 server; without it AWS's own for the region."
    )
    upload_s3_region: str = Field("us-east-1", description="Region of the bucket.")
    upload_s3_access_key_id: str | None = Field(
        None, description="S3 access key; without it the machine's own identity (AWS_* variables, instance role)."
    )
    upload_s3_secret_access_key: SecretStr | None = Field(
        None, validate_default=True, description="Secret of UPLOAD_S3_ACCESS_KEY_ID."
    )

    @field_validator("upload_store_url")
    @classmethod
    def _known(cls, value: str) -> str:
        if value != GRIDFS and not _S3_URL.fullmatch(value):
            raise ValueError("must be gridfs: or s3://<bucket>[/<prefix>]")
        return value

    @field_validator("upload_s3_endpoint")
    @classmethod
    def _server(cls, value: str | None) -> str | None:
        if value is not None and ("@" in value or not _HTTP_URL.fullmatch(value)):
            raise ValueError("must be an http or https URL without credentials and query")
        return value

    @field_validator("upload_s3_secret_access_key")
    @classmethod
    def _with_its_id(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if (value is None) != (info.data.get("upload_s3_access_key_id") is None):
            raise ValueError("goes with UPLOAD_S3_ACCESS_KEY_ID: set both or neither")
        return value

    def photo_bucket(self) -> tuple[str, str]:
        """Bucket and prefix (empty, or without slashes at its ends) of an S3 store."""
        named = _S3_URL.fullmatch(self.upload_store_url)
        if named is None:
            raise ValueError("the photo store isn't in S3")
        return named[1], named[2].strip("/")


FLICKR_URLS = {
    "oauth": "https://www.flickr.com/services/oauth",
    "rest": "https://api.flickr.com/services/rest/",
    "upload": "https://up.flickr.com/services/upload/",
    "replace": "https://up.flickr.com/services/replace/",
}


class FlickrSettings(BaseSettings):
    """Where Flickr is."""

    mock_flickr: bool = Field(
        False, description="`true` points every Flickr URL at the simulator; the code path is the same."
    )
    flickr_sim_url: str = Field("http://127.0.0.1:3131", description="Where the simulator is, for MOCK_FLICKR.")
    flickr_oauth_url: str = Field(FLICKR_URLS["oauth"], description="Base of Flickr's OAuth endpoints.")
    flickr_rest_url: str = Field(FLICKR_URLS["rest"], description="Flickr's REST endpoint.")
    flickr_upload_url: str = Field(FLICKR_URLS["upload"], description="Flickr's upload endpoint.")
    flickr_replace_url: str = Field(FLICKR_URLS["replace"], description="Flickr's replace endpoint.")
    flickr_timeout_seconds: float = Field(15, gt=0, le=60, description="Time limit of one call to Flickr, in seconds.")

    @field_validator("flickr_sim_url", "flickr_oauth_url", "flickr_rest_url", "flickr_upload_url", "flickr_replace_url")
    @classmethod
    def _address(cls, value: str) -> str:
        if not _HTTP_URL.fullmatch(value):
            raise ValueError("must be an http or https URL without a query")
        return value

    def flickr_url(self, name: Literal["oauth", "rest", "upload", "replace"]) -> str:
        """The URL to use: the configured one, or the simulator's."""
        if not self.mock_flickr:
            return str(getattr(self, f"flickr_{name}_url"))
        slash = "" if name == "oauth" else "/"
        return f"{self.flickr_sim_url.rstrip('/')}/services/{name}{slash}"


def load(settings: type[S]) -> S:
    """Read the settings, or end the process with one line that names the bad variable."""
    try:
        return settings()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        variable = str(first["loc"][0]).upper() if first["loc"] else "settings"
        raise SystemExit(f"{variable}: {first['msg'].removeprefix('Value error, ')}") from None
    except SettingsError as error:  # its text may repeat the value
        named = re.search(r'field "(\w+)"', str(error))
        raise SystemExit(f"{named[1].upper() if named else 'settings'}: can't be read as what it should be") from None
