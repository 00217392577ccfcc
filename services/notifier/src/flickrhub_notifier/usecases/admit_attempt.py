"""Let an attempt pass to its endpoint, or say that it has to wait."""

import asyncio
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

from flickrhub_common.clock import Clock
from flickrhub_common.errors import Unavailable
from flickrhub_common.logs import logger
from flickrhub_notifier.models import Answer, Delivery, Report, Room, Sign, Slot, endpoint_of
from flickrhub_notifier.ports import UNMETERED, Endpoints, Meter
from flickrhub_notifier.usecases.judge_endpoint import endpoint_key, judge_endpoint
from flickrhub_notifier.usecases.keep_lines import ONE, KeepLines
from flickrhub_notifier.usecases.places import YIELD_SECONDS, Place, Places, Waiting

log = logger(__name__)

WITHOUT_REDIS_SECONDS = 5.0


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
    meter: Meter = UNMETERED
    _places: Places = field(default_factory=Places)
    _alone_until: float = 0.0

    async def __call__(self, delivery: Delivery) -> "Visit | str":
        """A visit to the delivery's endpoint, to be entered as a block; or whose line it has to wait in."""
        endpoint, owner = endpoint_key(delivery.user_id, delivery.url), uuid.uuid4().hex
        place = self._places.of(endpoint)
        in_vain = place.full(self.concurrency, called=delivery.line is not None)
        found: Slot | Room = Room() if in_vain else await self._enter(place, endpoint, owner)
        if isinstance(found, Room) and not found.shut_for:
            found = await self._at_the_door(place, endpoint, owner)
        return endpoint if isinstance(found, Room) else Visit(self, found, delivery)

    def crowded(self, delivery: Delivery) -> bool:
        """Whether an attempt at this delivery's endpoint would hardly be let in now, as far as this process knows."""
        place, now = self._places.of(endpoint_key(delivery.user_id, delivery.url)), time.monotonic()
        return now < place.shut_until or (
            place.full(self.concurrency) and not place.room_at_the_door(self.concurrency, now=now)
        )

    async def leave(self, slot: Slot, delivery: Delivery, report: Report, *, seconds: float) -> Room:
        """End a slot that was held so long; the room there is then for those in line.

        The slot is the next one's at the door, who needn't ask. It never raises: a slot ends with its lease anyhow.
        """
        place = self._places.of(slot.endpoint)
        place.leave(stayed=seconds, now=time.monotonic())
        if not slot.shared:
            return self._let_in(place, ONE)
        with self._handing_over(place) as follower:
            room = await self._left(slot, report, follower.owner if follower else None)
            if follower is not None:
                room = await self._hand_over(place, room, replace(slot, owner=follower.owner, probe=False), follower)
        place.see(room, now=time.monotonic())
        if room.opened:
            self.meter.shut()
            log.warning("endpoint_shut", endpoint=endpoint_of(delivery.url), probe=slot.probe)
        lines_turn = follower is None and place.door and room.line
        return room if lines_turn else self._let_in(place, room)

    @contextmanager
    def _handing_over(self, place: Place) -> Iterator[Waiting | None]:
        """The first at the door, if it is their turn: who wasn't handed the slot within the block is to try."""
        follower = place.next_at_the_door()
        try:
            yield follower
        finally:
            if follower is not None and follower not in place.door and not follower.let_in.done():
                follower.let_in.set_result(None)

    async def _hand_over(self, place: Place, room: Room, slot: Slot, follower: Waiting) -> Room:
        """Give the follower their slot, if it was had; the room there is beside them."""
        if room.wanted:
            if not follower.let_in.done():
                place.door.appendleft(follower)
            place.yields_until = time.monotonic() + YIELD_SECONDS
            return replace(room, free=0)
        if not room.handed:
            return replace(room, free=max(0, room.free - 1))  # the follower tries
        if follower.let_in.done():  # cut off meanwhile
            return await self._left(slot, Report("", Sign.NONE), None)
        place.enter(now=time.monotonic())
        follower.let_in.set_result(slot)
        return room

    def _let_in(self, place: Place, room: Room) -> Room:
        """Have one from the door try, if there is room and it is their turn; the room for those in line."""
        follower = place.next_at_the_door() if room.free and time.monotonic() >= place.yields_until else None
        if follower is None:
            return room
        follower.let_in.set_result(None)
        return replace(room, free=room.free - 1)

    async def _left(self, slot: Slot, report: Report, follower: str | None) -> Room:
        place = self._places.of(slot.endpoint)
        place.leaving += 1
        try:
            return await self.endpoints.leave(slot, report, follower=follower)
        except Unavailable as error:
            self._go_alone(error)
            return ONE
        finally:
            place.leaving -= 1

    async def _enter(self, place: Place, endpoint: str, owner: str) -> Slot | Room:
        found = await self._asked(place, endpoint, owner)
        if isinstance(found, Slot):
            place.enter(now=time.monotonic())
        else:
            place.refuse(found, now=time.monotonic())
        return found

    async def _asked(self, place: Place, endpoint: str, owner: str) -> Slot | Room:
        if time.monotonic() >= self._alone_until:
            try:
                return await self.endpoints.enter(endpoint, owner=owner, has_none=not place.busy)
            except Unavailable as error:
                self._go_alone(error)
        if not self.concurrency or place.inside < self.concurrency:
            return Slot(endpoint, owner, shared=False)
        return Room()

    async def _at_the_door(self, place: Place, endpoint: str, owner: str) -> Slot | Room:
        found: Slot | Room = Room()
        began, was_first = time.monotonic(), False
        while isinstance(found, Room) and not found.shut_for:
            now = time.monotonic()
            if now < place.shut_until or not place.room_at_the_door(self.concurrency, now=now):
                break
            waiting = Waiting(owner, asyncio.get_running_loop().create_future())
            (place.door.appendleft if was_first else place.door.append)(waiting)
            if not await self._let_in_by(place, waiting, began=began):
                break
            was_first = not waiting.let_in.done()
            handed = None if was_first else waiting.let_in.result()
            found = handed or await self._enter(place, endpoint, owner)
        return found

    async def _let_in_by(self, place: Place, waiting: Waiting, *, began: float) -> bool:
        """Wait for one's turn; False if it hasn't come in time. Whose slot is being handed over gets it."""
        try:
            while not waiting.let_in.done():
                patience = place.wait_of(waiting, until=began + place.patience, now=time.monotonic())
                if patience <= 0:
                    return False
                await asyncio.wait({waiting.let_in}, timeout=patience)
                if place.is_left_to(waiting):
                    break
        except asyncio.CancelledError:
            if not waiting.let_in.cancel() and (slot := waiting.let_in.result()) is not None:
                place.inside -= 1
                await self._left(slot, Report("", Sign.NONE), None)
            raise
        finally:
            if waiting in place.door:
                place.door.remove(waiting)
        return True

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
