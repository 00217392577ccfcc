"""Fakes of what uploads need besides, a Flickr that keeps photos, and an executor of uploads made of them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from flickrhub_common.contracts import JobCompleted, JobRequested, Target, UploadProgress
from flickrhub_common.retry import Backoff
from flickrhub_executor.errors import TransientFailure
from flickrhub_executor.models import Credentials, FlickrCall, FlickrReply, Photo, UploadCall
from flickrhub_executor.usecases.execute_upload import ExecuteUpload
from flickrhub_executor.usecases.hold_claim import LEASE_SECONDS
from flickrhub_executor.usecases.next_step import UploadRules, progress_of
from tests.support.photographs import Photograph, jpeg
from tests.unit.executor.fakes import MIDDLE, Executor, FakeClaims, a_job

LOOKS = (1.0, 4.0, 15.0, 40.0)
PIECE = 700


def xml(inner: str, stat: str = "ok") -> bytes:
    return f'<?xml version="1.0" encoding="utf-8" ?>\n<rsp stat="{stat}">\n{inner}\n</rsp>\n'.encode()


def answers(inner: str, stat: str = "ok", status: int = 200) -> FlickrReply:
    return FlickrReply(status, xml(inner, stat), None, 34)


def refuses(code: int, message: str = "Something", *, more: str = "", beside: str = "") -> FlickrReply:
    return answers(f'<err code="{code}" msg="{message}" {more}/>{beside}', "fail")


def lost() -> TransientFailure:
    return TransientFailure("Flickr didn't answer in time.", code="ERR_FLICKR_TIMEOUT", doubtful=True)


def broken_off() -> TransientFailure:
    return TransientFailure("The connection to Flickr broke.", code="ERR_FLICKR_UNREACHABLE")


class FakePhotos:
    """Has one photo. ``failures`` are raised when it is opened, one each time; ``pieces`` replaces its pieces."""

    def __init__(self) -> None:
        self.photograph: Photograph = jpeg()
        self.size: int | None = None
        self.pieces: Callable[[], AsyncIterator[bytes]] = self._pieces
        self.failures: list[Exception] = []
        self.closing: Exception | None = None
        self.opened: list[Mapping[str, Any]] = []

    @asynccontextmanager
    async def open(self, params: Mapping[str, Any]) -> AsyncIterator[Photo]:
        self.opened.append(params)
        if self.failures:
            raise self.failures.pop(0)
        size = len(self.photograph.data) if self.size is None else self.size
        try:
            yield Photo(size, self.photograph.filename, "application/octet-stream", self.pieces())
        finally:
            if self.closing is not None:
                raise self.closing

    async def _pieces(self) -> AsyncIterator[bytes]:
        data = self.photograph.data
        for at in range(0, len(data), PIECE):
            yield data[at : at + PIECE]


@dataclass(frozen=True)
class Kept:
    """A photo at Flickr."""

    id: str
    tags: str
    data: bytes = field(repr=False)


class FakeFlickrOfPhotos:
    """Keeps what is sent whole, and answers as scripted or as Flickr would.

    A scripted answer to a send is given in place of Flickr's own after the photo was kept; ``before`` fails before.
    What ``hidden`` says isn't found by that method. ``at_end`` is called when the last bytes have come, ``before_last``
    before the executor is asked for them.
    """

    def __init__(self) -> None:
        self.kept: list[Kept] = []
        self.sent: list[dict[str, str]] = []
        self.photos: list[Photo] = []
        self.asked: list[FlickrCall] = []
        self.before: list[Exception] = []
        self.script: list[FlickrReply | BaseException | None] = []
        self.replies: list[FlickrReply | Exception | None] = []
        self.tickets: list[dict[str, Any]] = []
        self.hidden: set[str] = set()
        self.before_last: Callable[[], Any] = lambda: None
        self.at_end: Callable[[], Any] = lambda: None
        self._ids = count(10100736393)

    async def send(self, call: UploadCall, credentials: Credentials, *, before_end: Callable[[], None]) -> FlickrReply:
        self.sent.append(dict(call.fields))
        self.photos.append(call.photo)
        if self.before:
            raise self.before.pop(0)
        data = b"".join([chunk async for chunk in call.photo.chunks])
        waited = self.before_last()
        if waited is not None:
            await waited
        before_end()
        assert len(data) == call.photo.size
        answer = self.script.pop(0) if self.script else None
        if isinstance(answer, FlickrReply) and answer.body.find(b'stat="fail"') > 0:
            return answer
        kept = Kept(str(next(self._ids)), dict(call.fields).get("tags", ""), data)
        self.kept.append(kept)
        self.at_end()
        if isinstance(answer, BaseException):
            raise answer
        return answer or answers(f'<photoid secret="s" originalsecret="o">{kept.id}</photoid>')

    async def call(self, call: FlickrCall, credentials: Credentials) -> FlickrReply:
        self.asked.append(call)
        answer = self.replies.pop(0) if self.replies else None
        if isinstance(answer, Exception):
            raise answer
        return answer or FlickrReply(200, json.dumps(self._answer(call)).encode(), None, 12)

    def _answer(self, call: FlickrCall) -> dict[str, Any]:
        params = dict(call.params)
        if call.method == "flickr.photos.upload.checkTickets":
            ticket = self.tickets.pop(0) if len(self.tickets) > 1 else self.tickets[0]
            return {"uploader": {"ticket": [{"id": params["tickets"], **ticket}]}, "stat": "ok"}
        shown = [] if call.method in self.hidden else self.kept
        wanted = params.get("machine_tags", "")
        photos = [
            {"id": photo.id, "machine_tags": " ".join(tag for tag in photo.tags.split() if "=" in tag)}
            for photo in reversed(shown)
            if wanted in photo.tags
        ]
        return {"photos": {"page": 1, "photo": photos}, "stat": "ok"}


@dataclass
class UploadExecutor(Executor):
    """An executor of uploads. Its clock is also the monotonic one; a claim is renewed when ``renewal`` is called."""

    target: Target = Target.UPLOAD
    timeout_seconds: float = 60.0
    photos: FakePhotos = field(default_factory=FakePhotos)
    flickr: FakeFlickrOfPhotos = field(default_factory=FakeFlickrOfPhotos)  # type: ignore[assignment]
    renewing: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.claims = FakeClaims(self.clock, lease=LEASE_SECONDS)
        self.report._claims = self.claims
        self.run = ExecuteUpload(  # type: ignore[assignment]
            messages=self.messaging,
            tokens=self.tokens,
            flickr=self.flickr,
            photos=self.photos,
            uploads=self.flickr,
            cache=self.cache if self.cached else None,
            limits=self.limits,
            claims=self.claims,
            report=self.report,
            rules=UploadRules(self.attempts, Backoff(first=1.0), looks=LOOKS, timeout_seconds=self.timeout_seconds),
            clock=self.clock,
            pause=self._pause,
            renewal_pause=self._until_renewal,
            monotonic=lambda: self.clock.now().timestamp(),
            chance=lambda: MIDDLE,
        )

    def job(self, **more: Any) -> JobRequested:
        """A job of this target."""
        params = {"photo_ref": "a-ref"} | ({"photo_id": "777"} if self.target is Target.REPLACE else {})
        return a_job(None, target=self.target, **{"params": params, **more})

    def later(self) -> JobRequested:
        """The one message it sent itself for later."""
        (sent,) = self.messaging.all("later")
        assert isinstance(sent.message, JobRequested)
        return sent.message

    def steps(self) -> list[tuple[str, float | None]]:
        """What it sent itself for later: which step, and in how many seconds."""
        sent = [(each.message, each.seconds) for each in self.messaging.all("later")]
        return [(progress(message).step, seconds) for message, seconds in sent]

    def photo_id(self) -> str:
        """The id that the one completion told."""
        return str(flickr_of(self.completed())["photoid"]["_content"])

    async def renewal(self) -> None:
        """Let the time of a renewal come; returns when the claims were asked."""
        self.claims.asked_to_renew.clear()
        self.renewing.set()
        await self.claims.asked_to_renew.wait()

    async def _until_renewal(self, seconds: float) -> None:
        await self.renewing.wait()
        self.renewing.clear()


def progress(message: object) -> UploadProgress:
    """How far a message's job has come."""
    assert isinstance(message, JobRequested)
    return progress_of(message)


def flickr_of(event: JobCompleted) -> dict[str, Any]:
    """Flickr's answer as a completion tells it."""
    answer: dict[str, Any] = json.loads(event.flickr)
    return answer


def progressed(job: JobRequested, **fields: Any) -> JobRequested:
    """The job, as far as these fields of its progress say."""
    return job.model_copy(update={"progress": UploadProgress(**{"sequence": 2, **fields})})
