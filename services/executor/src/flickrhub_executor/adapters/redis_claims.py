"""Claims in Redis: one hash a job, ``claim:<job id>``.

``state`` is ``running`` (by ``owner``, until ``until``), ``retry`` (this message is done with, ``body`` is the next
one), ``ended`` (``body`` is the outcome's event, being told by somebody until ``until``) or ``reported`` (every
reader has been told, so only a few words are kept). ``sequence`` is the number of the message it speaks of.

``replay`` is the run it speaks of: 0, or the number of the replay from the dead letters. A replay begins afresh where
the run before it failed, once that failure has been told; messages of an earlier run find that there is nothing left
to do. A job that ``completed`` is never run again, whatever is replayed.

``deaths`` counts how often the claim of an attempt was taken over, its executor having died or crashed. No message can
count them: whoever finds the job held sends a new copy of the message, and the broker's count begins again.
"""

import uuid

from flickrhub_common.contracts import JobCompleted, JobFailed, JobRequested
from flickrhub_common.redis import PipelinedRedis, redis_errors
from flickrhub_executor.models import Claim, Concluded, Held, Outcome, Superseded, Taken

KEPT_SECONDS = 4 * 24 * 3600
"""Longer than a copy of a message can be on its way: the ladder reaches 73 hours."""
REPLAY_KEPT_SECONDS = 30 * 24 * 3600
"""A dead letter that was replayed and not taken away (the tool was killed in between) may lie there for weeks."""

_READ = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local function exact(number) return string.format('%.6f', number) end
local claim = redis.call('HMGET', KEYS[1], 'state', 'sequence', 'until', 'body', 'due', 'owner', 'buried', 'doubtful')
local state, sequence, left = claim[1], tonumber(claim[2] or '0'), tonumber(claim[3] or '0') - now
local runs = redis.call('HMGET', KEYS[1], 'replay', 'completed', 'deaths')
local run, mine, deaths = tonumber(runs[1] or '0'), tonumber(ARGV[1]), tonumber(runs[3] or '0')
local nothing_left = mine < run or (mine > run and runs[2])
local function begin(word, kept)
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'state', word, 'replay', mine)
  redis.call('EXPIRE', KEYS[1], kept)
end
local function ended(telling)
  if state == 'reported' then return {'concluded', '', '', ''} end
  if left > 0 then return {'held', tostring(left)} end
  if redis.call('HINCRBY', KEYS[1], 'tellings', 1) <= 5 then  -- else its copies crash until the edge buries one
    redis.call('HSET', KEYS[1], 'until', exact(now + telling))
  end
  return {'concluded', claim[4], (mine > run and '1') or claim[7] or '', claim[8] or ''}
end
"""

_TAKE = (
    _READ
    + """
local number, lease, kept, owner = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], ARGV[6]
if nothing_left then return {'concluded', '', '', ''} end
local died = state == 'running' and claim[6] ~= owner
if died and left > 0 then return {'held', tostring(left)} end
if state == 'ended' then return ended(ARGV[5]) end
local doubtful = died or (state == 'running' and claim[8] == '1')  -- whoever asks again has the same answer
if mine > run then
  deaths = 0
  if state == 'retry' then doubtful = claim[8] == '1' end
else
  if state == 'reported' then return ended(ARGV[5]) end
  if died then deaths = deaths + 1 end
  if died and sequence > number then return {'superseded', '', '0'} end
  if state == 'retry' and number <= sequence then return {'superseded', claim[4], claim[5]} end
end
begin('running', kept)
redis.call('HSET', KEYS[1], 'sequence', number, 'until', exact(now + lease), 'owner', owner, 'deaths', deaths)
if doubtful then redis.call('HSET', KEYS[1], 'doubtful', '1') end
return {'taken', doubtful and '1' or '0', tostring(deaths)}
"""
)

_CONCLUDE = (
    _READ
    + """
local body, completed, doubtful, interrupts, owner = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]
if nothing_left then return {'concluded', '', '', ''} end
if owner ~= '' and mine == run then
  local own = claim[6] == owner
  local mine_ended = state == 'ended' and own and claim[4] == body  -- whoever asks again has the same answer
  if mine_ended and redis.call('HEXISTS', KEYS[1], 'tellings') == 0 then
    redis.call('HSET', KEYS[1], 'until', exact(now + ARGV[3]))
    return {'stored', claim[8]}
  end
  local taken = (state == 'running' and not own) or state == 'retry'
  if taken and completed ~= '1' then return {'held', tostring(math.max(left, 0))} end
end
if state == 'ended' or (mine == run and state == 'reported') then return ended(ARGV[3]) end
if interrupts == '1' and state == 'running' then doubtful = '1' end
if state == 'retry' and claim[8] == '1' then doubtful = '1' end
begin('ended', ARGV[2])
redis.call('HSET', KEYS[1], 'body', body, 'until', exact(now + ARGV[3]), 'doubtful', doubtful, 'owner', owner)
if completed == '1' then redis.call('HSET', KEYS[1], 'completed', '1') end
return {'stored', doubtful}
"""
)

_RENEW = """
local claim = redis.call('HMGET', KEYS[1], 'state', 'owner')
if claim[1] ~= 'running' or claim[2] ~= ARGV[1] then return 0 end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'until', string.format('%.6f', time[1] + time[2] / 1000000 + ARGV[2]))
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""

_GIVE_UP = (
    _READ
    + """
if nothing_left then return 0 end
if mine == run and (state == 'reported' or state == 'ended' or sequence > tonumber(ARGV[2])) then return 0 end
if mine == run and state == 'running' and ARGV[8] ~= '' and claim[6] ~= ARGV[8] then return 0 end
begin('retry', ARGV[5])
redis.call('HSET', KEYS[1], 'sequence', ARGV[2], 'body', ARGV[3], 'due', ARGV[4], 'doubtful', ARGV[6])
if mine == run and ARGV[7] == '1' then redis.call('HSET', KEYS[1], 'deaths', deaths) end
return 1
"""
)

