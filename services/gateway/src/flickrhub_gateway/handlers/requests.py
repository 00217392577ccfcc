"""The bodies of the gateway's calls, field by field (contract, section 2)."""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StrictStr,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from flickrhub_common.addresses import MAX_URL_LENGTH, AddressPolicy, RefusedUrl, check_url
from flickrhub_common.contracts import Target
from flickrhub_common.json_text import dump
from flickrhub_common.signing import standard_key
from flickrhub_gateway.models import NewJob

MAX_NAME = 128
MAX_SECRET = 512
MAX_META_BYTES = 16 * 1024

_METHOD = re.compile(r"flickr(\.[A-Za-z][A-Za-z0-9_]*)+")
_OURS = frozenset({"method", "format", "nojsoncallback", "api_key"})
# Not in the contract, but they could only harm: the old Flickr authentication beside OAuth, and JSON turned to script.
_HARMFUL = frozenset({"api_sig", "auth_token", "jsoncallback"})


def _param_name(name: str) -> str:
    if not 1 <= len(name) <= MAX_NAME:
        raise ValueError(f"a parameter's name has 1 to {MAX_NAME} characters")
    if name in _OURS or name in _HARMFUL or name.lower().startswith("oauth_"):
        raise ValueError("is set by the hub and can't be given")
    return name


def _param_value(value: Any) -> Any:
    parts = value if isinstance(value, list) else [value]
    if not all(isinstance(part, str | int | float) for part in parts):  # a bool is an int
        raise ValueError("must be a string, number, boolean or a list of these")
    return value


ParamName = Annotated[StrictStr, AfterValidator(_param_name)]
ParamValue = Annotated[Any, AfterValidator(_param_value)]
Text = Annotated[StrictStr, Field(min_length=1, max_length=MAX_SECRET)]
SecretText = Annotated[SecretStr, Field(strict=True, min_length=1, max_length=MAX_SECRET)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class EnqueueBody(_Body):
    """A call of Flickr's API to be made as a job."""

    user_id: Text = Field(description="The connection that signs the call.")
    target: Literal["rest", "upload", "replace"] = Field("rest", description="Which kind of call it is.")
    method: StrictStr | None = Field(
        None,
        validate_default=True,
        description="Flickr's method, as `flickr.photos.search`. Required, except for the targets upload and replace.",
    )
    params: dict[ParamName, ParamValue] = Field(
        default_factory=dict,
        description="The method's parameters: strings, numbers, booleans (sent as 1 and 0) or lists of these (sent "
        "comma-separated). `method`, `format`, `nojsoncallback`, `api_key`, `oauth_*`, `api_sig`, `auth_token` and "
        "`jsoncallback` are refused.",
    )
    callback_url: StrictStr | None = Field(
        None, description=f"Where the callback goes: http or https, at most {MAX_URL_LENGTH} characters."
    )
    callback_secret: SecretText | None = Field(
        None, description="Signs the callback. Kept sealed. A secret that starts `whsec_` must go on in base64."
    )
    meta: dict[str, Any] | None = Field(None, description="Echoed in the callback unchanged; at most 16 KiB of JSON.")

    @field_validator("method")
    @classmethod
    def _dotted(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("target") == Target.REST:
            raise PydanticCustomError("missing", "is required")
        if value is not None and not (len(value) <= MAX_NAME and _METHOD.fullmatch(value)):
            raise ValueError(f"must look like flickr.photos.search, with at most {MAX_NAME} characters")
        return value

    @field_validator("callback_url")
    @classmethod
    def _callable(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None:
            policy = info.context if isinstance(info.context, AddressPolicy) else AddressPolicy()
            try:
                check_url(value, policy)
            except RefusedUrl as error:
                raise PydanticCustomError("refused_url", "{why}", {"why": str(error)}) from None
        return value

    @field_validator("callback_secret")
    @classmethod
    def _usable(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            standard_key(value.get_secret_value())
        return value

    @field_validator("meta")
    @classmethod
    def _small(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None and len(dump(value).encode()) > MAX_META_BYTES:
            raise ValueError("must be at most 16 KiB as compact JSON")
        return value

    def job(self) -> NewJob:
        """What is asked for."""
        secret = self.callback_secret
        return NewJob(
            user_id=self.user_id,
            target=Target(self.target),
            method=self.method,
            params=self.params,
            callback_url=self.callback_url,
            callback_secret=secret.get_secret_value() if secret else None,
            meta=self.meta,
        )


class StatusBody(_Body):
    """Which job is asked about."""

    job_id: StrictStr = Field(description="From the enqueue reply.")
    user_id: StrictStr = Field(description="The connection the job was enqueued for.")


class StartBody(_Body):
    """The app that asks for access."""

    api_key: Text = Field(description="The app's API key.")
    api_secret: SecretText = Field(description="The app's secret.")


class CompleteBody(_Body):
    """What the account's owner brought back from Flickr."""

    oauth_token: Text = Field(description="From the start call.")
    oauth_verifier: SecretText = Field(description="What Flickr shows, or sends to the callback URL.")
    state: Text | None = Field(None, description="From the start call; if sent, it must match.")


class CallbackQuery(CompleteBody):
    """What Flickr's redirect brings; whatever else is in the query is somebody else's."""

    model_config = ConfigDict(extra="ignore")
