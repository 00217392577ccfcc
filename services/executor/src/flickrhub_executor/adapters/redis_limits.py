"""The rate limits in Redis, shared by every executor (docs/adr/0006-turns.md).

Two limits, one decision, by the clock of Redis:

* A **user** has a lane: turns at least ``1/per_second`` apart. A job that has to wait reserves the lane's next turn
  and waits for it elsewhere; it comes back with its reservation. So a thousand jobs of one user are looked at twice
  each, hold no worker, and don't stand before another user's job.
* An **api key** has a budget: at most ``per_hour`` calls in any 3600 s, kept as the times of the last ``per_hour`` of
  them. It is spent when a user's turn has come, never ahead, so nobody's waiting jobs eat what others need now. When
  it is spent, the job at the head of a lane reserves the next place in the budget and blocks its lane until then:
  users take places one by one, in the order in which they came.

Calls of one user are never closer than the lane allows: a call may be told to wait a moment (less than half a second,
less than the ladder could do) for the one before it; what comes back too late in a crowd goes to the end of its lane.
A reserved place in the budget is good for a few seconds, by which the hour is counted longer; who comes later, after
an outage, has to find another: else the places of the outage would all be used at once, on top of those that follow.
"""

import asyncio
import hashlib
import time

from flickrhub_common.contracts import Reservation
from flickrhub_common.redis import PipelinedRedis, redis_errors
from flickrhub_common.topology import MAX_DELAY_SECONDS
from flickrhub_executor.models import Go, WaitForTurn

HOUR_SECONDS = 3600.0
LATE_SECONDS = 5.0
SHORT_WAIT_SECONDS = 0.5
KEYS_REMEMBERED = 100
KEY_REMEMBERED_SECONDS = 2 * HOUR_SECONDS

_ADMIT = """
local lane, budget = KEYS[1], KEYS[2]
local interval, per_hour, hour = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local late, short, reach = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local held, at = ARGV[7], tonumber(ARGV[8])
local period = hour + late
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local state = redis.call('HMGET', lane, 'tail', 'last', 'block')
local tail, last, block = tonumber(state[1] or '0'), tonumber(state[2] or '0'), tonumber(state[3] or '0')

local function exact(number) return string.format('%.6f', number) end
local function save()
  redis.call('HSET', lane, 'tail', exact(tail), 'last', exact(last), 'block', exact(block))
  redis.call('EXPIREAT', lane, math.ceil(math.max(tail, now) + 2 * period))
end
local function wait(limit, turn)
  if turn - now > reach then return {'wait', '', '0', exact(reach)} end
  save()
  return {'wait', limit, exact(turn), exact(turn - now)}
end
local function line_up(earliest)
  local apart = interval
  if per_hour > 0 and now < block then apart = math.max(interval, period / per_hour) end
  tail = math.max(earliest, tail + apart)
  return wait('user', tail)
end
local function spend(turn)
  if per_hour == 0 then return end
  redis.call('LPUSH', budget, exact(turn))
  redis.call('LTRIM', budget, 0, per_hour - 1)
  redis.call('EXPIREAT', budget, math.ceil(turn + 2 * period))
end
local function room()
  if per_hour == 0 then return now end
  local oldest = redis.call('LINDEX', budget, per_hour - 1)
  return oldest and math.max(now, tonumber(oldest) + period) or now
end

if held ~= '' and at - now > short then return {'wait', held, exact(at), exact(at - now)} end
local turn = held == '' and math.max(now, tail + interval) or at
local go = math.max(now, turn, last + interval)
if held == 'key' and go > at + late then held = 'user' end
if held ~= 'key' and math.max(turn, now) < block then return line_up(block) end
if held == '' and turn - now <= short then tail = turn
elseif held == '' then return line_up(now) end
if go - now > short then return line_up(last + interval) end
if held ~= 'key' then
  local free = room()
  if free - now > short then
    if free - now <= reach then spend(free) end
    tail, block = math.max(tail, free), free
    return wait('key', free)
  end
  go = math.max(go, free)
  spend(go)
end
last = go
save()
return {'go', exact(go - now)}
"""

_USED = """
local time = redis.call('TIME')
local begin, count = time[1] + time[2] / 1000000 - tonumber(ARGV[1]), redis.call('LLEN', KEYS[1])
local low, high = 0, count  -- the newest are first: how many are within the hour
while low < high do
  local middle = math.floor((low + high) / 2)
  if tonumber(redis.call('LINDEX', KEYS[1], middle)) > begin then low = middle + 1 else high = middle end
end
return low
"""


class RedisLimits:
    """Implements the port ``Limits``; 0 switches a limit off.

    ``hour_seconds`` is the span of ``per_hour``, ``late_seconds`` for how long a reserved place in it is good.
    """

    def __init__(
        self,
        redis: PipelinedRedis,
        *,
        prefix: str,
        per_hour: int,
        per_second: float,
        hour_seconds: float = HOUR_SECONDS,
        late_seconds: float = LATE_SECONDS,
    ) -> None:
        self._prefix = prefix
        self._off = not (per_hour or per_second)
        interval = 1 / per_second if per_second else 0.0
        self._rules = (interval, per_hour, hour_seconds, late_seconds, SHORT_WAIT_SECONDS, MAX_DELAY_SECONDS)
        self._admit = redis.register_script(_ADMIT)
        self._used = redis.register_script(_USED)
        self._keys: dict[str, float] = {}

    async def admit(self, *, user_id: str, api_key: str, reservation: Reservation | None) -> Go | WaitForTurn:
        """Ask for a turn, or redeem the one that was reserved.

        A turn beyond the delay ladder's reach isn't reserved: the job is told to ask again after the ladder's longest.
        """
        if self._off:
            return Go(0.0)
        key = hashlib.sha256(api_key.encode()).hexdigest()[:16]
        self._remember(key)
        held, at = (reservation.limit, reservation.at) if reservation else ("", 0.0)
        with redis_errors():
            answer = await self._admit(
                keys=[f"{self._prefix}lane:{user_id}:{key}", f"{self._prefix}budget:{key}"],
                args=[*self._rules, held, at],
            )
        if answer[0] == b"go":
            return Go(float(answer[1]))
        limit, turn, seconds = answer[1].decode(), float(answer[2]), float(answer[3])
        return WaitForTurn(seconds, Reservation(limit=limit, at=turn) if limit else None)

    async def left(self) -> dict[str, int]:
        """How many calls each api key met lately may make now, by the beginning of its hash; empty without that limit.

        Raises Unavailable.
        """
        _, per_hour, hour, late, *_ = self._rules
        if not per_hour:
            return {}
        oldest = time.monotonic() - KEY_REMEMBERED_SECONDS
        self._keys = {key: met for key, met in self._keys.items() if met > oldest}
        keys = list(self._keys)
        asked = (self._used(keys=[f"{self._prefix}budget:{key}"], args=[hour + late]) for key in keys)
        with redis_errors():
            used = await asyncio.gather(*asked)
        return {key: max(0, round(per_hour) - count) for key, count in zip(keys, used, strict=True)}

    def _remember(self, key: str) -> None:
        """Note that a key is in use: the first ones, so that who has many sees the same ones from look to look."""
        if key in self._keys or len(self._keys) < KEYS_REMEMBERED:
            self._keys[key] = time.monotonic()
