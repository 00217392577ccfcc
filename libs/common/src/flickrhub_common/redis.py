"""Redis: the only module that names the driver."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import (  # the driver's names
    BusyLoadingError,
    ConnectionError,  # noqa: A004
    NoScriptError,
    ResponseError,
    TimeoutError,  # noqa: A004
)
from redis.maint_notifications import MaintNotificationsConfig

from flickrhub_common.batching import Batcher
from flickrhub_common.errors import Unavailable
from flickrhub_common.settings import RedisSettings

_AWAY = frozenset(
    {"BUSY", "CLUSTERDOWN", "EXECABORT", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM", "READONLY", "TRYAGAIN"}
)
"""What a server answers that can't take part for the moment: its disk or memory is full, it has become a replica, or
has lost its own. A transaction is aborted for nothing else: its commands are right."""

_WRITABLE = "flickrhub:ready"
"""What is written to see that it can be, named so that it is nobody else's; gone within a millisecond."""

_AWAY_WITHIN = re.compile(rf"\b(?:{'|'.join(sorted(_AWAY))}) ")
"""Where the driver doesn't tell the code: it knows some only, and a script or a pipeline repeats them in its text."""


def make_redis(settings: RedisSettings, *, max_connections: int = 64) -> Redis:
    """Make the process's one client, with short limits: a request that needs Redis has its 503 within 3 s.

    At the worst a command waits its time on a connection that went silent, and the retry twice that to connect anew.
    Health checks of idle connections are off: they add tries of their own, and the retry does what they are for.
    Maintenance notifications are off: Redis 7 has none, and in redis-py 8.1.0 they keep an idle connection that the
    server closed from being noticed (redis/redis-py#4252).
    """
    pool = BlockingConnectionPool.from_url(
        settings.redis_url.get_secret_value(),
        max_connections=max_connections,
        timeout=2,
        socket_timeout=0.8,
        socket_connect_timeout=0.8,
        retry=Retry(ConstantBackoff(0.05), 1),
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )
    return Redis.from_pool(pool)  # which closes the pool with the client


@contextmanager
def redis_errors() -> Iterator[None]:
    """Turn the driver's failures into Unavailable("redis")."""
    try:
        yield
    except (ConnectionError, TimeoutError, BusyLoadingError, OSError) as error:
        raise Unavailable("redis") from error
    except ResponseError as error:
        if error.status_code in _AWAY or _AWAY_WITHIN.search(str(error)):
            raise Unavailable("redis") from error
        raise


async def ping_redis(client: Redis) -> None:
    """Raise Unavailable if Redis doesn't answer, or takes no writes: it is full, or has become a replica."""
    with redis_errors():
        await client.set(_WRITABLE, b"", px=1)


Command = tuple[Any, ...]
"""The command's name and its arguments, text as bytes."""


class PipelinedRedis:
    """Sends what several callers ask of Redis at the same time as one pipeline, and gives each its own answer or error.

    At 0.2 ms of CPU a command and a sync to disk for each, that is what makes Redis cheap. Nobody waits for company: a
    command goes at once, unless a pipeline is under way; then it goes with the next. To adopt it, make one beside the
    client and let adapters register their scripts with it; nothing else changes::

        pipelined = PipelinedRedis(make_redis(settings))
        script = pipelined.register_script(LUA)
        with redis_errors():
            answer = await script(keys=[key], args=[1, "two"])
            await pipelined.execute("SET", name, value, "EX", 60)

    As with the client, a command whose answer was lost with the connection is sent once more, and so are those that
    went with it: each script has to bear being run twice for one call, with the same answer if it can. There is no
    transaction: other commands may come between, and one's error doesn't stop the rest. Behind a pipeline that Redis
    leaves unanswered, a command waits for that to fail before it has its own 2 s.
    """

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._texts: dict[bytes, str] = {}
        self._send: Batcher[Command, Any] = Batcher(self._pipeline, size=_size)

    def register_script(self, text: str) -> "PipelinedScript":
        """A script that is loaded when the server doesn't know it (yet, or any more)."""
        digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        self._texts[digest.encode()] = text
        return PipelinedScript(self, digest)

    async def execute(self, name: str, *arguments: str | bytes | float) -> Any:
        """One command. Raises the driver's errors, as the client does: see ``redis_errors``."""
        # Encoded here: what can't be is its caller's error, not that of all who are in the same pipeline.
        return await self._send((name, *[each.encode() if isinstance(each, str) else each for each in arguments]))

    async def _pipeline(self, commands: Sequence[Command]) -> Sequence[Any]:
        answers = await self._together(commands)
        unknown = [at for at, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:
            texts = dict.fromkeys(self._texts[commands[at][1]] for at in unknown)
            loads: list[Command] = [("SCRIPT LOAD", text) for text in texts]
            again = await self._together([*loads, *(commands[at] for at in unknown)])
            for at, answer in zip(unknown, again[len(loads) :], strict=True):
                answers[at] = answer
        return answers

    async def _together(self, commands: Sequence[Command]) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return await pipeline.execute(raise_on_error=False)


class PipelinedScript:
    """A Lua script, called like the driver's own."""

    def __init__(self, redis: PipelinedRedis, digest: str) -> None:
        self._redis = redis
        self._digest = digest

    async def __call__(self, *, keys: Sequence[str | bytes] = (), args: Sequence[str | bytes | float] = ()) -> Any:
        """Run it. Raises the driver's errors: see ``redis_errors``."""
        return await self._redis.execute("EVALSHA", self._digest, len(keys), *keys, *args)


def _size(command: Command) -> int:
    return sum(len(part) for part in command if isinstance(part, bytes))
