"""Redis as the local stack runs it: append-only file, loopback only, password in a private file."""

from collections.abc import Mapping
from pathlib import Path

from redis import Redis, RedisError

from deploy.local.stack.credentials import Credentials
from deploy.local.stack.places import Places, write_private

CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir {folder}
daemonize no
appendonly yes
appendfsync always
save ""
maxmemory-policy noeviction
loglevel notice
always-show-logo no
set-proc-title no
"""


def configure(ports: Mapping[str, int], places: Places, credentials: Credentials) -> Path:
    """Write Redis's configuration and return its path."""
    folder = places.data / "redis"
    folder.mkdir(mode=0o700, exist_ok=True)
    quoted = str(folder).replace("\\", "\\\\").replace('"', '\\"')
    text = CONFIGURATION.format(port=ports["REDIS_PORT"], password=credentials.redis_password, folder=f'"{quoted}"')
    write_private(folder / "redis.conf", text)
    return folder / "redis.conf"


def not_ready(url: str) -> str | None:
    """Why Redis can't be used yet, or None."""
    try:
        with Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2) as client:
            client.ping()
    except (RedisError, OSError, ValueError) as error:
        return type(error).__name__
    return None
