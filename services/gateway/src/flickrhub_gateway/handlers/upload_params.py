"""The params of targets upload and replace, field by field: where the photo comes from, and what goes to Flickr."""

from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    StrictStr,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from flickrhub_gateway.handlers import forms
from flickrhub_gateway.handlers.forms import exactly_one, or_null
from flickrhub_gateway.handlers.values import (
    MAX_ID_DIGITS,
    MAX_TAGS,
    callable_url,
    flag,
    inline_photo,
    number_up_to,
    photo_id,
    tags_text,
    upload_ref,
)
from flickrhub_gateway.models import AddressPolicies
from flickrhub_gateway.uploads import InlinePhoto, filename_of_url

SOURCES = ("photo_url", "photo_ref", "photo_base64")

Flag = Annotated[str | None, PlainValidator(flag), WithJsonSchema(forms.one_of([0, 1, "0", "1", True, False]))]
UpTo2 = Annotated[str | None, PlainValidator(number_up_to(2)), WithJsonSchema(forms.one_of([1, 2, "1", "2"]))]
UpTo3 = Annotated[str | None, PlainValidator(number_up_to(3)), WithJsonSchema(forms.one_of([1, 2, 3, "1", "2", "3"]))]
Tags = Annotated[str | None, PlainValidator(tags_text), WithJsonSchema(or_null(forms.TAGS))]
PhotoId = Annotated[str, PlainValidator(photo_id), WithJsonSchema(forms.PHOTO_ID)]
Base64Photo = Annotated[
    InlinePhoto | None,
    PlainValidator(inline_photo),
    WithJsonSchema(or_null({"type": "string", "contentEncoding": "base64"})),
]


class PhotoParams(BaseModel):
    """Where the photo comes from (exactly one of three), and how Flickr takes it."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, json_schema_extra=exactly_one(SOURCES)
    )

    photo_url: Annotated[StrictStr | None, WithJsonSchema(or_null(forms.CALLED_URL))] = Field(
        None,
        description="The photo is fetched from here when the job runs: http or https, without user name and password; "
        "a literal address must be public.",
    )
    photo_ref: Annotated[
        Annotated[StrictStr, AfterValidator(upload_ref)] | None, WithJsonSchema(or_null(forms.UUID))
    ] = Field(None, description="A photo handed over before, by `POST /api/v1/uploads`, for the same `user_id`.")
    photo_base64: Base64Photo = Field(None, description="The photo itself in base64; the whole call has at most 1 MiB.")
    async_: Flag = Field(
        None, alias="async", description="1: Flickr processes it in the background; the job ends when it is there."
    )

    @field_validator("photo_url")
    @classmethod
    def _fetchable(cls, value: str | None, info: ValidationInfo) -> str | None:
        return None if value is None else callable_url(value, AddressPolicies.of(info.context).photo)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if [self.photo_url, self.photo_ref, self.photo_base64].count(None) != len(SOURCES) - 1:
            raise ValueError(f"needs exactly one of {', '.join(SOURCES[:-1])} and {SOURCES[-1]}")
        return self

    @property
    def photo(self) -> str | InlinePhoto | None:
        """The photo_ref, or the photo that came along; None if it is to be fetched."""
        return self.photo_ref or self.photo_base64

    def texts(self) -> dict[str, str]:
        """The params as the executor gets them, all text; a photo_ref is added when the job has claimed it."""
        given: dict[str, str] = self.model_dump(by_alias=True, exclude_none=True, exclude=set(SOURCES))
        if self.photo_url is None:
            return given
        filename = filename_of_url(self.photo_url)
        return {"photo_url": self.photo_url, **({"filename": filename} if filename else {}), **given}


class UploadParams(PhotoParams):
    """A new photo and what Flickr is told of it; what is left out is as the account's own defaults say."""

    title: StrictStr | None = Field(None, description="Without it Flickr takes the file's name.")
    description: StrictStr | None = Field(None, description="May hold some HTML.")
    tags: Tags = Field(
        None,
        description=f"A list of at most {MAX_TAGS} tags, or text in Flickr's form: separated by spaces, several words "
        "in double quotes.",
    )
    is_public: Flag = Field(None, description="Whether everybody sees it.")
    is_friend: Flag = Field(None, description="Whether friends see it, if it isn't public.")
    is_family: Flag = Field(None, description="Whether the family sees it, if it isn't public.")
    safety_level: UpTo3 = Field(None, description="1 safe, 2 moderate, 3 restricted.")
    content_type: UpTo3 = Field(None, description="1 photo, 2 screenshot, 3 other.")
    hidden: UpTo2 = Field(None, description="1 in public searches, 2 hidden from them.")


class ReplaceParams(PhotoParams):
    """A photo that takes the place of one that is at Flickr."""

    photo_id: PhotoId = Field(description=f"The photo to replace: up to {MAX_ID_DIGITS} digits.")
