"""The slots and breakers of endpoints in Redis, shared by every notifier (docs/adr/0016-endpoints.md).

An endpoint has two keys: ``endpoint:{…}:slots``, the owners of its slots with the end of their leases, and
``endpoint:{…}``, a hash with what is known of it:

* ``failures`` of different deliveries in a row, the ``last`` one of them, and ``opened``, how often in a row the
  breaker has opened (0: it is shut, calls pass), until ``open_until``; then one ``probe`` (an owner) is let in, and
  nobody else before its lease ends at ``probe_until``. One delivery's attempts alone never open it: they have their
  own schedule.
* ``slow_until``: the ``Retry-After`` it asked for.
* ``tail``: the turn of the last who lined up, and ``pace``: how long an attempt takes of late. Whoever finds no slot is
  told the next turn after ``tail``, so that a crowd comes back one by one, at the pace at which slots become free. The
  line is as long as ``reach``; who comes to a longer one isn't counted in, and told how long it would be.

All times are of the clock of Redis.
"""

import random

from redis.asyncio import Redis

from flickrhub_common.redis import redis_errors
from flickrhub_notifier.models import NoRoom, Report, Slot

REACH_SECONDS = 300.0
SHORT_WAIT_SECONDS = 0.5
"""Less than the delay ladder could do, and what clocks may differ by: nobody is sent away for less."""
KEPT_SECONDS = 3 * 3600
"""Longer than an endpoint can be shut."""
FIRST_PACE_SECONDS = 0.25
SHORTEST_STEP_SECONDS = 0.002
WITHOUT_LIMIT = 64

_BEGIN = """
local slots, known = KEYS[1], KEYS[2]
local owner = ARGV[1]
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local function exact(number) return string.format('%.6f', number) end
local function number(text) return tonumber(text or '0') end
"""

_ENTER = (
    _BEGIN
    + """
local limit, lease, short, reach = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local pace, least, width, kept = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9]
local state = redis.call('HMGET', known, 'opened', 'open_until', 'slow_until', 'probe', 'probe_until', 'tail', 'pace')
local opened, shut = number(state[1]), math.max(number(state[2]), number(state[3]))
redis.call('ZREMRANGEBYSCORE', slots, '-inf', exact(now))
local free = limit == 0 or redis.call('ZCARD', slots) < limit or redis.call('ZSCORE', slots, owner)

local function line_up(from)
  local step = math.max(least, tonumber(state[7] or pace) / width)
  local turn = math.max(from, number(state[6])) + step
  if turn - from <= reach then
    redis.call('HSET', known, 'tail', exact(turn))
    redis.call('EXPIRE', known, kept)
  end
  return {'wait', exact(math.max(0, from - now)), exact(turn - now)}
end

if shut - now > short then return line_up(shut) end
local probing = state[4] and state[4] ~= '' and state[4] ~= owner and number(state[5]) > now
if opened > 0 and probing then return line_up(number(state[5])) end
if not free then return line_up(now) end
redis.call('ZADD', slots, exact(now + lease), owner)
redis.call('EXPIRE', slots, math.ceil(2 * lease))
if opened == 0 then return {'go'} end
redis.call('HSET', known, 'probe', owner, 'probe_until', exact(now + lease))
redis.call('EXPIRE', known, kept)
return {'probe'}
"""
)

_LEAVE = (
    _BEGIN
    + """
local sign, who = ARGV[2], ARGV[3]
local seconds, asked, failures_to_open = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local first, cap, spread, kept = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10]
redis.call('ZREM', slots, owner)
local state = redis.call('HMGET', known, 'opened', 'failures', 'last', 'slow_until', 'probe', 'pace')
local opened, failures = number(state[1]), number(state[2])
local probing = state[5] == owner
if probing then redis.call('HDEL', known, 'probe', 'probe_until') end
if sign == 'none' then return 0 end

local function open()
  opened = opened + 1
  local span = math.min(cap, first * 2 ^ math.min(opened - 1, 32)) * spread
  redis.call('HSET', known, 'opened', opened, 'open_until', exact(now + span))
  return 1
end

local shut = 0
local pace = 0.8 * tonumber(state[6] or ARGV[4]) + 0.2 * seconds
if sign == 'well' then
  if opened > 0 then pace = seconds end
  redis.call('HDEL', known, 'failures', 'last', 'opened', 'open_until', 'probe', 'probe_until')
  if opened > 0 then redis.call('HDEL', known, 'tail') end
else
  if asked > 0 then redis.call('HSET', known, 'slow_until', exact(math.max(number(state[4]), now + asked))) end
  if opened > 0 then
    if probing then shut = open() end
  elseif failures_to_open > 0 and state[3] ~= who then
    redis.call('HSET', known, 'failures', failures + 1, 'last', who)
    if failures + 1 >= failures_to_open then shut = open() end
  end
end
redis.call('HSET', known, 'pace', exact(pace))
redis.call('EXPIRE', known, kept)
return shut
"""
)


class RedisEndpoints:
    """Implements the port ``Endpoints``.

    At most ``concurrency`` slots an endpoint (0: any number), each for ``lease_seconds`` at the most. After
    ``failures`` in a row (0: never) nobody is let in for ``open_seconds``, ±20 %, doubling up to ``longest_seconds``.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        concurrency: int,
        failures: int,
        open_seconds: float,
        lease_seconds: float,
        longest_seconds: float,
        short_wait_seconds: float = SHORT_WAIT_SECONDS,
    ) -> None:
        pace = (FIRST_PACE_SECONDS, SHORTEST_STEP_SECONDS, concurrency or WITHOUT_LIMIT)
        self._entering = (concurrency, lease_seconds, short_wait_seconds, REACH_SECONDS, *pace, KEPT_SECONDS)
        self._breaking = (failures, open_seconds, longest_seconds)
        self._enter = redis.register_script(_ENTER)
        self._leave = redis.register_script(_LEAVE)

    async def enter(self, endpoint: str, *, owner: str) -> Slot | NoRoom:
        """Take a slot, or line up. Asked again by the same owner, the answer is the same slot."""
        with redis_errors():
            answer = await self._enter(keys=_keys(endpoint), args=[owner, *self._entering])
        if answer[0] == b"wait":
            return NoRoom(float(answer[1]), float(answer[2]))
        return Slot(endpoint, owner, probe=answer[0] == b"probe")

    async def leave(self, slot: Slot, report: Report) -> bool:
        """Give the slot back and count what was learnt; True if that opened the breaker."""
        spread = random.uniform(0.8, 1.2)  # noqa: S311 - spreads waits, protects nothing
        learnt = (report.sign.value, report.delivery_id, report.seconds, report.asked)
        with redis_errors():
            opened = await self._leave(
                keys=_keys(slot.endpoint), args=[slot.owner, *learnt, *self._breaking, spread, KEPT_SECONDS]
            )
        return bool(opened)


def _keys(endpoint: str) -> list[str]:
    return [f"endpoint:{{{endpoint}}}:slots", f"endpoint:{{{endpoint}}}"]
