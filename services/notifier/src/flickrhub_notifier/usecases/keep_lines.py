"""Lines: what waits for an endpoint's room waits in MongoDB, costs nothing meanwhile, and is called in its turn."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from flickrhub_common.clock import Clock
from flickrhub_common.contracts import CallbackDue
from flickrhub_common.errors import Unavailable
from flickrhub_common.logs import logger
from flickrhub_common.topology import NOTIFIER_CALLBACKS_DUE
from flickrhub_notifier.models import Delivery, Room
from flickrhub_notifier.ports import Deliveries, Endpoints, Postbox

log = logger(__name__)

CALL_AGAIN_AFTER = timedelta(seconds=30)
"""How long someone called may take to come, before being called again: two calls do no harm."""
CALLED_AT_ONCE = 16
LOOKED_AT_ONCE = 50
LOOK_AGAIN_SECONDS = 10.0
EXPIRED_AT_ONCE = 200
ONE = Room(free=1)
"""What is assumed while Redis is away: whoever has left made room for one."""


@dataclass(frozen=True)
class KeepLines:
    """Those for whom an endpoint has no room line up; whoever leaves it, or its time, calls the next.

    The line itself is in the deliveries. Redis knows only which endpoint's to look at, and when; whatever it forgets
    is found by ``find``. To call is to send a CallbackDue: it leads to an attempt, or back into the line.
    """

    deliveries: Deliveries
    endpoints: Endpoints
    postbox: Postbox
    clock: Clock
    expire_after: timedelta

    async def line_up(self, delivery: Delivery, *, line: str) -> None:
        """Have a stored delivery wait for this endpoint. Raises Unavailable if it couldn't be stored."""
        await self.deliveries.line_up(delivery, line=line, now=self.clock.now())
        await self.announce(line)

    async def step_back(self, delivery: Delivery, *, line: str) -> None:
        """Have a delivery wait for this endpoint whose claim is ours and unused. Raises Unavailable."""
        await self.deliveries.step_back(delivery, line=line)
        await self.announce(line)

    async def announce(self, line: str) -> None:
        """Someone has lined up: there may be room by now. Never raises Unavailable: the line is found anyhow."""
        try:
            room = await self.endpoints.announce(line)
            await self.call(line, room)
        except Unavailable as error:
            log.info("line_not_announced", dependency=error.dependency)

    async def left(self, line: str, room: Room) -> None:
        """An attempt at this endpoint is over. Never raises Unavailable, as ``announce``."""
        if not room.line and room is not ONE:
            return
        try:
            if room.shut_for:
                await self.endpoints.look_again(line, seconds=room.shut_for)
            await self.call(line, room)
        except Unavailable as error:
            log.info("line_not_called", dependency=error.dependency)

    async def call(self, line: str, room: Room) -> None:
        """Call as many as there is room for. Raises Unavailable."""
        for _ in range(min(room.free, CALLED_AT_ONCE)):
            if not await self._call_next(line):
                if room is not ONE:
                    await self.endpoints.end_line(line, line=room.line)
                return

    async def look(self) -> None:
        """Look at the lines whose time has come. Raises Unavailable."""
        for line in await self.endpoints.to_look_at(count=LOOKED_AT_ONCE):
            room = await self.endpoints.look(line)
            await self.endpoints.look_again(line, seconds=room.shut_for or LOOK_AGAIN_SECONDS)
            await self.call(line, room)

    async def find(self) -> None:
        """Go through all lines: have each looked at, and call those who have waited too long. Raises Unavailable."""
        async for line in self.deliveries.lines():
            try:
                await self.call(line, await self.endpoints.announce(line))
            except Unavailable:
                await self._call_next(line)
            cutoff = self.clock.now() - self.expire_after
            for _ in range(EXPIRED_AT_ONCE):
                if not await self._call_next(line, since=cutoff):
                    break

    async def _call_next(self, line: str, *, since: datetime | None = None) -> bool:
        now = self.clock.now()
        found = await self.deliveries.call_next(line, since=since or now, until=now + CALL_AGAIN_AFTER)
        if found is not None:
            await self.postbox.send_later(due(found, found.next_attempt), queue=NOTIFIER_CALLBACKS_DUE, seconds=0.0)
        return found is not None


def due(delivery: Delivery, attempt: int) -> CallbackDue:
    """The message that this attempt of a delivery is due."""
    return CallbackDue(job_id=delivery.job_id, job_replay=delivery.job_replay, attempt=attempt, replay=delivery.replays)
