"""The shapes of the gateway's replies, for its OpenAPI document only: nothing is checked against them when it runs."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class _Reply(BaseModel):
    request_id: UUID = Field(description="Of this request; a UUID sent as `X-Request-ID` is kept.")
    error: None


class Problem(BaseModel):
    """What went wrong."""

    code: str = Field(description="`ERR_…`, stable.", pattern="^ERR_[A-Z_]+$")
    message: str = Field(description="One sentence.")
    details: list[str] = Field(
        default_factory=list, description="One sentence for each wrong field, `<field>: <what>`."
    )


class Failed(BaseModel):
    """The envelope of every failure."""

    request_id: UUID = Field(description="Of this request; a UUID sent as `X-Request-ID` is kept.")
    data: None
    error: Problem


class Started(BaseModel):
    """The first half of the OAuth walk."""

    authorize_url: str = Field(description="Where the account's owner goes.")
    oauth_token: str = Field(description="Goes into the complete call.")
    state: str = Field(description="May go into the complete call; if it does, it must match.")
    mode: Literal["oob", "callback"] = Field(description="Whether Flickr shows the verifier or sends it back.")


class StartReply(Started, _Reply):
    """Fields at the top level and, the same, under `data`."""

    data: Started


class Connected(BaseModel):
    """The connection."""

    user_id: UUID = Field(description="Names the connection from now on; the same account keeps it.")


class CompleteReply(Connected, _Reply):
    """Fields at the top level and, the same, under `data`."""

    data: Connected


class CalledBack(Connected):
    """The connection, made in callback mode."""

    status: Literal["ok"]


class CallbackReply(CalledBack, _Reply):
    """Fields at the top level and, the same, under `data`."""

    data: CalledBack


class Names(BaseModel):
    """What this is, and where its documents are."""

    name: Literal["FlickrHub"]
    docs: str
    openapi: str
    health: str


class RootReply(_Reply):
    """What this is."""

    data: Names


class Accepted(BaseModel):
    """The accepted job."""

    job_id: UUID


class EnqueueReply(_Reply):
    """The job is stored and will end."""

    data: Accepted


class Uploaded(BaseModel):
    """The photo that was received."""

    photo_ref: UUID = Field(description="Goes into the `params` of one upload or replacement of the same `user_id`.")
    bytes: int = Field(gt=0)
    sha256: str = Field(description="Of the photo's bytes, in hex.", pattern="^[0-9a-f]{64}$")
    content_type: str = Field(description="What it is by its first bytes, whatever it was called.")
    expires_at: datetime = Field(description="Until then a job may use it.")


class UploadReply(_Reply):
    """The photo is stored."""

    data: Uploaded


class Presigned(BaseModel):
    """A place in the photo store."""

    photo_ref: UUID = Field(description="Goes into the `params` of an upload or replacement, once the photo is put.")
    url: str = Field(description="Takes the photo, and only that, by `PUT`. Whoever knows it may use it.")
    method: Literal["PUT"]
    expires_at: datetime = Field(description="Until then the URL takes the photo, and a job may use it.")


class PresignReply(_Reply):
    """Where to put the photo."""

    data: Presigned


class Observability(BaseModel):
    """How the call went."""

    ok: Literal[True]
    status: int = Field(description="Flickr's HTTP status.", ge=100, le=599)
    trace_id: UUID = Field(description="The W3C trace id of the enqueue request, written as a UUID.")
    attempt: int = Field(description="Which attempt succeeded, from 1.", ge=1)
    duration_ms: int = Field(ge=0)


class ReturnValue(BaseModel):
    """What a completed job brought."""

    from_cache: bool
    flickr: dict[str, Any] = Field(description="Flickr's JSON, untouched.")
    observability: Observability


class JobStatus(BaseModel):
    """How a job is."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: UUID
    state: Literal["queued", "retrying", "completed", "failed"]
    returnvalue: ReturnValue | None
    """Null until the job is completed."""
    failedReason: str | None  # noqa: N815 - the contract's name
    """One sentence, once the job has failed."""
    stacktrace: list[str]
    """The chain of errors, one line each; empty while there is none."""
    queue: Literal["flickr_rest", "flickr_upload", "flickr_replace"]


class StatusReply(_Reply):
    """How a job is, and what came of it."""

    data: JobStatus
