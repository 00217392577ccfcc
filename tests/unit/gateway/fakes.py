"""The gateway's surroundings, in memory."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import FastAPI
from opentelemetry.trace import TracerProvider

from flickrhub_common.addresses import AddressPolicy, IpNetwork
from flickrhub_common.contracts import Target
from flickrhub_common.errors import HubError, Unavailable
from flickrhub_common.sealing import KeyRing
from flickrhub_common.testing import FakeClock, FakePhotoStore
from flickrhub_gateway.adapters.request_counts import OwnCounts
from flickrhub_gateway.models import (
    OPEN,
    AddressPolicies,
    Authorisation,
    Job,
    JobChange,
    JobReport,
    Retention,
    Run,
    State,
    sources_of,
)
from flickrhub_gateway.uploads import Received, Upload, UploadState
from flickrhub_gateway.usecases import UseCases
from flickrhub_gateway.usecases.admit_request import AdmitRequest
from flickrhub_gateway.usecases.bound_pending import BoundPending
from flickrhub_gateway.usecases.check_connection import CheckConnection
from flickrhub_gateway.usecases.claim_photo import ClaimPhoto
from flickrhub_gateway.usecases.connect_account import ConnectAccount
from flickrhub_gateway.usecases.discard_upload import DiscardUpload
from flickrhub_gateway.usecases.enqueue_job import EnqueueJob
from flickrhub_gateway.usecases.hold_photo import HoldPhoto
from flickrhub_gateway.usecases.presign_upload import PresignUpload
from flickrhub_gateway.usecases.read_job_status import ReadJobStatus
from flickrhub_gateway.usecases.receive_upload import ReceiveUpload
from flickrhub_gateway.usecases.record_job_event import RecordJobEvent
from flickrhub_gateway.usecases.settle_photos import SettlePhotos
from flickrhub_gateway.usecases.sweep_uploads import SweepUploads
from flickrhub_gateway.usecases.take_back import TakeBack
from flickrhub_gateway.wiring import make_gateway_app

USER = "09b4e414-4f70-4226-9ee8-f9e815fc2539"
STRANGER = "11111111-2222-4333-8444-555555555555"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LIFETIME = timedelta(hours=24)
KEY_RING = KeyRing((("k1", b"0" * 32),))


def a_job(job_id: str = "j1", **given: Any) -> Job:
    """A stored job."""
    fields: dict[str, Any] = {
        "id": job_id,
        "user_id": USER,
        "target": Target.REST,
        "method": "flickr.test.echo",
        "params": '{"name":"test"}',
        "meta": None,
        "callback": None,
        "trace_id": "4bf92f35-77b3-4da6-a3ce-929d0e0e4736",
        "trace_headers": {},
        "created_at": NOON,
        **given,
    }
    return Job(**fields)


@dataclass
class Kept:
    """A job in the store, and what happened to it."""

    job: Job
    state: State = State.QUEUED
    attempts: int = 0
    replays: int = 0
    published_at: datetime | None = None
    claimed_until: datetime | None = None
    change: JobChange | None = None


@dataclass
class FakeJobs:
    """The store. Set ``away`` to make every call fail as an absent Mongo would."""

    away: bool = False
    kept: dict[str, Kept] = field(default_factory=dict)
    marked: list[list[str]] = field(default_factory=list)
    counted: list[str] = field(default_factory=list)
    tombstones: list[str] = field(default_factory=list)

    def _answer(self) -> None:
        if self.away:
            raise Unavailable("mongo")

    def hold(self, *jobs: Job) -> None:
        """Have these jobs from the start."""
        self.kept |= {job.id: Kept(job) for job in jobs}

    async def add(self, job: Job) -> None:
        self._answer()
        self.hold(job)

    async def find(self, job_id: str, *, user_id: str) -> JobReport | None:
        self._answer()
        kept = self.kept.get(job_id)
        if kept is None or kept.job.user_id != user_id:
            return None
        return JobReport(
            id=job_id,
            target=kept.job.target,
            state=kept.state,
            attempts=kept.attempts,
            trace_id=kept.job.trace_id,
            result=kept.change.result if kept.change else None,
            failure=kept.change.failure if kept.change else None,
        )

    async def states(self, job_ids: Collection[str]) -> dict[str, State | None]:
        self._answer()
        there = {job_id: self.kept[job_id].state for job_id in job_ids if job_id in self.kept}
        return there | dict.fromkeys(set(job_ids) & set(self.tombstones))

    async def apply(self, change: JobChange) -> None:
        self._answer()
        self.apply_now(change)

    def apply_now(self, change: JobChange) -> bool:
        """Whether the table let it."""
        kept = self.kept.get(change.job_id)
        if kept is None:
            return False
        run = Run.of(event=change.replay, job=kept.replays)
        if kept.state not in sources_of(change.state, run):
            return False
        if change.state is State.RETRYING and run is Run.SAME and change.attempts <= kept.attempts:
            return False
        kept.replays = max(kept.replays, change.replay)
        kept.state, kept.attempts, kept.change = change.state, change.attempts, change
        if change.state is State.QUEUED:
            kept.published_at = change.at
        return True

    async def mark_published(self, job_ids: Collection[str], *, at: datetime) -> None:
        self._answer()
        self.marked.append(list(job_ids))
        for job_id in job_ids:
            if self.kept[job_id].state is State.QUEUED:
                self.kept[job_id].published_at = at

    async def claim_unpublished(self, *, created_before: datetime, now: datetime, limit: int) -> list[Job]:
        self._answer()
        found = [
            kept
            for kept in self.kept.values()
            if kept.published_at is None
            and kept.state is State.QUEUED
            and kept.job.created_at < created_before
            and (kept.claimed_until is None or kept.claimed_until <= now)
        ]
        found = sorted(found, key=lambda kept: kept.job.created_at)[:limit]
        for kept in found:
            kept.claimed_until = now + timedelta(seconds=30)
        return [kept.job for kept in found]

    async def take_back(self, job_id: str, *, now: datetime, remembered_until: datetime) -> bool:
        self._answer()
        kept = self.kept.get(job_id)
        if kept and (kept.published_at or kept.state is not State.QUEUED or (kept.claimed_until or now) > now):
            return False
        self.kept.pop(job_id, None)
        self.tombstones.append(job_id)
        return True

    async def oldest_unpublished(self) -> datetime | None:
        self._answer()
        return None

    async def count_open(self, user_id: str, *, most: int) -> int:
        self._answer()
        self.counted.append(user_id)
        found = [kept for kept in self.kept.values() if kept.job.user_id == user_id and kept.state in OPEN]
        return min(len(found), most)

    async def postpone(self, job_ids: Collection[str], *, until: datetime) -> None:
        self._answer()
        for job_id in job_ids:
            self.kept[job_id].claimed_until = until


@dataclass
class FakeUploads:
    """The records of photos. Set ``away`` to make every call fail as an absent Mongo would."""

    away: bool = False
    kept: dict[str, Upload] = field(default_factory=dict)
    received: dict[str, Received] = field(default_factory=dict)

    def _answer(self) -> None:
        if self.away:
            raise Unavailable("mongo")

    def _set(self, upload: Upload, **change: Any) -> Upload:
        self.kept[upload.ref] = replace(upload, **change)
        return self.kept[upload.ref]

    def _change(self, seen: Upload, **change: Any) -> bool:
        self._answer()
        if self.kept.get(seen.ref) != seen:
            return False
        self._set(seen, **change)
        return True

    async def add(self, upload: Upload) -> None:
        self._answer()
        assert upload.ref not in self.kept
        self.kept[upload.ref] = upload

    async def keep(self, ref: str, *, until: datetime) -> None:
        self._answer()
        if ref in self.kept and self.kept[ref].state is UploadState.RECEIVING:
            self._set(self.kept[ref], expires_at=until)

    async def finish(self, received: Received, *, user_id: str) -> bool:
        self._answer()
        seen = self.kept.get(received.ref)
        if seen is None or seen.state is not UploadState.RECEIVING:
            return False
        self.received[received.ref] = received
        self._set(seen, state=UploadState.READY, user_id=user_id, expires_at=received.expires_at)
        return True

    async def find(self, ref: str) -> Upload | None:
        self._answer()
        return self.kept.get(ref)

    async def claim(
        self, ref: str, *, user_id: str, held_by: str | None, job_id: str, now: datetime, until: datetime
    ) -> Upload | None:
        self._answer()
        seen = self.kept.get(ref)
        if seen is None or seen.hidden or seen.state not in {UploadState.READY, UploadState.PRESIGNED}:
            return None
        if (seen.user_id, seen.job_id) != (user_id, held_by) or seen.expires_at <= now:
            return None
        return self._set(seen, job_id=job_id, claimed_at=now, expires_at=until)

    async def of_job(self, job_id: str) -> list[Upload]:
        self._answer()
        return [upload for upload in self.kept.values() if upload.job_id == job_id]

    async def expired(self, *, now: datetime, limit: int) -> list[Upload]:
        self._answer()
        past = [upload for upload in self.kept.values() if upload.expires_at <= now]
        return sorted(past, key=lambda upload: upload.expires_at)[:limit]

    async def extend(self, seen: Upload, *, until: datetime, job_id: str | None) -> bool:
        return self._change(seen, expires_at=until, job_id=job_id)

    async def doom(self, seen: Upload, *, until: datetime) -> bool:
        return self._change(seen, state=UploadState.DOOMED, expires_at=until)

    async def remove(self, ref: str) -> None:
        self._answer()
        self.kept.pop(ref, None)


@dataclass
class FakeAuth:
    """Auth. ``failure`` is raised by every call; ``hold`` makes lookups and the walk wait until it is set."""

    users: set[str] = field(default_factory=lambda: {USER})
    failure: HubError | None = None
    dead: bool = False
    hold: asyncio.Event | None = None
    asked: list[str] = field(default_factory=list)
    walks: list[dict[str, Any]] = field(default_factory=list)

    async def _answer(self) -> None:
        if self.hold is not None:
            await self.hold.wait()
        if self.failure is not None:
            raise self.failure

    async def start(self, *, api_key: str, api_secret: str) -> Authorisation:
        self.walks.append({"api_key": api_key, "api_secret": api_secret})
        await self._answer()
        return Authorisation(authorize_url="https://flickr/authorize", oauth_token="t-1", state="s-1", mode="oob")

    async def complete(self, *, oauth_token: str, oauth_verifier: str, state: str | None) -> str:
        self.walks.append({"oauth_token": oauth_token, "oauth_verifier": oauth_verifier, "state": state})
        await self._answer()
        return USER

    async def knows(self, user_id: str) -> bool:
        self.asked.append(user_id)
        known = user_id in self.users  # as it is when asked, whenever the answer arrives
        await self._answer()
        return known

    async def ping(self) -> None:
        if self.dead:
            raise Unavailable("auth")


@dataclass
class FakePublisher:
    """Remembers what was handed over."""

    handed: list[Job] = field(default_factory=list)

    def hand_over(self, job: Job) -> None:
        self.handed.append(job)


@dataclass
class Surroundings:
    """Fakes around real use cases."""

    jobs: FakeJobs = field(default_factory=FakeJobs)
    uploads: FakeUploads = field(default_factory=FakeUploads)
    store: FakePhotoStore = field(default_factory=FakePhotoStore)
    auth: FakeAuth = field(default_factory=FakeAuth)
    publisher: FakePublisher = field(default_factory=FakePublisher)
    clock: FakeClock = field(default_factory=FakeClock)
    policy: AddressPolicy = field(default_factory=AddressPolicy)
    photo_policy: AddressPolicy = field(default_factory=AddressPolicy)
    least_speed: int = 16384
    per_user: int = 0
    per_address: int = 0
    trusted_proxies: Sequence[IpNetwork] = ()
    most_pending: int = 1000
    take_back: TakeBack = field(init=False)

    def __post_init__(self) -> None:
        self.take_back = TakeBack(jobs=self.jobs, uploads=self.uploads, clock=self.clock, lifetime=LIFETIME)

    def use_cases(self) -> UseCases:
        """The gateway's use cases among these fakes."""
        check = CheckConnection(self.auth, self.clock, remember=timedelta(seconds=60))
        uploads, store, clock = self.uploads, self.store, self.clock
        own = OwnCounts(NOON.timestamp)
        return UseCases(
            admit_request=AdmitRequest(
                own, own, per_user=self.per_user, per_address=self.per_address, now=NOON.timestamp
            ),
            connect_account=ConnectAccount(self.auth, patience=0.05),
            enqueue_job=EnqueueJob(
                check_connection=check,
                bound_pending=BoundPending(self.jobs, self.clock, most=self.most_pending),
                claim_photo=self._claim_photo(),
                jobs=self.jobs,
                publisher=self.publisher,
                take_back=self.take_back,
                key_ring=KEY_RING,
                clock=self.clock,
            ),
            receive_upload=ReceiveUpload(
                check_connection=check, uploads=uploads, store=store, clock=clock, lifetime=LIFETIME
            ),
            presign_upload=PresignUpload(
                check_connection=check, uploads=uploads, store=store, clock=clock, lifetime=LIFETIME
            ),
            read_job_status=ReadJobStatus(self.jobs),
            record_job_event=self.record_job_event(),
            check_connection=check,
            address_policies=AddressPolicies(self.policy, self.photo_policy),
            least_speed=self.least_speed,
            trusted_proxies=self.trusted_proxies,
        )

    def record_job_event(self, retention: Retention | None = None) -> RecordJobEvent:
        """What happens to a job's event."""
        settle = SettlePhotos(uploads=self.uploads, discard=self._discard(), clock=self.clock, lifetime=LIFETIME)
        keep = Retention(completed_days=0, failed_days=0)
        hold = HoldPhoto(self._claim_photo())
        return RecordJobEvent(self.jobs, settle, hold, self.clock, retention=retention or keep)

    def _claim_photo(self) -> ClaimPhoto:
        return ClaimPhoto(uploads=self.uploads, jobs=self.jobs, store=self.store, clock=self.clock, lifetime=LIFETIME)

    def refs(self) -> set[str]:
        """Of every photo of which anything is left."""
        return set(self.store.photos) | set(self.uploads.kept)

    def sweep_uploads(self) -> SweepUploads:
        """What happens to photos from time to time."""
        return SweepUploads(
            uploads=self.uploads, jobs=self.jobs, discard=self._discard(), clock=self.clock, lifetime=LIFETIME
        )

    def _discard(self) -> DiscardUpload:
        return DiscardUpload(uploads=self.uploads, store=self.store, clock=self.clock)

    def app(self, tracer_provider: TracerProvider | None = None, origins: Sequence[str] = ()) -> FastAPI:
        """The gateway's app, without anything real behind it."""
        app = make_gateway_app(_nothing_to_open, tracer_provider=tracer_provider, origins=origins)
        app.state.use, app.state.checks = self.use_cases(), {}
        return app


@asynccontextmanager
async def _nothing_to_open(_: FastAPI) -> AsyncIterator[None]:
    yield
