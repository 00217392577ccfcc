"""Which port each process listens on, and whether it is free."""

import errno
import os
import random
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from deploy.local.stack.errors import BadSetting, PortTaken

RABBIT_PORTS = ("RABBIT_PORT", "RABBIT_MANAGEMENT_PORT", "RABBIT_DIST_PORT", "EPMD_PORT")
# The variable that sets each port, and its default. `PORT` is the gateway's.
DEFAULTS = {
    "PORT": 3000,
    "AUTH_PORT": 3101,
    "EXECUTOR_REST_PORT": 3111,
    "EXECUTOR_UPLOAD_PORT": 3112,
    "EXECUTOR_REPLACE_PORT": 3113,
    "NOTIFIER_PORT": 3121,
    "SIM_PORT": 3131,
    "RABBIT_PORT": 5673,
    "RABBIT_MANAGEMENT_PORT": 15673,
    "RABBIT_DIST_PORT": 25673,
    "EPMD_PORT": 4370,
    "MONGO_PORT": 27018,
    "REDIS_PORT": 6380,
    "GATEWAY_METRICS_PORT": 9464,
    "AUTH_METRICS_PORT": 9465,
    "EXECUTOR_REST_METRICS_PORT": 9466,
    "EXECUTOR_UPLOAD_METRICS_PORT": 9467,
    "EXECUTOR_REPLACE_METRICS_PORT": 9468,
    "NOTIFIER_METRICS_PORT": 9469,
}


def chosen(environ: Mapping[str, str]) -> dict[str, int]:
    """Every port by its variable: the caller's, or the default.

    Raises BadSetting for a value that is no port, or one port given to two processes.
    """
    ports: dict[str, int] = {}
    for variable, default in DEFAULTS.items():
        value = environ.get(variable) or str(default)
        if not (value.isascii() and value.isdigit() and 0 < int(value) < 65536):
            raise BadSetting(f"{variable} must be a port between 1 and 65535")
        for other, port in ports.items():
            if port == int(value):
                raise BadSetting(f"{other} and {variable} are both {value}: set one of them to another port")
        ports[variable] = int(value)
    return ports


def free() -> dict[str, int]:
    """A free port for every process, below the range the kernel takes outgoing connections from.

    A port from that range could be taken by a client's connection while a killed service is being restarted.
    """
    lowest_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="utf-8").split()[0])
    candidates = random.sample(range(10_000, max(lowest_ephemeral, 12_000)), 1_000)
    usable = (port for port in candidates if _bind_error("127.0.0.1", port) is None)
    return {variable: next(usable) for variable in DEFAULTS}


def ensure_free(ports: Mapping[str, int], *, gateway_host: str) -> None:
    """Raise PortTaken, naming port, variable and process, if one of `ports` can't be listened on."""
    for variable, port in ports.items():
        error = _bind_error(gateway_host if variable == "PORT" else "127.0.0.1", port)
        if error is None:
            continue
        if error.errno != errno.EADDRINUSE:
            reason = f"can't be used ({error.strerror})"
        else:
            reason = f"is taken by {_holder(port) or 'another process'}"
        raise PortTaken(f"port {port} {reason}: set {variable} to another port and try again")


def _bind_error(host: str, port: int) -> OSError | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As the servers do it: connections of a stopped stack that linger in TIME_WAIT are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            return error
    return None


def _holder(port: int) -> str | None:
    inodes = set(_listening_inodes(port))
    for process in Path("/proc").glob("[0-9]*"):
        if inodes.intersection(_open_files(process)):
            with suppress(OSError):  # it ended meanwhile
                return f"{(process / 'comm').read_text(encoding='utf-8').strip()} (pid {process.name})"
    return None


def _open_files(process: Path) -> Iterable[str]:
    with suppress(OSError):  # it ended meanwhile, or isn't ours to look into
        for descriptor in os.listdir(process / "fd"):
            with suppress(OSError):  # closed meanwhile
                yield os.readlink(process / "fd" / descriptor)


def _listening_inodes(port: int) -> Iterable[str]:
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text(encoding="utf-8").splitlines()[1:] if table.exists() else ():
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                yield f"socket:[{fields[9]}]"
