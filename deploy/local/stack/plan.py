"""What this run consists of: ports, URLs, which servers are ours. Made once at start, read by every later command."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.local.stack import caller, ports
from deploy.local.stack.credentials import Credentials
from deploy.local.stack.places import write_private
from flickr_sim.settings import DEMO_API_KEY, DEMO_API_SECRET

SERVICES = ("auth", "gateway", "executor-rest", "executor-upload", "executor-replace", "notifier")
# Server -> the variable that names somebody else's, and the ports ours needs.
SERVERS = {
    "rabbitmq": ("RABBIT_URL", ports.RABBIT_PORTS),
    "mongo": ("MONGO_URL", ("MONGO_PORT",)),
    "redis": ("REDIS_URL", ("REDIS_PORT",)),
}
PORT_OF = {name: f"{name.upper().replace('-', '_')}_PORT" for name in SERVICES} | {
    "gateway": "PORT",
    "flickr-sim": "SIM_PORT",
    "rabbitmq": "RABBIT_PORT",
    "mongo": "MONGO_PORT",
    "redis": "REDIS_PORT",
    "epmd": "EPMD_PORT",
}
METRICS_PORT_OF = {name: f"{name.upper().replace('-', '_')}_METRICS_PORT" for name in SERVICES}


@dataclass(frozen=True)
class Plan:
    """One run of the stack."""

    ports: dict[str, int]
    """Variable -> port, for the processes of this run only."""
    exported: dict[str, str]
    """What `.run/env` holds."""
    settings: dict[str, str]
    """The caller's settings at start."""
    tiers: list[list[str]]
    """Process names in the order they start; a tier starts when the one before is ready."""

    @property
    def processes(self) -> list[str]:
        return [name for tier in self.tiers for name in tier]

    @property
    def gateway_host(self) -> str:
        """The address the gateway listens on."""
        return self.settings.get("HOST", "127.0.0.1")

    def differences(self, settings: Mapping[str, str]) -> list[str]:
        """Names of `settings` that this run wasn't started with."""
        used = {name: str(port) for name, port in self.ports.items()}
        running = caller.SERVICE_DEFAULTS | self.settings | used | self.exported
        return sorted(name for name, value in settings.items() if running.get(name) != value)

    def save(self, path: Path) -> None:
        """Store the plan; it holds credentials."""
        write_private(path, json.dumps(asdict(self), indent=2))

    @classmethod
    def load(cls, path: Path) -> "Plan":
        """The plan that `save` stored."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def make(settings: Mapping[str, str], credentials: Credentials, *, all_ports: dict[str, int]) -> Plan:
    """The plan for the caller's `settings`: a server whose URL they give is used, not started."""
    own = _own_urls(credentials, all_ports)
    # `.run/env` of this very stack, exported by the caller's shell, doesn't make our servers somebody else's.
    given = {url for url, _ in SERVERS.values() if settings.get(url, own[url]) != own[url]}
    started = [server for server, (url, _) in SERVERS.items() if url not in given]
    unused = {port for url, needed in SERVERS.values() if url in given for port in needed}
    used = {variable: port for variable, port in all_ports.items() if variable not in unused}
    tiers = [["epmd"] if "rabbitmq" in started else [], started, ["flickr-sim"], list(SERVICES)]
    urls = own | {url: settings[url] for url in given}
    if "RABBIT_URL" in given:
        urls = _without_management(urls) | {n: v for n, v in settings.items() if n.startswith("RABBIT_MANAGEMENT_")}
    secrets = {
        "INTERNAL_API_TOKEN": settings.get("INTERNAL_API_TOKEN", credentials.internal_api_token),
        "ENCRYPTION_KEYS": settings.get("ENCRYPTION_KEYS", credentials.encryption_keys),
    }
    exported = _service_urls(all_ports, host=settings.get("HOST", "")) | urls | secrets | _demo_pair(settings)
    exported |= {variable: str(port) for variable, port in used.items()}
    return Plan(ports=used, exported=exported, settings=dict(settings), tiers=[tier for tier in tiers if tier])


def _demo_pair(settings: Mapping[str, str]) -> dict[str, str]:
    """The app that the simulator knows from the start."""
    return {
        "DEMO_API_KEY": settings.get("SIM_DEMO_API_KEY", DEMO_API_KEY),
        "DEMO_API_SECRET": settings.get("SIM_DEMO_API_SECRET", DEMO_API_SECRET),
    }


def _service_urls(all_ports: Mapping[str, int], *, host: str) -> dict[str, str]:
    names = {"GATEWAY_URL": "PORT", "SIM_URL": "SIM_PORT"}
    names |= {PORT_OF[name].replace("_PORT", "_URL"): PORT_OF[name] for name in SERVICES if name != "gateway"}
    urls = {url: f"http://127.0.0.1:{all_ports[port]}" for url, port in names.items()}
    if host not in ("", "0.0.0.0", "::", "localhost"):
        urls["GATEWAY_URL"] = f"http://{f'[{host}]' if ':' in host else host}:{all_ports['PORT']}"
    return urls


def _own_urls(credentials: Credentials, all_ports: Mapping[str, int]) -> dict[str, str]:
    login = f"flickrhub:{credentials.rabbit_password}"
    return {
        "RABBIT_URL": f"amqp://{login}@127.0.0.1:{all_ports['RABBIT_PORT']}/",
        "RABBIT_MANAGEMENT_URL": f"http://{login}@127.0.0.1:{all_ports['RABBIT_MANAGEMENT_PORT']}",
        "RABBIT_MANAGEMENT_USER": "flickrhub",
        "RABBIT_MANAGEMENT_PASSWORD": credentials.rabbit_password,
        "MONGO_URL": f"mongodb://127.0.0.1:{all_ports['MONGO_PORT']}/?directConnection=true",
        "REDIS_URL": f"redis://:{credentials.redis_password}@127.0.0.1:{all_ports['REDIS_PORT']}/0",
    }


def _without_management(urls: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in urls.items() if not name.startswith("RABBIT_MANAGEMENT_")}


def needs(process: str) -> tuple[str, ...]:
    """Which of the handed-out variables a service gets."""
    if process == "executor-rest":
        return ("RABBIT_URL", "REDIS_URL", "INTERNAL_API_TOKEN")
    if process.startswith("executor-"):  # they read the photos that wait in MongoDB
        return ("RABBIT_URL", "MONGO_URL", "REDIS_URL", "INTERNAL_API_TOKEN")
    if process == "notifier":
        return ("RABBIT_URL", "MONGO_URL", "REDIS_URL", "ENCRYPTION_KEYS")
    return caller.HANDED_OUT
