"""Faults a test orders: what goes wrong, for which calls, how often."""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from flickr_sim import recorded
from flickr_sim.answers import OAUTH_TEXT, Answer
from flickr_sim.errors import COMMON_MESSAGES, SORRY, UPLOAD_MESSAGES, ApiError
from flickr_sim.formats import JSON_TYPE, failure
from flickr_sim.incoming import PHOTO_KINDS, Incoming

Milliseconds = Annotated[float, Field(ge=0, le=3_600_000, allow_inf_nan=False)]
Kind = Literal["oauth", "rest", "upload", "replace"]

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*\Z")
_OWN_HEADERS = ("content-length", "transfer-encoding")


class Match(BaseModel):
    """Which calls a fault is for; what is left out matches every call."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind | None = None
    method: str | None = None
    api_key: str | None = None
    params: dict[str, str] | None = None

    def fits(self, incoming: Incoming, method: str | None) -> bool:
        """Say whether the fault is for this call."""
        return (
            self.kind in (None, incoming.kind)
            and self.method in (None, method)
            and self.api_key in (None, incoming.api_key)
            and all(incoming.fields.get(name) == value for name, value in (self.params or {}).items())
        )


class Fault(BaseModel):
    """One ordered fault; `times` is how many more calls it will hit, -1 for all of them."""

    model_config = ConfigDict(extra="forbid")

    match: Match = Match()
    times: Annotated[int, Field(ge=-1)] = 1
    latency_ms: Milliseconds | None = None
    stall_ms: Milliseconds | None = None
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    headers: dict[str, str] | None = None
    body: str | None = None
    code: int | None = None
    message: str | None = None
    drop: Literal["before", "during", "after"] | None = None
    works: bool | None = None

    @field_validator("times")
    @classmethod
    def _some_times(cls, times: int) -> int:
        if times == 0:
            raise ValueError("times must be at least 1, or -1 for always")
        return times

    @field_validator("headers")
    @classmethod
    def _sendable(cls, headers: dict[str, str] | None) -> dict[str, str] | None:
        for name, value in (headers or {}).items():
            if not _HEADER_NAME.match(name) or not _HEADER_VALUE.match(value) or name.lower() in _OWN_HEADERS:
                raise ValueError(f"the header {name!r} can't be sent")
        return headers

    @model_validator(mode="after")
    def _does_something(self) -> "Fault":
        if self.message is not None and self.code is None:
            raise ValueError("a message needs a code")
        if self.code is not None and self.body is not None:
            raise ValueError("give a code or a body, not both")
        effects = (self.latency_ms, self.stall_ms, self.status, self.body, self.code, self.drop)
        if all(effect is None for effect in effects):
            raise ValueError("a fault needs one of latency_ms, stall_ms, status, body, code, drop")
        return self

    @model_validator(mode="after")
    def _known_in_time(self) -> "Fault":
        match = self.match
        if self.drop == "during" and (match.method is not None or match.params is not None):
            raise ValueError("a drop during the body is decided before it is read: match kind and api_key only")
        if self.drop == "during" and match.kind not in (None, *PHOTO_KINDS):
            raise ValueError("only an upload or a replacement can be dropped during its body")
        return self

    @property
    def works_first(self) -> bool:
        """Say whether the call's work is done although its answer is replaced; `works` decides where it is given.

        504 says that the origin was too slow, not that it did nothing: Flickr's users found their photos stored.
        """
        return self.drop == "after" or (self.status == 504 if self.works is None else self.works)

    def answer(self, incoming: Incoming) -> Answer | None:
        """Return the answer that replaces the call's own, or None when the fault leaves it alone."""
        if self.code is not None:
            answer = self._api_error(self.code, incoming)
        elif self.body is not None:
            answer = Answer(self.status or 200, self.body.encode("utf-8", "replace"), _sniffed_type(self.body))
        elif self.status is not None:
            answer = recorded.for_status(self.status)
        else:
            return None
        return _with_headers(answer, self.status or answer.status, self.headers or {})

    def _api_error(self, code: int, incoming: Incoming) -> Answer:
        usual = COMMON_MESSAGES | UPLOAD_MESSAGES if incoming.carries_photo else COMMON_MESSAGES
        message = self.message if self.message is not None else usual.get(code, f"Error {code}")
        if code == 201 and message == SORRY:
            # Recorded: this one comes as JSON whatever was asked for, and with a comma behind it.
            return Answer(200, f'{{"stat":"fail","message":"{SORRY}","code":201}},'.encode("ascii"), JSON_TYPE)
        return failure(incoming.format_fields, ApiError(code, message))


class Faults:
    """The faults waiting for their calls, in the order they were ordered."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def reset(self) -> None:
        """Call every fault off."""
        self._waiting = []

    def order(self, fault: Fault) -> None:
        """Queue a fault behind those that wait."""
        self._waiting.append(fault)

    def waiting(self) -> list[dict[str, Any]]:
        """Return the faults that have calls left, as they were ordered, with the times that remain."""
        return [fault.model_dump() for fault in self._waiting]

    def take(self, incoming: Incoming, method: str | None, *, before_body: bool = False) -> Fault | None:
        """Return the first fault that fits the call, using one of its times up.

        Before a body is read only drops during it are looked at, and afterwards only the others.
        """
        for position, fault in enumerate(self._waiting):
            if (fault.drop == "during") is before_body and fault.match.fits(incoming, method):
                if fault.times > 0:
                    fault.times -= 1
                if fault.times == 0:
                    del self._waiting[position]
                return fault
        return None


def _with_headers(answer: Answer, status: int, headers: dict[str, str]) -> Answer:
    replaced = {name.lower() for name in headers}
    kept = tuple(header for header in answer.headers if header[0].lower() not in replaced)
    return Answer(status, answer.body, answer.content_type, (*kept, *headers.items()))


def _sniffed_type(body: str) -> str:
    start = body.lstrip()[:14].lower()
    if start.startswith(("<html", "<!doctype html")):
        return "text/html"
    if start.startswith("<"):
        return "text/xml; charset=utf-8"
    if start.startswith(("{", "[")):
        return JSON_TYPE
    return OAUTH_TEXT
