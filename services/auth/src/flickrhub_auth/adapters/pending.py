"""Pending authorisations in Redis, secrets sealed.

One hash for each, under ``oauth:request:<SHA-256 of the request token>``, for 10 minutes from its start. A claim is a
field of the hash, set by a script only if it isn't there: so an authorisation is used once, can be given back for the
rest of its time, and a claim that the driver sends twice (its answer was lost) still finds itself the owner.
"""

import hashlib
import json
import uuid
from collections.abc import AsyncGenerator
from typing import Any, cast

from redis.asyncio import Redis

from flickrhub_auth.errors import StateMismatch
from flickrhub_auth.models import App, Mode, Pending, RequestToken
from flickrhub_common.errors import InvalidState
from flickrhub_common.json_text import dump
from flickrhub_common.redis import ping_redis, redis_errors
from flickrhub_common.resealing import Left, Sealed
from flickrhub_common.sealing import CannotOpen, KeyRing, prefix_of

LIFE_SECONDS = 600
PREFIX = "oauth:request:"

_CLAIM = """
local found = redis.call('HMGET', KEYS[1], 'entry', 'state_digest', 'claim')
if not found[1] then return {'absent'} end
if ARGV[2] ~= '' and ARGV[2] ~= found[2] then return {'other_state'} end
if found[3] and found[3] ~= ARGV[1] then return {'used'} end
redis.call('HSET', KEYS[1], 'claim', ARGV[1])
return {'claimed', found[1]}
"""

_SWAP = """
local entry = redis.call('HGET', KEYS[1], 'entry')
local first, last = string.find(entry or '', ARGV[1], 1, true)
if not first then return 0 end
redis.call('HSET', KEYS[1], 'entry', string.sub(entry, 1, first - 1) .. ARGV[2] .. string.sub(entry, last + 1))
return 1
"""
_SEALED = ("api_secret", "request_secret", "state")


class RedisPending:
    """Keeps pending authorisations."""

    def __init__(self, redis: Redis, keys: KeyRing) -> None:
        self._redis = redis
        self._keys = keys
        self._claim = redis.register_script(_CLAIM)

    async def check(self) -> None:
        """Raise Unavailable if Redis doesn't answer."""
        await ping_redis(self._redis)

    async def keep(self, pending: Pending) -> None:
        """Keep one for 10 minutes. Raises Unavailable."""
        key = _key(pending.request_token.token)
        fields = {"entry": self._sealed(key, pending), "state_digest": _digest(pending.state)}
        with redis_errors():
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.hset(key, mapping=cast("Any", fields))
                pipeline.expire(key, LIFE_SECONDS)
                await pipeline.execute()

    async def claim(self, oauth_token: str, *, state: str | None) -> Pending:
        """Take one for use by this caller alone. Raises InvalidState, StateMismatch or Unavailable."""
        key = _key(oauth_token)
        # Digests are compared, so the time a comparison takes tells nothing about the state itself.
        digest = "" if state is None else _digest(state)
        with redis_errors():
            verdict, *entry = await self._claim(keys=[key], args=[uuid.uuid4().hex, digest])
        if verdict == b"other_state":
            raise StateMismatch
        if verdict != b"claimed":
            raise InvalidState
        return self._opened(key, oauth_token, entry[0])

    async def release(self, oauth_token: str) -> None:
        """Give a claimed one back for the rest of its time. Raises Unavailable."""
        with redis_errors():
            await cast("Any", self._redis.hdel(_key(oauth_token), "claim"))

    async def forget(self, oauth_token: str) -> None:
        """Drop one for good. Raises Unavailable."""
        with redis_errors():
            await self._redis.delete(_key(oauth_token))

    def _sealed(self, key: str, pending: Pending) -> str:
        return dump(
            {
                "api_key": pending.app.api_key,
                "mode": pending.mode.value,
                "api_secret": self._keys.seal(pending.app.api_secret, purpose=_purpose("api_secret"), owner=key),
                "request_secret": self._keys.seal(
                    pending.request_token.secret, purpose=_purpose("request_secret"), owner=key
                ),
                "state": self._keys.seal(pending.state, purpose=_purpose("state"), owner=key),
            }
        )

    def _opened(self, key: str, oauth_token: str, entry: bytes) -> Pending:
        found = json.loads(entry)
        try:
            app = App(found["api_key"], self._keys.open(found["api_secret"], purpose=_purpose("api_secret"), owner=key))
            secret = self._keys.open(found["request_secret"], purpose=_purpose("request_secret"), owner=key)
            state = self._keys.open(found["state"], purpose=_purpose("state"), owner=key)
        except CannotOpen as error:  # sealed under a key that has been taken away since: the user starts again
            raise InvalidState from error
        return Pending(app, RequestToken(oauth_token, secret), state, Mode(found["mode"]))


class SealedPending:
    """The sealed values of pending authorisations, as a place to reseal; how long they have is left as it is."""

    name = "oauth:request"

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._swap = redis.register_script(_SWAP)

    async def under_other_keys(self, newest: str) -> AsyncGenerator[Sealed, None]:
        """Raises Unavailable."""
        with redis_errors():
            async for key in self._redis.scan_iter(f"{PREFIX}*"):
                entry = await cast("Any", self._redis.hget(key, "entry"))
                found = json.loads(entry) if entry else {}
                for name in _SEALED:
                    if name in found and not found[name].startswith(prefix_of(newest)):
                        yield Sealed(key.decode(), _purpose(name), owner=key.decode(), text=found[name])

    async def swap(self, old: Sealed, text: str) -> bool:
        """Raises Unavailable."""
        with redis_errors():
            return bool(await self._swap(keys=[old.ref], args=[old.text, text]))

    async def waiting(self, newest: str) -> Left:
        """Nothing has to wait."""
        return Left()


def _purpose(field: str) -> str:
    return f"pending.{field}"


def _key(oauth_token: str) -> str:
    return PREFIX + _digest(oauth_token)


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()
