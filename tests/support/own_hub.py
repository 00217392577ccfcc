"""A whole hub of a test's own, on the running servers: other settings, own vhost, database, Redis number and ports."""

import asyncio
import contextlib
import signal
import socket
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from pydantic import SecretStr
from yarl import URL

from flickrhub_common.mongo import make_mongo
from flickrhub_common.redis import make_redis
from flickrhub_common.settings import MongoSettings, RedisSettings
from tests.support.flickrhub_client import FlickrHub, flickrhub
from tests.support.forked import SERVICES, Forked, Forking, base_environment, forking
from tests.support.plain_http import NOBODY
from tests.support.rabbit_admin import RabbitAdmin, fresh_vhost
from tests.support.run_env import needed
from tests.support.waiting import eventually

READY_SECONDS = 45
STOP_SECONDS = 40
PROCESSES = ("auth", "gateway", "notifier")
UPLOADS = ("executor-upload", "executor-replace")


@dataclass
class OwnHub:
    """The processes' addresses and logs; `client` talks to the gateway, `rabbit` looks into the vhost."""

    client: FlickrHub
    rabbit: RabbitAdmin
    mongo_url: str
    mongo_db: str
    redis_url: str
    urls: dict[str, str]
    logs: Path
    forking: Forking
    environment: dict[str, str] = field(default_factory=dict)
    processes: dict[str, Forked] = field(default_factory=dict)

    def log(self, process: str) -> str:
        """What a process has written so far."""
        return (self.logs / f"{process}.log").read_text(encoding="utf-8")

    async def kill(self, process: str) -> None:
        """`kill -9`; returns when it is dead. `start` starts another one."""
        self.processes[process].kill()
        await self.processes[process].wait()

    async def start(self) -> None:
        """Start every process that isn't running, and wait until all are ready."""
        await self.begin()
        await asyncio.gather(*(_ready(self, process) for process in self.urls))

    async def begin(self) -> None:
        """Start every process that isn't running."""
        for process, url in self.urls.items():
            if process not in self.processes or self.processes[process].returncode is not None:
                port = str(URL(url).port)
                own = {"PORT": port} | ({"TARGET": process.partition("-")[2]} if process in UPLOADS else {})
                self.processes[process] = await self.forking.start(
                    f"flickrhub_{process.partition('-')[0]}",
                    self.environment | own,
                    log=self.logs / f"{process}.log",
                )


@contextlib.asynccontextmanager
async def own_hub(
    settings: Mapping[str, str],
    *,
    logs: Path,
    redis_db: int,
    executors: int = 1,
    gateways: int = 1,
    targets: Sequence[str] = ("rest",),
) -> AsyncIterator[OwnHub]:
    """A hub with these environment variables besides the necessary ones, ready; stopped and cleared away afterwards.

    `redis_db` must be nobody else's while it runs; it is emptied before and after. It has so many `executors` of REST
    calls, `executor`, `executor-2` and so on, and one of each other target, `executor-upload` and `executor-replace`.
    So with `gateways`; auth and `client` are told of the first.
    """
    name = f"own-{uuid.uuid4().hex[:12]}"
    names = _names(executors, gateways, targets)
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    urls = {process: f"http://127.0.0.1:{port}" for process, port in ports.items()}
    redis_url = str(URL(needed("REDIS_URL")).with_path(f"/{redis_db}"))
    async with (
        fresh_vhost(needed("RABBIT_URL"), needed("RABBIT_MANAGEMENT_URL"), name) as rabbit,
        _cleared(mongo_db=name, redis_url=redis_url),
        flickrhub(urls["gateway"]) as client,
        forking(*SERVICES, folder=logs) as processes,
    ):
        hub = OwnHub(client, rabbit, needed("MONGO_URL"), name, redis_url, urls, logs, processes)
        hub.environment = _environment(hub, settings)
        try:
            await hub.start()
            yield hub
        finally:
            await asyncio.gather(*(stop(process) for process in hub.processes.values()))


def _names(executors: int, gateways: int, targets: Sequence[str]) -> list[str]:
    rest = ["executor", *(f"executor-{number}" for number in range(2, executors + 1))] if "rest" in targets else []
    more = [f"gateway-{number}" for number in range(2, gateways + 1)]
    return [*PROCESSES, *more, *rest, *(f"executor-{target}" for target in targets if target != "rest")]


def _environment(hub: OwnHub, settings: Mapping[str, str]) -> dict[str, str]:
    """The necessary variables, and the settings, in which `{gateway}` stands for the gateway's address, `{vhost}` …"""
    necessary = {
        "HOST": "127.0.0.1",
        "METRICS_PORT": "0",
        "RABBIT_URL": str(URL(needed("RABBIT_URL")).with_path(hub.rabbit.vhost)),
        "MONGO_URL": hub.mongo_url,
        "MONGO_DB": hub.mongo_db,
        "REDIS_URL": hub.redis_url,
        "INTERNAL_API_TOKEN": needed("INTERNAL_API_TOKEN"),
        "ENCRYPTION_KEYS": needed("ENCRYPTION_KEYS"),
        "AUTH_URL": hub.urls["auth"],
        "MOCK_FLICKR": "true",
        "FLICKR_SIM_URL": needed("SIM_URL"),
        "CALLBACK_ALLOW_CIDRS": "127.0.0.0/8",
        "UPLOAD_ALLOW_CIDRS": "127.0.0.0/8",
        "LOG_FORMAT": "json",
    }
    kept = {name: value for name, value in necessary.items() if f"{name}_FILE" not in settings}
    asked = {
        name: value.replace("{gateway}", hub.urls["gateway"]).replace("{vhost}", hub.rabbit.vhost)
        for name, value in settings.items()
    }
    return base_environment() | kept | asked


async def _ready(hub: OwnHub, process: str) -> None:
    async with httpx2.AsyncClient(base_url=hub.urls[process], timeout=5, verify=NOBODY, trust_env=False) as http:

        async def answers() -> bool:
            assert hub.processes[process].returncode is None, f"{process} ended:\n{hub.log(process)[-3000:]}"
            try:
                return (await http.get("/health/ready")).status_code == httpx2.codes.OK
            except httpx2.HTTPError:
                return False

        await eventually(answers, within=READY_SECONDS, every=0.2, what=f"readiness of {process}")


async def stop(process: Forked | asyncio.subprocess.Process) -> int:
    """Stop one of our processes by SIGTERM, by SIGKILL if that isn't enough; its exit code."""
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode


@contextlib.asynccontextmanager
async def _cleared(*, mongo_db: str, redis_url: str) -> AsyncIterator[None]:
    redis = make_redis(RedisSettings(redis_url=SecretStr(redis_url)), max_connections=2)
    settings = MongoSettings(mongo_url=SecretStr(needed("MONGO_URL")), mongo_db=mongo_db)
    try:
        await redis.flushdb()
        yield
        await redis.flushdb()
    finally:
        await redis.aclose()
        async with make_mongo(settings, service="test") as mongo:
            await mongo.drop_database(mongo_db)


def free_ports(count: int) -> list[int]:
    """So many ports that nobody listens on."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
