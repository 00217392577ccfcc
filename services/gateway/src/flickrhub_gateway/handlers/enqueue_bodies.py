"""The calls that become jobs, field by field: one form for each target (contract, section 2)."""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    SecretStr,
    StrictStr,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import PydanticCustomError

from flickrhub_common.contracts import Target
from flickrhub_common.json_text import dump
from flickrhub_common.signing import standard_key
from flickrhub_gateway.handlers.forms import (
    CALLED_URL,
    MAX_NAME,
    MAX_PARAMS,
    METHOD,
    PARAM_NAME,
    PARAM_VALUE,
    REFUSED_NAMES,
    SECRET,
    or_null,
)
from flickrhub_gateway.handlers.requests import Body, SecretText, Text
from flickrhub_gateway.handlers.upload_params import PhotoParams, ReplaceParams, UploadParams
from flickrhub_gateway.handlers.values import callable_url
from flickrhub_gateway.models import AddressPolicies, NewJob
from flickrhub_gateway.uploads import InlinePhoto

MAX_META_BYTES = 16 * 1024

_METHOD = re.compile(METHOD["pattern"])


def _param_name(name: str) -> str:
    if not 1 <= len(name) <= MAX_NAME:
        raise ValueError(f"a parameter's name has 1 to {MAX_NAME} characters")
    if name in REFUSED_NAMES or name.lower().startswith("oauth_"):
        raise ValueError("is set by the hub and can't be given")
    return name


def _param_value(value: Any) -> Any:
    parts = value if isinstance(value, list) else [value]
    if not all(isinstance(part, str | int | float) for part in parts):  # a bool is an int
        raise ValueError("must be a string, number, boolean or a list of these")
    return value


ParamName = Annotated[StrictStr, AfterValidator(_param_name)]
ParamValue = Annotated[Any, AfterValidator(_param_value)]
Method = Annotated[StrictStr | None, WithJsonSchema(or_null(METHOD))]


class EnqueueBody(Body):
    """What every job's call has."""

    user_id: Text = Field(description="The connection that signs the call.")
    target: str
    method: Method = Field(
        None, validate_default=True, description="Flickr's method, as `flickr.photos.search`; ignored for this target."
    )
    callback_url: Annotated[StrictStr | None, WithJsonSchema(or_null(CALLED_URL))] = Field(
        None,
        description="Where the callback goes: http or https, without user name and password; a literal address must be "
        "public.",
    )
    callback_secret: Annotated[SecretText | None, WithJsonSchema(or_null(SECRET))] = Field(
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
        return None if value is None else callable_url(value, AddressPolicies.of(info.context).callback)

    @field_validator("callback_secret")
    @classmethod
    def _usable(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            standard_key(value.get_secret_value())
        return value

    @field_validator("params", mode="before", check_fields=False)
    @classmethod
    def _few(cls, value: Any) -> Any:
        """Each wrong one takes time, so they are counted first."""
        if isinstance(value, dict) and len(value) > MAX_PARAMS:
            raise ValueError(f"must have at most {MAX_PARAMS} names")
        return value

    @field_validator("meta")
    @classmethod
    def _small(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None and len(dump(value).encode()) > MAX_META_BYTES:
            raise ValueError("must be at most 16 KiB as compact JSON")
        return value

    def job(self) -> NewJob:
        """What is asked for."""
        raise NotImplementedError

    def _job(self, params: dict[str, Any], photo: str | InlinePhoto | None = None) -> NewJob:
        secret = self.callback_secret
        return NewJob(
            user_id=self.user_id,
            target=Target(self.target),
            method=self.method,
            params=params,
            callback_url=self.callback_url,
            callback_secret=secret.get_secret_value() if secret else None,
            meta=self.meta,
            photo=photo,
        )


class RestBody(EnqueueBody):
    """A call of Flickr's API."""

    # The rule that demands a method needs its default; the document says it plainly.
    model_config = ConfigDict(json_schema_extra={"required": ["user_id", "method"]})

    target: Literal["rest", "upload", "replace"] = Field(
        "rest",
        description="`rest`; `upload` and `replace` have forms of their own.",
        json_schema_extra={"enum": ["rest"]},
    )
    method: Annotated[StrictStr | None, WithJsonSchema(METHOD)] = Field(
        None, validate_default=True, description="Flickr's method, as `flickr.photos.search`."
    )
    params: Annotated[
        dict[ParamName, ParamValue],
        WithJsonSchema(
            {
                "type": "object",
                "maxProperties": MAX_PARAMS,
                "propertyNames": PARAM_NAME,
                "additionalProperties": PARAM_VALUE,
            }
        ),
    ] = Field(
        default_factory=dict,
        description=f"The method's parameters, at most {MAX_PARAMS}: strings, numbers, booleans (sent as 1 and 0) or "
        "lists of these (sent comma-separated). `method`, `format`, `nojsoncallback`, `api_key`, `oauth_*`, `api_sig`, "
        "`auth_token` and `jsoncallback` are refused.",
    )

    def job(self) -> NewJob:
        """What is asked for, with the params as they came."""
        return self._job(self.params)


class PhotoBody(EnqueueBody):
    """A call that brings Flickr a photo."""

    params: PhotoParams

    def job(self) -> NewJob:
        """What is asked for, with the params all text, and the photo."""
        return self._job(dict(self.params.texts()), self.params.photo)


class UploadBody(PhotoBody):
    """A new photo or video."""

    target: Literal["upload"] = Field(description="A new photo.")
    params: UploadParams = Field(description="The photo, and what Flickr is told of it.")


class ReplaceBody(PhotoBody):
    """Other bytes for a photo that is at Flickr."""

    target: Literal["replace"] = Field(description="Other bytes for a photo that is there.")
    params: ReplaceParams = Field(description="The photo, and which one it replaces.")


BODIES: dict[str, type[EnqueueBody]] = {"upload": UploadBody, "replace": ReplaceBody}


def body_for(target: object) -> type[EnqueueBody]:
    """The form of a call to this target; RestBody's says what is wrong with a target that nobody has."""
    return BODIES.get(target, RestBody) if isinstance(target, str) else RestBody
