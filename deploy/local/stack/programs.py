"""Every process of the stack: what it runs, with which environment."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from deploy.local.stack import caller, executables, mongo, rabbitmq, redis
from deploy.local.stack.credentials import Credentials
from deploy.local.stack.places import Places, write_private
from deploy.local.stack.plan import METRICS_PORT_OF, PORT_OF, Plan, needs
from deploy.local.stack.service_settings import ensure_usable


@dataclass(frozen=True)
class Program:
    """One process, as `launch.py` starts it."""

    name: str
    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)

    def write(self, places: Places) -> None:
        """Store what `launch.py` needs; the environment holds credentials."""
        spec = asdict(self) | {
            "cwd": str(places.run),
            "env": self.env | {"FLICKRHUB_RUN_DIR": str(places.run)},
            "log": str(places.logs / f"{self.name}.log"),
            "pid": str(places.pids / f"{self.name}.pid"),
            "identity": str(places.programs / f"{self.name}.identity"),
        }
        write_private(places.programs / f"{self.name}.json", json.dumps(spec, indent=2))


def prepare(plan: Plan, places: Places, credentials: Credentials, environ: Mapping[str, str]) -> None:
    """Write every process's specification and every server's configuration into the run folder.

    Raises CannotStart when a server isn't installed, BadSetting when a service couldn't use what it is told.
    """
    for name in plan.processes:
        if name in ("epmd", "rabbitmq", "mongo", "redis"):
            _server(name, plan, places, credentials).write(places)
        else:
            service = _service(name, plan, places, environ)
            ensure_usable(name, service.env, folder=places.run)
            service.write(places)


def _server(name: str, plan: Plan, places: Places, credentials: Credentials) -> Program:
    if name == "epmd":
        return Program(name, [executables.epmd()], rabbitmq.epmd_environment(plan.ports["EPMD_PORT"]))
    if name == "rabbitmq":
        return Program(name, [executables.rabbitmq()], rabbitmq.configure(plan.ports, places, credentials))
    if name == "mongo":
        compressor = plan.settings.get("MONGO_COMPRESSOR", "snappy")
        configuration = mongo.configure(plan.ports, places, compressor=compressor)
        return Program(name, [executables.mongod(), "--config", str(configuration)], _bare())
    configuration = redis.configure(plan.ports, places, credentials)
    return Program(name, [executables.redis(), str(configuration)], _bare())


def _service(name: str, plan: Plan, places: Places, environ: Mapping[str, str]) -> Program:
    # -P: the working folder is no place to import from.
    argv = [sys.executable, "-P", "-m", _module(name)]
    port = str(plan.ports[PORT_OF[name]])
    env = caller.SERVICE_DEFAULTS | caller.passed_on(environ) | {"HOST": "127.0.0.1", "PORT": port}
    if name == "flickr-sim":
        # Apps and tokens in it, so that the tokens in MongoDB still open the simulator after a restart.
        journal = {"SIM_STATE_FILE": str(places.data / "flickr-sim.journal")}
        return Program(name, argv, journal | env | {"SIM_HOST": "127.0.0.1", "SIM_PORT": port})
    env |= {variable: plan.exported[variable] for variable in needs(name)}
    env["METRICS_PORT"] = str(plan.ports[METRICS_PORT_OF[name]])
    if name == "gateway":
        env["HOST"] = plan.gateway_host
    if name != "auth":
        env["AUTH_URL"] = plan.exported["AUTH_URL"]
    if name.startswith("executor-"):
        env["TARGET"] = name.removeprefix("executor-")
    return Program(name, argv, env | {"FLICKR_SIM_URL": plan.exported["SIM_URL"]})


def _module(name: str) -> str:
    return "flickr_sim" if name == "flickr-sim" else f"flickrhub_{name.partition('-')[0]}"


def _bare() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}


def log_of(places: Places, process: str) -> Path:
    """Where a process writes."""
    return places.logs / f"{process}.log"
