"""Accepts a call as a job: 202 means it will end."""

import asyncio
import uuid
from dataclasses import replace

import structlog

from flickrhub_common.clock import Clock
from flickrhub_common.contracts import Callback
from flickrhub_common.errors import Conflict, InvalidRequest, TokenNotFound, Unavailable
from flickrhub_common.json_text import dump
from flickrhub_common.logs import logger
from flickrhub_common.sealing import KeyRing
from flickrhub_common.telemetry import trace_headers, trace_uuid
from flickrhub_gateway.models import Job, NewJob, is_uuid
from flickrhub_gateway.ports import UNMETERED, Jobs, Meter, Publisher
from flickrhub_gateway.usecases.bound_pending import BoundPending
from flickrhub_gateway.usecases.check_connection import CheckConnection
from flickrhub_gateway.usecases.claim_photo import ClaimPhoto
from flickrhub_gateway.usecases.take_back import TakeBack

log = logger(__name__)

ACCEPT_SECONDS = 2.8
SECRET_PURPOSE = "callback_secret"  # noqa: S105 - what the sealed value is for
_TRACE_HEADERS = ("traceparent", "tracestate")


class EnqueueJob:
    """Stores the job, which is the promise, and hands it over to be published."""

    def __init__(
        self,
        *,
        check_connection: CheckConnection,
        bound_pending: BoundPending,
        claim_photo: ClaimPhoto,
        jobs: Jobs,
        publisher: Publisher,
        take_back: TakeBack,
        key_ring: KeyRing,
        clock: Clock,
        meter: Meter = UNMETERED,
    ) -> None:
        self._meter = meter
        self._check_connection = check_connection
        self._bound_pending = bound_pending
        self._claim_photo = claim_photo
        self._jobs = jobs
        self._publisher = publisher
        self._take_back = take_back
        self._key_ring = key_ring
        self._clock = clock

    async def __call__(self, new: NewJob) -> str:
        """The id of the accepted job.

        Raises TokenNotFound for a user without a connection, TooManyPending for one who has enough jobs waiting,
        InvalidRequest or Conflict for a photo it can't have, and Unavailable, within 3 s, when auth, Mongo or the photo
        store is away; then nothing was promised, and what may have been stored is taken back.
        """
        if not is_uuid(new.user_id):
            raise TokenNotFound  # no connection was ever called that: as unknown as any other
        job = self._job(new)
        structlog.contextvars.bind_contextvars(job_id=job.id, user_id=job.user_id)
        try:
            async with asyncio.timeout(ACCEPT_SECONDS):
                await self._check_connection(job.user_id)
                await self._bound_pending(job.user_id)
                try:
                    if new.photo is not None:
                        found = await self._claim_photo(new.photo, user_id=job.user_id, job_id=job.id)
                        job = replace(job, params=dump(found | new.params))
                    await self._jobs.add(job)
                except (InvalidRequest, Conflict):
                    raise
                except BaseException:  # a time-out comes as a cancellation: what was asked for may land all the same
                    self._take_back.note(job.id)
                    raise
        except TimeoutError:
            raise Unavailable("mongo") from TimeoutError(f"not stored within {ACCEPT_SECONDS} s")
        self._meter.accepted(job)
        self._publisher.hand_over(job)
        log.info("job_accepted", method=job.method, target=job.target.value)
        return job.id

    def _job(self, new: NewJob) -> Job:
        job_id = str(uuid.uuid4())
        carried = trace_headers()
        return Job(
            id=job_id,
            user_id=new.user_id.lower(),
            target=new.target,
            method=new.method,
            params=dump(new.params),
            meta=None if new.meta is None else dump(new.meta),
            callback=self._callback(new, job_id),
            trace_id=trace_uuid(),
            trace_headers={name: carried[name] for name in _TRACE_HEADERS if name in carried},
            created_at=self._clock.now(),
        )

    def _callback(self, new: NewJob, job_id: str) -> Callback | None:
        if new.callback_url is None:
            return None  # a secret without a URL has nothing to sign: it isn't kept
        secret = new.callback_secret
        sealed = None if secret is None else self._key_ring.seal(secret, purpose=SECRET_PURPOSE, owner=job_id)
        return Callback(url=new.callback_url, sealed_secret=sealed)
