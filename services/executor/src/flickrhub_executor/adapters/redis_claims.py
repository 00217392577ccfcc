"""Claims in Redis: one hash a job, ``claim:<job id>``.

``state`` is ``running`` (until ``until``), ``retry`` (this attempt is over, ``body`` is the next message), ``ended``
(``body`` is the outcome's event) or ``reported`` (every reader has been told, so only this word is kept).
"""

from typing import Any

from redis.asyncio import Redis

from flickrhub_common.contracts import JobCompleted, JobFailed, JobRequested
from flickrhub_common.redis import redis_errors
from flickrhub_executor.models import Claim, Concluded, Held, Outcome, Superseded, Taken

KEPT_SECONDS = 4 * 24 * 3600
"""Longer than a copy of a message can be on its way: the ladder reaches 73 hours."""

_TAKE = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local mine, lease, kept = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local claim = redis.call('HMGET', KEYS[1], 'state', 'attempt', 'until', 'body', 'due')
local state, attempt = claim[1], tonumber(claim[2] or '0')
if state == 'reported' then return {'concluded', ''} end
if state == 'ended' then return {'concluded', claim[4]} end
if state == 'running' then
  local left = tonumber(claim[3]) - now
  if left > 0 then return {'held', tostring(left)} end
  if attempt > mine then return {'superseded', '', '0'} end
end
if state == 'retry' and mine <= attempt then return {'superseded', claim[4], claim[5]} end
redis.call('HSET', KEYS[1], 'state', 'running', 'attempt', mine, 'until', string.format('%.6f', now + lease))
redis.call('HDEL', KEYS[1], 'body', 'due')
redis.call('EXPIRE', KEYS[1], kept)
return {'taken', state == 'running' and '1' or '0'}
"""

_CONCLUDE = """
local claim = redis.call('HMGET', KEYS[1], 'state', 'body')
if claim[1] == 'reported' then return {'reported', ''} end
if claim[1] == 'ended' then return {'ended', claim[2]} end
redis.call('HSET', KEYS[1], 'state', 'ended', 'body', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return {'stored', ''}
"""

_OUTCOMES: dict[str, type[JobCompleted] | type[JobFailed]] = {kind.name: kind for kind in (JobCompleted, JobFailed)}


class RedisClaims:
    """Implements the port ``Claims``. ``lease_seconds`` must be longer than a call can take."""

    def __init__(self, redis: Redis, *, lease_seconds: float) -> None:
        self._redis = redis
        self._lease_seconds = lease_seconds
        self._take = redis.register_script(_TAKE)
        self._conclude = redis.register_script(_CONCLUDE)

    async def take(self, job: JobRequested) -> Claim:
        """Claim the attempt, or learn why there is nothing to do."""
        with redis_errors():
            found = await self._take(keys=[_key(job.job_id)], args=[job.attempt, self._lease_seconds, KEPT_SECONDS])
        word, rest = found[0], found[1:]
        if word == b"taken":
            return Taken(doubtful=rest[0] == b"1")
        if word == b"held":
            return Held(float(rest[0]))
        if word == b"concluded":
            return Concluded(_read_outcome(rest[0]))
        retry = JobRequested.model_validate_json(rest[0]) if rest[0] else None
        return Superseded(retry, float(rest[1]))

    async def conclude(self, job: JobRequested, outcome: Outcome) -> Outcome | None:
        """Keep the outcome unless there is one; the one that counts, or None if it was reported already."""
        body = f"{outcome.name}\n{outcome.model_dump_json()}"
        with redis_errors():
            word, kept = await self._conclude(keys=[_key(job.job_id)], args=[body, KEPT_SECONDS])
        if word == b"reported":
            return None
        return outcome if word == b"stored" else _read_outcome(kept)

    async def give_up_attempt(self, job: JobRequested, retry: JobRequested, *, due: float) -> None:
        """Keep that this attempt is over and which message comes next, at ``due`` in Unix seconds."""
        values: dict[Any, Any] = {
            "state": "retry",
            "attempt": job.attempt,
            "body": retry.to_bytes(),
            "due": due,
        }
        with redis_errors():
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hset(_key(job.job_id), mapping=values)
                pipe.expire(_key(job.job_id), KEPT_SECONDS)
                await pipe.execute()

    async def mark_reported(self, job_id: str) -> None:
        """Shrink the claim to the word that everything is done."""
        with redis_errors():
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.delete(_key(job_id))
                pipe.hset(_key(job_id), "state", "reported")
                pipe.expire(_key(job_id), KEPT_SECONDS)
                await pipe.execute()


def _key(job_id: str) -> str:
    return f"claim:{job_id}"


def _read_outcome(text: bytes) -> Outcome | None:
    if not text:
        return None
    name, _, body = text.partition(b"\n")
    return _OUTCOMES[name.decode()].model_validate_json(body)
