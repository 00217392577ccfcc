"""Flickr's answers in Redis: ``<prefix><user>:<generation>:<digest>``.

A write raises the user's generation, so everything kept before is stale at once, also an answer that is still under
way: it will be kept under the generation it was asked in.
"""

from flickrhub_common.redis import PipelinedRedis, redis_errors
from flickrhub_executor.models import CachedReply, CacheKey

_FIND = """
local generation = redis.call('GET', KEYS[1]) or '0'
return {generation, redis.call('GET', ARGV[1] .. generation .. ':' .. ARGV[2]) or false}
"""
_MAKE_STALE = """
redis.call('INCR', KEYS[1])
redis.call('EXPIRE', KEYS[1], ARGV[1])
"""
_GENERATION_SECONDS = 7 * 24 * 3600


class RedisCache:
    """Implements the port ``Cache``."""

    def __init__(self, redis: PipelinedRedis, *, prefix: str, ttl_seconds: int) -> None:
        self._redis = redis
        self._prefix = prefix
        self._ttl_seconds = ttl_seconds
        self._find = redis.register_script(_FIND)
        self._make_stale = redis.register_script(_MAKE_STALE)

    async def find(self, user_id: str, digest: str) -> tuple[CacheKey, CachedReply | None]:
        """One round trip: the generation, and the answer kept in it."""
        with redis_errors():
            generation, found = await self._find(
                keys=[self._generation_key(user_id)], args=[f"{self._prefix}{user_id}:", digest]
            )
        key = CacheKey(user_id, f"{generation.decode()}:{digest}")
        if found is None:
            return key, None
        status, _, text = found.decode().partition("\n")
        return key, CachedReply(text, int(status))

    async def keep(self, key: CacheKey, reply: CachedReply) -> None:
        """Keep an answer under the generation it was asked in."""
        with redis_errors():
            name = f"{self._prefix}{key.user_id}:{key.digest}"
            await self._redis.execute("SET", name, f"{reply.status}\n{reply.flickr}", "EX", self._ttl_seconds)

    async def make_stale(self, user_id: str) -> None:
        """Begin the user's next generation. It outlives every answer kept in an older one."""
        with redis_errors():
            key, seconds = self._generation_key(user_id), max(_GENERATION_SECONDS, 2 * self._ttl_seconds)
            await self._make_stale(keys=[key], args=[seconds])

    def _generation_key(self, user_id: str) -> str:
        return f"{self._prefix}generation:{user_id}"
