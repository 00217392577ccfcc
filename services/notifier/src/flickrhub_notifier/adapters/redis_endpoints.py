"""The slots and breakers of endpoints in Redis, shared by every notifier (docs/adr/0017-endpoints.md).

An endpoint has two keys: ``endpoint:{…}:slots``, the owners of its slots with the end of their leases, and
``endpoint:{…}``, a hash with what is known of it:

* ``failures`` of different deliveries in a row, the ``last`` one of them, and ``opened``, how often in a row the
  breaker has opened (0: it is shut, calls pass), until ``open_until``; then one ``probe`` (an owner) is let in, and
  nobody else before its lease ends at ``probe_until``. One delivery's attempts alone never open it: they have their
  own schedule.
* ``slow_until``: the ``Retry-After`` it asked for.
* ``wanted``: when a process that has none of its slots last asked for one in vain.
* ``line``: grows with each delivery that lines up, and goes when the line was found empty.

``endpoints:lines`` holds when to look at which endpoint's line. All times are of the clock of Redis.
"""

import asyncio
import random

from flickrhub_common.redis import PipelinedRedis, redis_errors
from flickrhub_notifier.adapters.endpoint_scripts import END_LINE, ENTER, LEAVE, LOOK, LOOK_AGAIN, STATE, TO_LOOK_AT
from flickrhub_notifier.models import Report, Room, Slot

KEPT_SECONDS = 3 * 3600
"""Longer than an endpoint can be shut. A line that is forgotten is found again in MongoDB."""
LOOK_SECONDS = 10.0
"""How soon a line is looked at again when nobody has said otherwise: whoever should have done so may be dead."""
WITHOUT_LIMIT = 64
LINES = "endpoints:lines"


class RedisEndpoints:
    """Implements the port ``Endpoints``.

    At most ``concurrency`` slots an endpoint (0: any number), each for ``lease_seconds`` at the most. After
    ``failures`` in a row (0: never) nobody is let in for ``open_seconds``, ±20 %, doubling up to ``longest_seconds``.
    """

    def __init__(
        self,
        redis: PipelinedRedis,
        *,
        concurrency: int,
        failures: int,
        open_seconds: float,
        lease_seconds: float,
        longest_seconds: float,
    ) -> None:
        self._redis = redis
        self._common = (concurrency or 1_000_000, KEPT_SECONDS)
        self._lease = lease_seconds
        self._breaking = (failures, open_seconds, longest_seconds)
        self._enter, self._leave, self._look, self._end, self._again, self._to_look_at, self._state = (
            redis.register_script(script) for script in (ENTER, LEAVE, LOOK, END_LINE, LOOK_AGAIN, TO_LOOK_AT, STATE)
        )

    async def enter(self, endpoint: str, *, owner: str, has_none: bool = False) -> Slot | Room:
        """Take a slot. Asked again by the same owner, the answer is the same slot."""
        wish = "has none" if has_none else ""
        with redis_errors():
            answer = await self._enter(keys=_keys(endpoint), args=[*self._common, owner, self._lease, wish])
        return _room(answer) if len(answer) > 1 else Slot(endpoint, owner, probe=bool(answer))

    async def leave(self, slot: Slot, report: Report, *, follower: str | None = None) -> Room:
        """Give the slot back and count what was learnt; hand it over, but not to be a probe."""
        spread = random.uniform(0.8, 1.2)  # noqa: S311 - spreads waits, protects nothing
        learnt = (slot.owner, report.sign.value, report.delivery_id, report.asked)
        with redis_errors():
            answer = await self._leave(
                keys=_keys(slot.endpoint),
                args=[*self._common, *learnt, *self._breaking, spread, follower or "", self._lease],
            )
        return _room(answer)

    async def look(self, endpoint: str) -> Room:
        """See what room there is."""
        with redis_errors():
            return _room(await self._look(keys=_keys(endpoint), args=[*self._common, "look"]))

    async def announce(self, endpoint: str) -> Room:
        """Count someone into the line, and have it looked at when there may be room."""
        with redis_errors():
            room = _room(await self._look(keys=_keys(endpoint), args=[*self._common, "announce"]))
            await self._look_in(endpoint, room.shut_for or LOOK_SECONDS, "sooner")
        return room

    async def look_again(self, endpoint: str, *, seconds: float) -> None:
        """Have an endpoint with a line looked at in so many seconds, not earlier or later."""
        with redis_errors():
            await self._look_in(endpoint, seconds, "then")

    async def to_look_at(self, *, count: int) -> list[str]:
        """Endpoints whose line should be looked at now; the others of them are told to look later."""
        with redis_errors():
            found = await self._to_look_at(keys=[LINES], args=[count, LOOK_SECONDS])
        return [endpoint.decode() for endpoint in found]

    async def end_line(self, endpoint: str, *, line: int) -> None:
        """Forget an empty line.

        In this order, whoever lines up meanwhile either finds no look planned, and plans one, or is seen by the count.
        """
        with redis_errors():
            await self._redis.execute("ZREM", LINES, endpoint)
            if line and not await self._end(keys=[_keys(endpoint)[1]], args=[line]):
                await self._look_in(endpoint, 0.0, "sooner")

    async def count_lines(self) -> int:
        """How many endpoints have a line."""
        with redis_errors():
            return int(await self._redis.execute("ZCARD", LINES))

    async def states(self, *, most: int) -> list[str]:
        """How the breaker is of so many endpoints with a line: open, probing, asked_to_wait or closed."""
        with redis_errors():
            lines = await self._redis.execute("ZRANGE", LINES, 0, most - 1)
            asked = (self._state(keys=_keys(line.decode())[1:]) for line in lines)
            return [state.decode() for state in await asyncio.gather(*asked)]

    async def _look_in(self, endpoint: str, seconds: float, when: str) -> None:
        await self._again(keys=[LINES], args=[endpoint, seconds, KEPT_SECONDS, when])


def _room(answer: list[int | bytes]) -> Room:
    free, shut_for, line, opened, *followed = answer
    return Room(min(int(free), WITHOUT_LIMIT), float(shut_for), int(line), bool(opened), *map(bool, followed))


def _keys(endpoint: str) -> list[str]:
    return [f"endpoint:{{{endpoint}}}:slots", f"endpoint:{{{endpoint}}}"]
