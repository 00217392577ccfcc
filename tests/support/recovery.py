"""How long the hub takes to recover: measured from the moment the server that failed accepts connections again."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx2
from yarl import URL

from flickrhub_common.topology import WORK_QUEUES
from tests.support.rabbit_admin import RabbitAdmin, running_vhost
from tests.support.run_env import needed
from tests.support.stack_processes import SERVICES, StackProcesses
from tests.support.waiting import eventually

SERVERS = {"rabbitmq": "RABBIT_URL", "mongo": "MONGO_URL", "redis": "REDIS_URL"}
BACK_WITHIN_SECONDS = 15.0
"""What the hub promises."""
POLL_SECONDS = 0.1


@dataclass
class Recovery:
    """One fault: how long its server was away, and how long after that each service, and each consumer, was back."""

    fault: str
    away: float = 0.0
    services: dict[str, float] = field(default_factory=dict)
    consumers: float = 0.0

    @property
    def slowest(self) -> float:
        """Seconds until everything was back."""
        return max(*self.services.values(), self.consumers)

    def row(self) -> str:
        """A line of the table."""
        each = [f"{seconds:.1f}" for seconds in (self.away, *self.services.values(), self.consumers)]
        return f"| {self.fault} | {' | '.join(each)} |"


def table(recoveries: list[Recovery]) -> str:
    """All of them as a Markdown table."""
    heads = ["fault", "server away", *SERVICES, "all consumers"]
    return "\n".join([f"| {' | '.join(heads)} |", f"|---{'|---:' * (len(heads) - 1)}|", *(r.row() for r in recoveries)])


@contextlib.asynccontextmanager
async def recovering(processes: StackProcesses, fault: str, server: str) -> AsyncIterator[Recovery]:
    """Do the fault in the block, which ends at the latest when the server is being started; then all must come back."""
    measured = Recovery(fault)
    began = time.monotonic()
    yield measured
    await eventually(lambda: _accepts(server), within=60, every=0.02, what=f"{server}, accepting connections")
    back = time.monotonic()
    measured.away = back - began
    async with running_vhost(needed("RABBIT_URL"), needed("RABBIT_MANAGEMENT_URL")) as admin:
        ready = [_seconds_until_ready(processes, service, back) for service in SERVICES]
        *seconds, measured.consumers = await asyncio.gather(*ready, _seconds_until_consumed(admin, back))
    measured.services = dict(zip(SERVICES, seconds, strict=True))


async def _accepts(server: str) -> bool:
    url = URL(needed(SERVERS[server]))
    try:
        _, writer = await asyncio.open_connection(url.host, url.port)
    except OSError:
        return False
    writer.close()
    return True


async def _seconds_until_ready(processes: StackProcesses, service: str, since: float) -> float:
    async def ready() -> bool:
        try:
            return not await processes.missing(service)
        except httpx2.HTTPError:
            return False

    await eventually(ready, within=60, every=POLL_SECONDS, what=f"readiness of {service}")
    return time.monotonic() - since


async def _seconds_until_consumed(admin: RabbitAdmin, since: float) -> float:
    async def consumed() -> bool:
        try:
            return all([await admin.consumers(queue) for queue in WORK_QUEUES])
        except admin.AWAY:
            return False

    await eventually(consumed, within=60, every=POLL_SECONDS, what="a consumer of every queue")
    return time.monotonic() - since