_BURIED = """
if (redis.call('HGET', KEYS[1], 'replay') or '0') == ARGV[1] then redis.call('HSET', KEYS[1], 'buried', '1') end
"""

_REPORT = """
local claim = redis.call('HMGET', KEYS[1], 'replay', 'completed')
if claim[1] and claim[1] ~= ARGV[1] then return end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'state', 'reported')
if ARGV[1] ~= '0' then redis.call('HSET', KEYS[1], 'replay', ARGV[1]) end
if claim[2] then redis.call('HSET', KEYS[1], 'completed', '1') end
redis.call('EXPIRE', KEYS[1], ARGV[2])
"""

_OUTCOMES: dict[str, type[JobCompleted] | type[JobFailed]] = {kind.name: kind for kind in (JobCompleted, JobFailed)}


class RedisClaims:
    """Implements the port ``Claims``.

    ``lease_seconds`` must be longer than a call can take, unless it is renewed meanwhile; ``telling_seconds`` longer
    than telling of an outcome.
    """

    def __init__(self, redis: PipelinedRedis, *, lease_seconds: float, telling_seconds: float) -> None:
        self._redis = redis
        self._lease_seconds = lease_seconds
        self._telling_seconds = telling_seconds
        self._take = redis.register_script(_TAKE)
        self._conclude = redis.register_script(_CONCLUDE)
        self._renew = redis.register_script(_RENEW)
        self._give_up = redis.register_script(_GIVE_UP)
        self._buried = redis.register_script(_BURIED)
        self._report = redis.register_script(_REPORT)

    async def take(self, job: JobRequested) -> Claim:
        """Claim the job for this message, or learn why there is nothing to do."""
        owner = uuid.uuid4().hex  # the driver asks again when an answer is lost: that mustn't look like another copy
        with redis_errors():
            found = await self._take(
                keys=[_key(job.job_id)],
                args=[job.replay, job.sequence, self._lease_seconds, _kept(job.replay), self._telling_seconds, owner],
            )
        word, rest = found[0], found[1:]
        if word == b"taken":
            doubtful, deaths = rest
            return Taken(doubtful=doubtful == b"1", owner=owner, deaths=int(deaths))
        if word == b"superseded":
            retry = JobRequested.model_validate_json(rest[0]) if rest[0] else None
            return Superseded(retry, float(rest[1]))
        return _ended(word, rest)

    async def renew(self, job: JobRequested, *, owner: str) -> bool:
        """Hold the claim for another lease, also one that has run out but that nobody took; False if it isn't ours."""
        with redis_errors():
            kept = await self._renew(keys=[_key(job.job_id)], args=[owner, self._lease_seconds, _kept(job.replay)])
        return bool(kept)

    async def conclude(
        self, job: JobRequested, outcome: Outcome, *, owner: str = "", interrupts: bool = False
    ) -> Concluded | Held:
        """Keep the outcome unless there is one; the one that counts, or for how long another copy is telling it.

        ``owner`` of the claim under which it was learnt may ask again, and is told the same; a failure isn't kept when
        another has taken the job meanwhile, who may yet succeed: then for how long that one holds it. A claim that
        Redis lost was taken by nobody, and what is known of the job is kept.
        ``interrupts``: whoever has a claim on the job may have been in the middle of its call.
        """
        body = f"{outcome.name}\n{outcome.model_dump_json()}"
        flags: list[int | str] = [int(isinstance(outcome, JobCompleted)), int(job.doubtful), int(interrupts), owner]
        with redis_errors():
            found = await self._conclude(
                keys=[_key(job.job_id)], args=[job.replay, _kept(job.replay), self._telling_seconds, body, *flags]
            )
        if found[0] == b"stored":
            return Concluded(outcome, doubtful=found[1] == b"1")
        return _ended(found[0], found[1:])

    async def give_up_attempt(self, job: JobRequested, retry: JobRequested, *, due: float, owner: str = "") -> bool:
        """Keep that this message is done with and which one comes next, at ``due`` in Unix seconds.

        False if the job has gone further without this copy, whose lease ran out, or is another ``owner``'s by now.
        """
        flags = [int(retry.doubtful), int(retry.attempt == job.attempt)]
        with redis_errors():
            kept = await self._give_up(
                keys=[_key(job.job_id)],
                args=[job.replay, job.sequence, retry.to_bytes(), repr(due), _kept(job.replay), *flags, owner],
            )
        return bool(kept)

    async def mark_buried(self, job_id: str, *, replay: int = 0) -> None:
        """Note that this run of the job lies among the dead letters."""
        with redis_errors():
            await self._buried(keys=[_key(job_id)], args=[replay])

    async def mark_reported(self, job_id: str, *, replay: int = 0) -> None:
        """Shrink the claim to the word that everything about this run is done."""
        with redis_errors():
            await self._report(keys=[_key(job_id)], args=[replay, _kept(replay)])


def _kept(replay: int) -> int:
    return REPLAY_KEPT_SECONDS if replay else KEPT_SECONDS


def _key(job_id: str) -> str:
    return f"claim:{job_id}"


def _ended(word: bytes, rest: list[bytes]) -> Concluded | Held:
    if word == b"held":
        return Held(float(rest[0]))
    text, buried, doubtful = rest
    if not text:
        return Concluded(None)
    name, _, body = text.partition(b"\n")
    return Concluded(
        _OUTCOMES[name.decode()].model_validate_json(body), buried=buried == b"1", doubtful=doubtful == b"1"
    )
