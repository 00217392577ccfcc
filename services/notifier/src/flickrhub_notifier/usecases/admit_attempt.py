"""Let an attempt pass to its endpoint, or say that it has to wait."""

import asyncio
import time
import uuid
from collections import defaultdict, deque
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

from flickrhub_common.clock import Clock
from flickrhub_common.errors import Unavailable
from flickrhub_common.logs import logger
from flickrhub_notifier.models import Answer, Delivery, Report, Room, Sign, Slot, endpoint_of
from flickrhub_notifier.ports import Endpoints
from flickrhub_notifier.usecases.judge_endpoint import endpoint_key, judge_endpoint
from flickrhub_notifier.usecases.keep_lines import ONE, KeepLines

log = logger(__name__)

WITHOUT_REDIS_SECONDS = 5.0
AT_THE_DOOR_SECONDS = 1.0
"""How long an attempt waits in its process for those before it to leave: much cheaper than the line, where an endpoint
answers fast."""
HEEDED = 0.2
"""How much the last attempt counts in the pace of an endpoint."""


@dataclass
class Place:
    """An endpoint as this process knows it: how many are in, those at its door, how long each stays (None: unknown)."""

    inside: int = 0
    door: deque[asyncio.Future[None]] = field(default_factory=deque)
    pace: float | None = None
    door_was_last: bool = False

    def room_at_the_door(self, concurrency: int) -> bool:
        """Whether another one would be let in soon enough."""
        if self.pace is None:
            return len(self.door) < concurrency
        return (len(self.door) + 1) * self.pace <= AT_THE_DOOR_SECONDS * concurrency

    def let_one_in(self, *, line: bool) -> bool:
        """Let the first at the door try, in turns with the line if there is one; whether it was the door's turn."""
        if not self.door or (line and self.door_was_last):
            self.door_was_last = False
            return False
        self.door.popleft().set_result(None)
        self.door_was_last = True
        return True


@dataclass
class AdmitAttempt:
    """The gate before every attempt: so many at once for each user and endpoint, none while its breaker is open.

    While Redis is away each process lets as many pass on its own, without breakers, and asks Redis again every few
    seconds: so callbacks go on, and none waits for Redis' time limits.
    """

    endpoints: Endpoints
    lines: KeepLines
    clock: Clock
    concurrency: int
    _places: defaultdict[str, Place] = field(default_factory=lambda: defaultdict(Place))
    _alone_until: float = 0.0

    async def __call__(self, delivery: Delivery) -> "Visit | str":
        """A visit to the delivery's endpoint, to be entered as a block; or whose line it has to wait in."""
        endpoint, owner = endpoint_key(delivery.user_id, delivery.url), uuid.uuid4().hex
        place = self._places[endpoint]
        try:
            found = await self._enter(endpoint, owner)
            if isinstance(found, Room) and not found.shut_for:
                found = await self._at_the_door(place, endpoint, owner)
            if isinstance(found, Room):
                return endpoint
            place.inside += 1
            return Visit(self, found, delivery)
        finally:
            self._tidy(endpoint)

    async def leave(self, slot: Slot, delivery: Delivery, report: Report, *, seconds: float) -> Room:
        """End a slot that was held so long; the room there is then for those in line.

        It never raises: a slot ends with its lease anyhow.
        """
        place = self._places[slot.endpoint]
        place.inside -= 1
        place.pace = seconds if place.pace is None else place.pace + HEEDED * (seconds - place.pace)
        room = await self._left(slot, report) if slot.shared else ONE
        if room.opened:
            log.warning("endpoint_shut", endpoint=endpoint_of(delivery.url), probe=slot.probe)
        if room.free and place.let_one_in(line=bool(room.line)):
            room = replace(room, free=room.free - 1)
        self._tidy(slot.endpoint)
        return room

    async def _left(self, slot: Slot, report: Report) -> Room:
        try:
            return await self.endpoints.leave(slot, report)
        except Unavailable as error:
            self._go_alone(error)
            return ONE

    async def _enter(self, endpoint: str, owner: str) -> Slot | Room:
        if time.monotonic() >= self._alone_until:
            try:
                return await self.endpoints.enter(endpoint, owner=owner)
            except Unavailable as error:
                self._go_alone(error)
        if not self.concurrency or self._places[endpoint].inside < self.concurrency:
            return Slot(endpoint, owner, shared=False)
        return Room()

    async def _at_the_door(self, place: Place, endpoint: str, owner: str) -> Slot | Room:
        found: Slot | Room = Room()
        ends = time.monotonic() + AT_THE_DOOR_SECONDS
        while isinstance(found, Room) and not found.shut_for and place.room_at_the_door(self.concurrency):
            let_in: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            place.door.append(let_in)
            try:
                await asyncio.wait({let_in}, timeout=ends - time.monotonic())
            finally:
                if not let_in.done():
                    place.door.remove(let_in)
            if not let_in.done():
                break
            found = await self._enter(endpoint, owner)
        return found

    def _tidy(self, endpoint: str) -> None:
        place = self._places.get(endpoint)
        if place is not None and not place.inside and not place.door:
            del self._places[endpoint]

    def _go_alone(self, error: Unavailable) -> None:
        now = time.monotonic()
        if now >= self._alone_until:
            log.warning("endpoints_not_shared", dependency=error.dependency)
        self._alone_until = now + WITHOUT_REDIS_SECONDS


@dataclass
class Visit:
    """A slot held for a delivery: given back at the end of the block, or before it with what an attempt has learnt.

    At the end of the block those who wait in line are called.
    """

    gate: AdmitAttempt
    slot: Slot
    delivery: Delivery
    began: float = field(default_factory=time.monotonic)
    room: Room | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self.room is None:
            await self._end(Report(self.delivery.id, Sign.NONE))
        await self.gate.lines.left(self.slot.endpoint, self.room or Room())

    async def end(self, answer: Answer) -> None:
        """The attempt is over, and this came of it."""
        await self._end(judge_endpoint(answer, delivery_id=self.delivery.id, now=self.gate.clock.now()))

    async def _end(self, report: Report) -> None:
        self.room = Room()  # once, also when this is cut off
        seconds = time.monotonic() - self.began
        self.room = await self.gate.leave(self.slot, self.delivery, report, seconds=seconds)
