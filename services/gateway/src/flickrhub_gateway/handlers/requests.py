"""The bodies of the gateway's calls, field by field (contract, section 2); enqueue_bodies.py has those of jobs."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StrictStr, WithJsonSchema

from flickrhub_gateway.handlers.forms import LONGEST_WALKED, MAX_SECRET, WALKED
from flickrhub_gateway.handlers.values import plain, plain_secret
from flickrhub_gateway.uploads import MAX_FILENAME

Text = Annotated[StrictStr, Field(min_length=1, max_length=MAX_SECRET)]
SecretText = Annotated[SecretStr, Field(strict=True, min_length=1, max_length=MAX_SECRET)]
Walked = Annotated[
    StrictStr,
    Field(min_length=1, max_length=LONGEST_WALKED),
    AfterValidator(plain),
    WithJsonSchema(WALKED),
]
WalkedSecret = Annotated[
    SecretStr,
    Field(strict=True, min_length=1, max_length=LONGEST_WALKED),
    AfterValidator(plain_secret),
    WithJsonSchema({**WALKED, "format": "password", "writeOnly": True}),
]
State = Annotated[StrictStr, Field(min_length=1, max_length=LONGEST_WALKED)]
Filename = Annotated[StrictStr, Field(max_length=MAX_FILENAME)]


class Body(BaseModel):
    """What all bodies have in common: nothing unknown in them, nothing of them in an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class UploadQuery(Body):
    """What may stand in the URL of an upload."""

    user_id: Text | None = Field(None, description="Whose photo it is; may be a field of a multipart body instead.")
    filename: Filename | None = Field(None, description="The photo's file name, if the body is the photo itself.")


class PresignBody(Body):
    """Whose photo will be put into the store, past the hub."""

    user_id: Text = Field(description="The connection that will upload it.")
    filename: Filename | None = Field(None, description="The photo's file name.")


class StatusBody(Body):
    """Which job is asked about."""

    job_id: StrictStr = Field(description="From the enqueue reply.")
    user_id: StrictStr = Field(description="The connection the job was enqueued for.")


class StartBody(Body):
    """The app that asks for access."""

    api_key: Walked = Field(description="The app's API key.")
    api_secret: WalkedSecret = Field(description="The app's secret.")


class CompleteBody(Body):
    """What the account's owner brought back from Flickr."""

    oauth_token: Walked = Field(description="From the start call.")
    oauth_verifier: WalkedSecret = Field(description="What Flickr shows, or sends to the callback URL.")
    state: State | None = Field(None, description="From the start call; if sent, it must match.")


class CallbackQuery(CompleteBody):
    """What Flickr's redirect brings; whatever else is in the query is somebody else's."""

    model_config = ConfigDict(extra="ignore")
