"""Where requests are counted: in Redis for all gateways together, in memory for one that is without Redis."""

from collections.abc import Callable, Sequence

from flickrhub_common.redis import PipelinedRedis, redis_errors
from flickrhub_gateway.limits import MINUTE, Bucket, Standing, Whose, decide, noted

PREFIX = "limit:"
MOST_REMEMBERED = 100_000

_TAKE = """
local minute = tonumber(ARGV[#KEYS + 1]) * 1000000
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local refused, nearest, least = 0, 1, math.huge
local full, wait = {}, {}
for i, key in ipairs(KEYS) do
  local share = minute / tonumber(ARGV[i])
  local noted = tonumber(redis.call('GET', key) or '0')
  if noted > now + minute + 1000000 then noted = 0 end
  full[i] = math.max(noted, now) + share
  wait[i] = full[i] - minute - now
  if wait[i] > 100 and (refused == 0 or wait[i] > wait[refused]) then refused = i end
  local remaining = math.floor((minute - full[i] + now) / share + 0.001)
  if remaining < least then nearest, least = i, remaining end
end
if refused > 0 then
  local share = minute / tonumber(ARGV[refused])
  return {refused, 0, string.format('%.0f', full[refused] - share - now), string.format('%.0f', wait[refused])}
end
for i, key in ipairs(KEYS) do
  redis.call('SET', key, string.format('%.0f', full[i]), 'PX', math.ceil((full[i] - now) / 1000))
end
return {nearest, math.max(least, 0), string.format('%.0f', full[nearest] - now), '0'}
"""
"""GCRA, as ``limits.decide`` has it, by the clock of Redis, in microseconds. A refused request takes nothing."""


class RedisCounts:
    """Implements the port ``RequestCounts``. A key lives no longer than its bucket takes to be full again."""

    def __init__(self, redis: PipelinedRedis, *, prefix: str = PREFIX) -> None:
        self._prefix = prefix
        self._take = redis.register_script(_TAKE)

    async def take(self, buckets: Sequence[Bucket]) -> Standing:
        """Count one request in all these buckets, or in none. Raises Unavailable."""
        keys = [f"{self._prefix}{bucket.whose}:{bucket.name}" for bucket in buckets]
        with redis_errors():
            which, remaining, full_in, wait = await self._take(
                keys=keys, args=[*(bucket.per_minute for bucket in buckets), MINUTE]
            )
        return Standing(
            bucket=buckets[which - 1], remaining=remaining, full_in=int(full_in) / 1e6, wait=int(wait) / 1e6
        )


class OwnCounts:
    """Implements the port ``RequestCounts`` for this process alone; it forgets all when there are too many."""

    def __init__(self, now: Callable[[], float], *, most: int = MOST_REMEMBERED) -> None:
        self._now = now
        self._most = most
        self._full_at: dict[tuple[Whose, str], float] = {}

    async def take(self, buckets: Sequence[Bucket]) -> Standing:
        """Count one request in all these buckets, or in none."""
        now = self._now()
        keys = [(bucket.whose, bucket.name) for bucket in buckets]
        before = [noted(self._full_at.get(key, now), now) for key in keys]
        standing = decide(buckets, before, now=now)
        if not standing.wait:
            if len(self._full_at) >= self._most:
                self._full_at.clear()
            for key, at, bucket in zip(keys, before, buckets, strict=True):
                self._full_at[key] = at + MINUTE / bucket.per_minute
        return standing
