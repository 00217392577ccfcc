"""Redis: the only module that names the driver."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import BusyLoadingError, ConnectionError, TimeoutError  # noqa: A004 - the driver's names
from redis.maint_notifications import MaintNotificationsConfig

from flickrhub_common.errors import Unavailable
from flickrhub_common.settings import RedisSettings


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


async def ping_redis(client: Redis) -> None:
    """Raise Unavailable if Redis doesn't answer."""
    with redis_errors():
        await client.ping()
