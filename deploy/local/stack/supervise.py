"""supervisor: its configuration, its process, and the questions it answers over its socket."""

import http.client
import os
import resource
import shlex
import signal
import subprocess
import sys
import xmlrpc.client
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from deploy.local.stack import identity, launch, wait
from deploy.local.stack.errors import NotReady
from deploy.local.stack.places import Places, write_private
from deploy.local.stack.programs import Program

NAME = "supervisord"
UNDER_WAY = {"STARTING", "RUNNING", "BACKOFF", "STOPPING"}
# Paths are relative, and everything else is in `launch`, because supervisor's syntax can't carry every path.
HEAD = """\
[unix_http_server]
file={socket}
chmod=0700

[supervisord]
nodaemon=true
{user}pidfile=pids/supervisord.pid
logfile=/dev/null
logfile_maxbytes=0
minfds={open_files}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
# Started by us in order, then restarted whenever it dies, for as long as it takes: as Kubernetes would.
PROGRAM = """
[program:{name}]
command=/bin/sh launch programs/{name}.json
autostart=false
autorestart=true
startsecs=1
startretries=1000000
stopsignal=TERM
stopwaitsecs={stop_seconds}
killasgroup=true
stdout_logfile=NONE
stderr_logfile=NONE
priority={priority}
"""


@dataclass(frozen=True)
class Process:
    """What supervisor knows of one process; `pid` is 0 while there is none."""

    name: str
    state: str
    pid: int


class Supervisor:
    """The supervisor of one run folder."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def configure(self, tiers: list[list[str]], *, stop_seconds: dict[str, int]) -> None:
        """Write its configuration for these processes."""
        socket = self._places.socket
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        conf = HEAD.format(
            socket=socket.name if socket.parent == self._places.run else socket,
            user="user=root\n" if os.getuid() == 0 else "",
            open_files=1024 if hard == resource.RLIM_INFINITY else min(1024, hard),
        )
        for priority, tier in enumerate(tiers, start=1):
            for name in tier:
                conf += PROGRAM.format(name=name, priority=priority, stop_seconds=stop_seconds[name])
        write_private(self._places.supervisor_conf, conf)
        script = f'exec {shlex.quote(sys.executable)} -I -S {shlex.quote(str(Path(launch.__file__)))} "$1"\n'
        write_private(self._places.run / "launch", script)

    def start(self) -> None:
        """Start supervisor in a session of its own, and return when it answers. Raises NotReady when it doesn't."""
        conf = str(self._places.supervisor_conf)
        argv = [sys.executable, "-P", "-m", "supervisor.supervisord", "-c", conf]
        Program(NAME, argv, {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}).write(self._places)
        command = [sys.executable, "-I", "-S", str(Path(launch.__file__)), f"programs/{NAME}.json"]
        child = subprocess.Popen(command, cwd=self._places.run, start_new_session=True)
        wait.until(lambda: self.answers() or child.poll() is not None, seconds=20)
        if not self.answers():
            raise NotReady(NAME, "it ended at once" if child.poll() is not None else "it doesn't answer")
        child.returncode = 0  # it outlives us on purpose: nothing to be warned about

    def identity(self) -> identity.Identity | None:
        """supervisor's process, None when it doesn't run."""
        found = identity.read(self._places.programs / f"{NAME}.identity")
        return found if found is not None and found.is_alive() else None

    def answers(self) -> bool:
        """Whether it runs and can be talked to."""
        try:
            return self.identity() is not None and self._call("supervisor.getState") is not None
        except NotReady:
            return False

    def processes(self) -> dict[str, Process]:
        """Every process by name."""
        return {
            info["name"]: Process(info["name"], info["statename"], info["pid"])
            for info in self._call("supervisor.getAllProcessInfo")
        }

    def begin(self, names: Collection[str]) -> list[str]:
        """Start those of `names` that aren't under way; return which these were."""
        idle = [name for name, process in self.processes().items() if process.state not in UNDER_WAY]
        begun = [name for name in names if name in idle]
        for name in begun:
            self._unless_settled("supervisor.startProcess", name, already="ALREADY_STARTED")
        return begun

    def end(self, names: Collection[str], *, seconds: float) -> bool:
        """Ask `names` to stop, all at once, and wait; False when one still runs after `seconds`."""
        return wait.until(lambda: not self._ask_to_stop(names), seconds=seconds)

    def _ask_to_stop(self, names: Collection[str]) -> list[str]:
        # Again and again: a process that had just ended by itself may have been restarted in between.
        wanted = [process for name, process in self.processes().items() if name in names]
        under_way = [process for process in wanted if process.state in UNDER_WAY]
        for process in under_way:
            if process.state != "STOPPING":
                self._unless_settled("supervisor.stopProcess", process.name, already="NOT_RUNNING")
        return [process.name for process in under_way]

    def _unless_settled(self, method: str, name: str, *, already: str) -> None:
        try:
            self._call(method, name, False)
        except xmlrpc.client.Fault as fault:
            if already not in fault.faultString:
                raise NotReady(name, fault.faultString) from fault

    def shut_down(self, *, seconds: float) -> None:
        """Stop supervisor itself, and whatever it still runs."""
        found = self.identity()
        if found is not None:
            found.send(signal.SIGTERM)
            wait.until(lambda: not found.is_alive(), seconds=seconds)

    def _call(self, method: str, *arguments: Any) -> Any:
        transport = SupervisorTransport(None, None, serverurl=f"unix://{self._places.socket}")
        try:
            return getattr(xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport), method)(*arguments)
        except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError) as error:
            raise NotReady(NAME, f"it doesn't answer ({type(error).__name__})") from error
        finally:
            transport.close()
