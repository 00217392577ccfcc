"""RabbitMQ as the local stack runs it: all in the run folder, loopback only, no server of the machine touched."""

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from deploy.local.stack import http
from deploy.local.stack.credentials import Credentials
from deploy.local.stack.places import Places, write_private

USER = "flickrhub"
CONFIGURATION = """\
listeners.tcp.local = 127.0.0.1:{port}
num_acceptors.tcp = 2
management.tcp.ip = 127.0.0.1
management.tcp.port = {management_port}
default_user = {user}
default_pass = {password}
cluster_name = flickrhub-local
log.console = true
log.console.level = info
log.file = false
vm_memory_high_watermark.relative = 0.3
disk_free_limit.absolute = 200MB
# The log of all quorum queues together; the default keeps up to 512 MB of it, in memory too.
raft.wal_max_size_bytes = 134217728
"""


def epmd_environment(port: int) -> dict[str, str]:
    """For our own port mapper, in the foreground: RabbitMQ would start one that nobody stops."""
    return {"ERL_EPMD_PORT": str(port), "ERL_EPMD_ADDRESS": "127.0.0.1"}


def configure(ports: Mapping[str, int], places: Places, credentials: Credentials) -> dict[str, str]:
    """Write RabbitMQ's configuration, and return the environment to start it with."""
    data = places.data / "rabbitmq"
    data.mkdir(mode=0o700, exist_ok=True)
    text = CONFIGURATION.format(
        port=ports["RABBIT_PORT"],
        management_port=ports["RABBIT_MANAGEMENT_PORT"],
        user=USER,
        password=credentials.rabbit_password,
    )
    write_private(data / "rabbitmq.conf", text)
    write_private(data / "enabled_plugins", "[rabbitmq_management].\n")
    write_private(data / "rabbitmq-env.conf", "")  # or the distribution's would be read
    write_private(data / ".erlang.cookie", credentials.rabbit_cookie)
    (data / ".erlang.cookie").chmod(0o400)
    return _environment(ports, places, node=credentials.rabbit_node)


def _environment(ports: Mapping[str, int], places: Places, *, node: str) -> dict[str, str]:
    data = places.data / "rabbitmq"
    schedulers = min(4, os.cpu_count() or 1)
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": str(data),
        "RABBITMQ_NODENAME": node,
        "RABBITMQ_NODE_PORT": str(ports["RABBIT_PORT"]),
        "RABBITMQ_DIST_PORT": str(ports["RABBIT_DIST_PORT"]),
        "RABBITMQ_MNESIA_BASE": str(data / "mnesia"),
        "RABBITMQ_LOG_BASE": str(places.logs),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_PID_FILE": str(data / "rabbitmq.pid"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(data / "enabled_plugins"),
        "RABBITMQ_CONFIG_FILE": str(data / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(data / "advanced.config"),
        "RABBITMQ_CONF_ENV_FILE": str(data / "rabbitmq-env.conf"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
            f"+S {schedulers}:{schedulers} -kernel inet_dist_use_interface {{127,0,0,1}}"
        ),
        # RabbitMQ binds its threads to processors by default, as if it had the machine to itself.
        "RABBITMQ_SCHEDULER_BIND_TYPE": "u",
        # The start script then becomes the Erlang machine instead of staying its parent: SIGTERM reaches the server.
        "RUNNING_UNDER_SYSTEMD": "1",
        "ERL_CRASH_DUMP": str(places.logs / "rabbitmq-crash.dump"),
        **epmd_environment(ports["EPMD_PORT"]),
        "ERL_ZFLAGS": "-start_epmd false",
    }


def not_ready(management_url: str, *, port: int) -> str | None:
    """Why the broker can't be used yet, or None: its listener is open and it knows our user."""
    reply = http.get(f"{management_url}/api/health/checks/port-listener/{port}")
    return None if reply.status == 200 else reply.reason


def enable_features(management_url: str) -> None:
    """Switch on every stable feature flag that an older data folder still has off.

    Dead-lettering at least once needs `stream_queue` on RabbitMQ 3.10.
    """
    flags: list[dict[str, Any]] = http.get(f"{management_url}/api/feature-flags").json() or []
    for flag in flags:
        if flag["stability"] == "stable" and flag["state"] == "disabled":
            http.put(f"{management_url}/api/feature-flags/{quote(flag['name'])}/enable", {})
