"""Claims in Redis: one hash a job, ``claim:<job id>``.

``state`` is ``running`` (by ``owner``, until ``until``), ``retry`` (this message is done with, ``body`` is the next
one), ``ended`` (``body`` is the outcome's event, being told by somebody until ``until``) or ``reported`` (every
reader has been told, so only this word is kept). ``sequence`` is the number of the message it speaks of.
"""

import uuid

from redis.asyncio import Redis

from flickrhub_common.contracts import JobCompleted, JobFailed, JobRequested
from flickrhub_common.redis import redis_errors
from flickrhub_executor.models import Claim, Concluded, Held, Outcome, Superseded, Taken

KEPT_SECONDS = 4 * 24 * 3600
"""Longer than a copy of a message can be on its way: the ladder reaches 73 hours."""

_ENDED = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local function exact(number) return string.format('%.6f', number) end
local claim = redis.call('HMGET', KEYS[1], 'state', 'sequence', 'until', 'body', 'due', 'owner', 'buried')
local state, sequence, left = claim[1], tonumber(claim[2] or '0'), tonumber(claim[3] or '0') - now
local function ended(telling)
  if state == 'reported' then return {'concluded', '', ''} end
  if left > 0 then return {'held', tostring(left)} end
  redis.call('HSET', KEYS[1], 'until', exact(now + telling))
  return {'concluded', claim[4], claim[7] or ''}
end
"""

_TAKE = (
    _ENDED
    + """
local mine, lease, owner = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[5]
if state == 'reported' or state == 'ended' then return ended(ARGV[4]) end
if state == 'running' and claim[6] ~= owner then
  if left > 0 then return {'held', tostring(left)} end
  if sequence > mine then return {'superseded', '', '0'} end
end
if state == 'retry' and mine <= sequence then return {'superseded', claim[4], claim[5]} end
redis.call('HSET', KEYS[1], 'state', 'running', 'sequence', mine, 'until', exact(now + lease), 'owner', owner)
redis.call('HDEL', KEYS[1], 'body', 'due')
redis.call('EXPIRE', KEYS[1], ARGV[3])
return {'taken', (state == 'running' and claim[6] ~= owner) and '1' or '0'}
"""
)

_CONCLUDE = (
    _ENDED
    + """
if state == 'reported' or state == 'ended' then return ended(ARGV[3]) end
redis.call('HSET', KEYS[1], 'state', 'ended', 'body', ARGV[1], 'until', exact(now + ARGV[3]))
redis.call('EXPIRE', KEYS[1], ARGV[2])
return {'stored'}
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

_GIVE_UP = """
local claim = redis.call('HMGET', KEYS[1], 'state', 'sequence')
local state, sequence, mine = claim[1], tonumber(claim[2] or '0'), tonumber(ARGV[1])
if state == 'reported' or state == 'ended' or sequence > mine then return 0 end
redis.call('HSET', KEYS[1], 'state', 'retry', 'sequence', mine, 'body', ARGV[2], 'due', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
"""

_REPORT = """
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'state', 'reported')
redis.call('EXPIRE', KEYS[1], ARGV[1])
"""

_OUTCOMES: dict[str, type[JobCompleted] | type[JobFailed]] = {kind.name: kind for kind in (JobCompleted, JobFailed)}


class RedisClaims:
    """Implements the port ``Claims``.

    ``lease_seconds`` must be longer than a call can take, unless it is renewed meanwhile; ``telling_seconds`` longer
    than telling of an outcome.
    """

    def __init__(self, redis: Redis, *, lease_seconds: float, telling_seconds: float) -> None:
        self._redis = redis
        self._lease_seconds = lease_seconds
        self._telling_seconds = telling_seconds
        self._take = redis.register_script(_TAKE)
        self._conclude = redis.register_script(_CONCLUDE)
        self._renew = redis.register_script(_RENEW)
        self._give_up = redis.register_script(_GIVE_UP)
        self._report = redis.register_script(_REPORT)

    async def take(self, job: JobRequested) -> Claim:
        """Claim the job for this message, or learn why there is nothing to do."""
        owner = uuid.uuid4().hex  # the driver asks again when an answer is lost: that mustn't look like another copy
        with redis_errors():
            found = await self._take(
                keys=[_key(job.job_id)],
                args=[job.sequence, self._lease_seconds, KEPT_SECONDS, self._telling_seconds, owner],
            )
        word, rest = found[0], found[1:]
        if word == b"taken":
            return Taken(doubtful=rest[0] == b"1", owner=owner)
        if word == b"superseded":
            retry = JobRequested.model_validate_json(rest[0]) if rest[0] else None
            return Superseded(retry, float(rest[1]))
        return _ended(word, rest)

    async def renew(self, job: JobRequested, *, owner: str) -> bool:
        """Hold the claim for another lease, also one that has run out but that nobody took; False if it isn't ours."""
        with redis_errors():
            kept = await self._renew(keys=[_key(job.job_id)], args=[owner, self._lease_seconds, KEPT_SECONDS])
        return bool(kept)

    async def conclude(self, job: JobRequested, outcome: Outcome) -> Concluded | Held:
        """Keep the outcome unless there is one; the one that counts, or for how long another copy is telling it."""
        body = f"{outcome.name}\n{outcome.model_dump_json()}"
        with redis_errors():
            found = await self._conclude(keys=[_key(job.job_id)], args=[body, KEPT_SECONDS, self._telling_seconds])
        return Concluded(outcome) if found[0] == b"stored" else _ended(found[0], found[1:])

    async def give_up_attempt(self, job: JobRequested, retry: JobRequested, *, due: float) -> bool:
        """Keep that this message is done with and which one comes next, at ``due`` in Unix seconds.

        False if the job has gone further without this copy, whose lease ran out.
        """
        with redis_errors():
            kept = await self._give_up(
                keys=[_key(job.job_id)], args=[job.sequence, retry.to_bytes(), repr(due), KEPT_SECONDS]
            )
        return bool(kept)

    async def mark_buried(self, job_id: str) -> None:
        """Note that the job lies among the dead letters."""
        with redis_errors():
            await self._redis.hset(_key(job_id), "buried", "1")

    async def mark_reported(self, job_id: str) -> None:
        """Shrink the claim to the word that everything is done."""
        with redis_errors():
            await self._report(keys=[_key(job_id)], args=[KEPT_SECONDS])


def _key(job_id: str) -> str:
    return f"claim:{job_id}"


def _ended(word: bytes, rest: list[bytes]) -> Concluded | Held:
    if word == b"held":
        return Held(float(rest[0]))
    text, buried = rest
    if not text:
        return Concluded(None)
    name, _, body = text.partition(b"\n")
    return Concluded(_OUTCOMES[name.decode()].model_validate_json(body), buried=buried == b"1")
