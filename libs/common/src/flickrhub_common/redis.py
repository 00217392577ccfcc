"""Redis: the only module that names the driver."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import (  # the driver's names
    BusyLoadingError,
    ConnectionError,  # noqa: A004
    ResponseError,
    TimeoutError,  # noqa: A004
)
from redis.maint_notifications import MaintNotificationsConfig

from flickrhub_common.errors import Unavailable
from flickrhub_common.settings import RedisSettings

_AWAY = frozenset(
    {"BUSY", "CLUSTERDOWN", "EXECABORT", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM", "READONLY", "TRYAGAIN"}
)
"""What a server answers that can't take part for the moment: its disk or memory is full, it has become a replica, or
has lost its own. A transaction is aborted for nothing else: its commands are right."""

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
    """Raise Unavailable if Redis doesn't answer."""
    with redis_errors():
        await client.ping()
