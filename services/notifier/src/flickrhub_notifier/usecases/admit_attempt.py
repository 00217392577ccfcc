"""Let an attempt pass to its endpoint, or say that it has to wait."""

import random
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from flickrhub_common.clock import Clock
from flickrhub_common.errors import Unavailable
from flickrhub_common.logs import logger
from flickrhub_notifier.models import Answer, Delivery, NoRoom, Report, Sign, Slot, endpoint_of
from flickrhub_notifier.ports import Endpoints
from flickrhub_notifier.usecases.judge_endpoint import LONGEST_WAIT_SECONDS, decide_wait, endpoint_key, judge_endpoint

log = logger(__name__)

WITHOUT_REDIS_SECONDS = 5.0
STEP_SECONDS = 0.05
"""How far apart turns are while Redis is away and nobody knows an endpoint's pace."""


@dataclass
class AdmitAttempt:
    """The gate before every attempt: so many at once for each user and endpoint, none while its breaker is open.

    While Redis is away each process lets as many pass on its own, without breakers, and asks Redis again every few
    seconds: so callbacks go on, and none waits for Redis' time limits.
    """

    endpoints: Endpoints
    clock: Clock
    concurrency: int
    _here: Counter[str] = field(default_factory=Counter)
    _tails: dict[str, float] = field(default_factory=dict)
    _alone_until: float = 0.0

    async def __call__(self, delivery: Delivery) -> "Visit | NoRoom":
        """A visit to the delivery's endpoint, to be entered as a block; or why there can't be one now."""
        endpoint, owner = endpoint_key(delivery.user_id, delivery.url), uuid.uuid4().hex
        found = await self._shared(endpoint, owner)
        if found is None:
            found = self._alone(endpoint, owner)
        if isinstance(found, NoRoom):
            return found
        self._here[endpoint] += 1
        return Visit(self, found, delivery)

    def seconds_to_wait(self, room: NoRoom, *, waits: int) -> float:
        """How long a delivery waits that has waited so often already."""
        return decide_wait(room, waits=waits, chance=random.random())  # noqa: S311 - spreads waits, protects nothing

    async def give_back(self, slot: Slot, delivery: Delivery, report: Report) -> None:
        """End a slot. It never raises: without Redis the slot ends by itself, with its lease."""
        self._here[slot.endpoint] -= 1
        if not self._here[slot.endpoint]:
            del self._here[slot.endpoint]
        if not slot.shared:
            return
        try:
            shut = await self.endpoints.leave(slot, report)
        except Unavailable as error:
            self._go_alone(error)
        else:
            if shut:
                log.warning("endpoint_shut", endpoint=endpoint_of(delivery.url), probe=slot.probe)

    async def _shared(self, endpoint: str, owner: str) -> Slot | NoRoom | None:
        if time.monotonic() < self._alone_until:
            return None
        try:
            found = await self.endpoints.enter(endpoint, owner=owner)
        except Unavailable as error:
            self._go_alone(error)
            return None
        self._tails.clear()
        return found

    def _alone(self, endpoint: str, owner: str) -> Slot | NoRoom:
        if not self.concurrency or self._here[endpoint] < self.concurrency:
            return Slot(endpoint, owner, shared=False)
        now = time.monotonic()
        turn = max(now, self._tails.get(endpoint, now)) + STEP_SECONDS
        if turn - now <= LONGEST_WAIT_SECONDS:
            self._tails[endpoint] = turn
        return NoRoom(shut_for=0.0, turn_in=turn - now)

    def _go_alone(self, error: Unavailable) -> None:
        now = time.monotonic()
        if now >= self._alone_until:
            log.warning("endpoints_not_shared", dependency=error.dependency)
        self._alone_until = now + WITHOUT_REDIS_SECONDS


@dataclass
class Visit:
    """A slot held for a delivery: given back at the end of the block, or before it with what an attempt has learnt."""

    gate: AdmitAttempt
    slot: Slot
    delivery: Delivery
    ended: bool = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self._end(Report(self.delivery.id, Sign.NONE, 0.0))

    async def end(self, answer: Answer, *, seconds: float) -> None:
        """The attempt is over, this came of it, and it took so long."""
        now = self.gate.clock.now()
        await self._end(judge_endpoint(answer, delivery_id=self.delivery.id, seconds=seconds, now=now))

    async def _end(self, report: Report) -> None:
        if not self.ended:
            self.ended = True
            await self.gate.give_back(self.slot, self.delivery, report)
