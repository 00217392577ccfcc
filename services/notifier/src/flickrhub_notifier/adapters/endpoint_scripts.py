"""What Redis does with endpoints in one step each: the Lua scripts of ``redis_endpoints.py``, by its clock.

KEYS of the first three are an endpoint's slots and what is known of it; their ARGV begin with the number of slots and
the time to keep. They answer with the room there is: ``{free, shut_for, line, …}``.
"""

_CLOCK = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local function exact(number) return string.format('%.6f', number) end
"""

_BEGIN = (
    _CLOCK
    + """
local slots, known = KEYS[1], KEYS[2]
local limit, kept = tonumber(ARGV[1]), ARGV[2]
local function number(text) return tonumber(text or '0') end

local function room(owner)
  local state = redis.call('HMGET', known, 'opened', 'open_until', 'slow_until', 'probe', 'probe_until', 'line')
  redis.call('ZREMRANGEBYSCORE', slots, '-inf', exact(now))
  local opened, shut = number(state[1]), math.max(number(state[2]), number(state[3]))
  local free = math.max(0, limit - redis.call('ZCARD', slots))
  if owner and redis.call('ZSCORE', slots, owner) then free = free + 1 end
  if opened > 0 then
    free = math.min(free, 1)
    if state[4] and state[4] ~= owner then shut = math.max(shut, number(state[5])) end
  end
  if shut > now then free = 0 end
  return {free, exact(math.max(0, shut - now)), number(state[6]), opened}
end
"""
)

ENTER = (
    _BEGIN
    + """
local owner, lease = ARGV[3], tonumber(ARGV[4])
local found = room(owner)
if found[1] == 0 then
  if ARGV[5] == 'has none' and tonumber(found[2]) == 0 then
    redis.call('HSET', known, 'wanted', exact(now))
    redis.call('EXPIRE', known, kept)
  end
  return found
end
redis.call('ZADD', slots, exact(now + lease), owner)
redis.call('EXPIRE', slots, math.ceil(2 * lease))
if found[4] == 0 then return {} end
redis.call('HSET', known, 'probe', owner, 'probe_until', exact(now + lease))
redis.call('EXPIRE', known, kept)
return {1}
"""
)

LEAVE = (
    _BEGIN
    + """
local owner, sign, who = ARGV[3], ARGV[4], ARGV[5]
local asked, failures_to_open = tonumber(ARGV[6]), tonumber(ARGV[7])
local first, cap, spread = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local follower, lease = ARGV[11], tonumber(ARGV[12])
redis.call('ZREM', slots, owner)
local state = redis.call('HMGET', known, 'opened', 'failures', 'last', 'slow_until', 'probe', 'wanted')
local opened, failures = number(state[1]), number(state[2])
local probing = state[5] == owner
if probing then redis.call('HDEL', known, 'probe', 'probe_until') end

local did_open = 0
local function open()
  did_open = 1
  local span = math.min(cap, first * 2 ^ math.min(opened, 31)) * spread
  redis.call('HSET', known, 'opened', opened + 1, 'open_until', exact(now + span))
end

if sign == 'well' then
  redis.call('HDEL', known, 'failures', 'last', 'opened', 'open_until', 'probe', 'probe_until')
elseif sign == 'strained' then
  if asked > 0 then redis.call('HSET', known, 'slow_until', exact(math.max(number(state[4]), now + asked))) end
  if opened > 0 then
    if probing then open() end
  elseif failures_to_open > 0 and state[3] ~= who then
    redis.call('HSET', known, 'failures', failures + 1, 'last', who)
    if failures + 1 >= failures_to_open then open() end
  end
  redis.call('EXPIRE', known, kept)
end
local found = room(follower ~= '' and follower)
found[5], found[6] = 0, 0
if follower ~= '' and number(state[6]) > now - 1 then
  redis.call('HDEL', known, 'wanted')
  found[6] = 1
elseif follower ~= '' and found[1] > 0 and found[4] == 0 then
  redis.call('ZADD', slots, exact(now + lease), follower)
  redis.call('EXPIRE', slots, math.ceil(2 * lease))
  found[1], found[5] = found[1] - 1, 1
end
found[4] = did_open
return found
"""
)

LOOK = (
    _BEGIN
    + """
if ARGV[3] == 'announce' then
  redis.call('HINCRBY', known, 'line', 1)
  redis.call('EXPIRE', known, kept)
end
local found = room()
found[4] = 0
return found
"""
)

END_LINE = """
if redis.call('HGET', KEYS[1], 'line') ~= ARGV[1] then return 0 end
return redis.call('HDEL', KEYS[1], 'line')
"""

LOOK_AGAIN = (
    _CLOCK
    + """
if ARGV[4] == 'sooner' then
  redis.call('ZADD', KEYS[1], 'LT', exact(now + ARGV[2]), ARGV[1])
else
  redis.call('ZADD', KEYS[1], exact(now + ARGV[2]), ARGV[1])
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
"""
)

TO_LOOK_AT = (
    _CLOCK
    + """
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', exact(now), 'LIMIT', 0, ARGV[1])
for _, endpoint in ipairs(found) do redis.call('ZADD', KEYS[1], exact(now + ARGV[2]), endpoint) end
return found
"""
)

STATE = (
    _CLOCK
    + """
local state = redis.call('HMGET', KEYS[1], 'opened', 'open_until', 'slow_until')
local function number(text) return tonumber(text or '0') end
if number(state[1]) > 0 then return number(state[2]) > now and 'open' or 'probing' end
return number(state[3]) > now and 'asked_to_wait' or 'closed'
"""
)
