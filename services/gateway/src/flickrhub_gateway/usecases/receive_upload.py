"""Takes a photo in: from the wire into the photo store, never the whole of it in memory."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta

import structlog

from flickrhub_common.background import beside, every
from flickrhub_common.clock import Clock
from flickrhub_common.errors import Unavailable
from flickrhub_common.logs import logger
from flickrhub_common.photo_formats import PhotoFormat
from flickrhub_common.photo_store import PhotoStore
from flickrhub_gateway.ports import Uploads
from flickrhub_gateway.reading_ahead import reading_ahead
from flickrhub_gateway.uploads import Arriving, Received, Upload, UploadState, plain_filename
from flickrhub_gateway.usecases.check_connection import CheckConnection
from flickrhub_gateway.usecases.inspect_arrival import InspectArrival

log = logger(__name__)

PIECES_AHEAD = 1
KEEP_SECONDS = 60.0
TIDY_SECONDS = 1.0
UNFINISHED = timedelta(minutes=5)
"""How long a record outlives the gateway that was receiving its photo; while that lives, it keeps the record."""


class ReceiveUpload:
    """Stores the record, then the photo's bytes as they come, then notes that it is whole; or leaves nothing."""

    def __init__(
        self,
        *,
        check_connection: CheckConnection,
        uploads: Uploads,
        store: PhotoStore,
        clock: Clock,
        lifetime: timedelta,
    ) -> None:
        self._check_connection = check_connection
        self._uploads = uploads
        self._store = store
        self._clock = clock
        self._lifetime = lifetime
        self._tidying: set[asyncio.Task[None]] = set()
        self._under_way: set[asyncio.Future[None]] = set()

    async def __call__(self, arriving: AsyncIterator[Arriving], *, user_id: str | None) -> Received:
        """What was received. ``user_id`` is known before the body, or comes in it.

        Raises TokenNotFound, InvalidRequest, PayloadTooLarge, or Unavailable when Mongo, auth or the store is away, or
        when the gateway stops.
        """
        arrival = InspectArrival(arriving, self._check_connection)
        if user_id is not None:
            await arrival.named(user_id)
        found = await arrival.begin()
        ref = str(uuid.uuid4())
        structlog.contextvars.bind_contextvars(photo_ref=ref)
        with self._noted():
            received = await self._whole_or_nothing(arrival, found, ref)
        log.info("upload_received", user_id=arrival.user_id, bytes=received.size, content_type=received.content_type)
        return received

    async def ended(self, seconds: float) -> None:
        """Wait until no upload is under way, at most so long: cancelled ones still have to tidy up."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=seconds)

    @contextmanager
    def _noted(self) -> Iterator[None]:
        ended = asyncio.get_running_loop().create_future()
        self._under_way.add(ended)
        try:
            yield
        finally:
            self._under_way.discard(ended)
            ended.set_result(None)

    async def _whole_or_nothing(self, arrival: InspectArrival, found: PhotoFormat, ref: str) -> Received:
        kept = False
        try:
            received = await self._receive(arrival, found, ref)
            kept = True
        except asyncio.CancelledError as error:
            raise Unavailable("gateway") from error  # it stops, and its grace is over: the client is to try again
        finally:
            if not kept:
                await self._leave_nothing(ref)
        return received

    async def _receive(self, arrival: InspectArrival, found: PhotoFormat, ref: str) -> Received:
        await self._uploads.add(self._record(arrival, ref))
        async with beside(self._keep(ref)), reading_ahead(arrival.pieces(found), most=PIECES_AHEAD) as pieces:
            await self._store.put(ref, pieces, content_type=found.content_type)
        received = Received(
            ref=ref,
            size=arrival.size,
            sha256=arrival.sha256,
            content_type=found.content_type,
            expires_at=self._clock.now() + self._lifetime,
        )
        if not await self._uploads.finish(received, user_id=arrival.user_id):
            raise Unavailable("mongo")  # it was away for so long that the record was swept
        return received

    def _record(self, arrival: InspectArrival, ref: str) -> Upload:
        now = self._clock.now()
        return Upload(
            ref=ref,
            user_id=None,
            state=UploadState.RECEIVING,
            filename=plain_filename(arrival.filename),
            created_at=now,
            expires_at=now + UNFINISHED,
        )

    async def _keep(self, ref: str) -> None:
        """Have the record outlive a long upload."""

        async def keep() -> None:
            await self._uploads.keep(ref, until=self._clock.now() + UNFINISHED)

        await asyncio.sleep(KEEP_SECONDS)
        await every(KEEP_SECONDS, keep)

    async def _leave_nothing(self, ref: str) -> None:
        """Tidy up, also when the request was cancelled; the answer waits for it only a moment."""
        tidying = asyncio.create_task(self._tidy(ref))
        self._tidying.add(tidying)
        tidying.add_done_callback(self._tidying.discard)
        await asyncio.wait({tidying}, timeout=TIDY_SECONDS)

    async def _tidy(self, ref: str) -> None:
        """Delete what is there."""
        try:
            await self._store.delete(ref)
            await self._uploads.remove(ref)
        except Unavailable as error:
            log.warning("upload_left_to_the_sweeper", dependency=error.dependency)
        except Exception:  # the edge of a task that nobody waits for: the sweeper tries again
            log.exception("upload_left_to_the_sweeper")
