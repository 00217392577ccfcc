"""Messages about jobs."""

from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from flickrhub_common.contracts.base import Callback, Message, Target


class Reservation(BaseModel):
    """A turn an executor has reserved for a waiting job: the user's lane, or a place in the api key's budget."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    limit: Literal["user", "key"]
    at: float = Field(description="Unix seconds by the clock of Redis.")


class UploadProgress(BaseModel):
    """How far an upload or replacement has come: what its next message has to do, and in which order they follow."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    step: Literal["send", "look", "poll"] = Field(
        default="send", description="Send the photo, look whether a lost attempt left it at Flickr, or poll its ticket."
    )
    sequence: int = Field(ge=1, description="Number of this message among the job's, from 1; grows with every one.")
    asked: int = Field(default=0, ge=0, description="How often this step has asked Flickr already.")
    failed: int = Field(
        default=0, ge=0, description="How often this step has come to nothing in a row, as nobody answered."
    )
    ticket: str | None = Field(default=None, description="Flickr's ticket of an asynchronous upload; any text.")
    dedup: bool = Field(default=True, description="Whether Flickr is to refuse a photo it has already.")


class JobRequested(Message):
    """Sent by the gateway (and, while a job waits or is retried, by the executor to itself); read by the executor."""

    name: ClassVar[str] = "job.requested"

    job_id: str
    user_id: str
    target: Target
    method: str | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    callback: Callback | None = None
    meta: dict[str, Any] | None = None
    trace_id: str = Field(description="The W3C trace id of the enqueue request, written as a UUID.")
    attempt: int = Field(default=1, ge=1, description="The attempt this message asks for, from 1.")
    reservation: Reservation | None = None
    doubtful: bool = Field(default=False, description="An earlier attempt may have had its effect without our knowing.")
    progress: UploadProgress | None = Field(default=None, description="Of an upload or replacement under way.")
    accepted_at: datetime | None = Field(default=None, description="When the job was stored, which 202 followed.")
    replay: int = Field(default=0, ge=0, description="How often the ended job has been replayed from the dead letters.")

    @property
    def sequence(self) -> int:
        """Orders the messages of one job: a claim lets none go back behind a later one."""
        return self.attempt if self.progress is None else self.progress.sequence


class JobReplayed(Message):
    """Sent by the tool for dead letters when it has an ended job run again; read by the gateway."""

    name: ClassVar[str] = "job.replayed"

    job_id: str
    user_id: str
    target: Target
    trace_id: str
    photo_ref: str | None = Field(default=None, description="The photo that an upload or replacement needs again.")
    at: datetime
    replay: int = Field(ge=1, description="The run that begins, from 1.")


class JobEvent(Message):
    """What every event of a job says."""

    job_id: str
    user_id: str
    target: Target
    trace_id: str
    attempts_made: int
    max_attempts: int
    at: datetime
    accepted_at: datetime | None = Field(default=None, description="When the job was stored, which 202 followed.")
    replay: int = Field(default=0, ge=0, description="The replay this belongs to; 0 is the job's first run.")


class JobRetrying(JobEvent):
    """Sent by the executor after an attempt that will be repeated; read by the gateway."""

    name: ClassVar[str] = "job.retrying"

    reason: str
    next_attempt_at: datetime


class JobCompleted(JobEvent):
    """Sent by the executor when Flickr has answered; read by the gateway and the notifier."""

    name: ClassVar[str] = "job.completed"

    from_cache: bool
    flickr: str = Field(description="Flickr's reply as compact JSON text, its values untouched.")
    http_status: int
    duration_ms: int
    callback: Callback | None = None
    meta: dict[str, Any] | None = None


class Failure(BaseModel):
    """Why a job failed: one public sentence, a code (``FLICKR_<n>`` or ``ERR_…``) and the chain of errors."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    message: str
    code: str | None
    chain: list[str] = Field(default_factory=list)


class JobFailed(JobEvent):
    """Sent by the executor when a job has failed for good; read by the gateway and the notifier."""

    name: ClassVar[str] = "job.failed"

    failure: Failure
    callback: Callback | None = None
    meta: dict[str, Any] | None = None
