"""A gateway as a process of its own, as operators run it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from flickrhub_gateway.settings import GatewaySettings
from tests.integration.gateway.parts import INTERNAL_TOKEN
from tests.support.plain_http import NOBODY
from tests.support.waiting import eventually


async def start(settings: GatewaySettings, port: int, **more: str) -> asyncio.subprocess.Process:
    """Start one with these settings, as far as the environment says them, and ``more``."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "METRICS_PORT": "0",
        "RABBIT_URL": settings.rabbit_url.get_secret_value(),
        "MONGO_URL": settings.mongo_url.get_secret_value(),
        "MONGO_DB": settings.mongo_db,
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "INTERNAL_API_TOKEN": INTERNAL_TOKEN,
        "ENCRYPTION_KEYS": settings.encryption_keys.get_secret_value(),
        "AUTH_URL": settings.auth_url,
        "LOG_FORMAT": "json",
        **more,
    }
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "flickrhub_gateway"),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def until_ready(http: httpx2.AsyncClient) -> None:
    """Wait until it serves."""

    async def ready() -> bool:
        try:
            return (await http.get("/health/ready")).status_code == httpx2.codes.OK
        except httpx2.TransportError:
            return False

    await eventually(ready, within=20, what="readiness")


@dataclass
class Running:
    """A process that is ready, and a client of it."""

    process: asyncio.subprocess.Process
    http: httpx2.AsyncClient
    port: int

    def resident(self) -> int:
        """Its resident memory in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1]) * 1024


@asynccontextmanager
async def running(settings: GatewaySettings, port: int, **more: str) -> AsyncIterator[Running]:
    """One that is ready; killed at the end of the block unless it has ended."""
    process = await start(settings, port, **more)
    try:
        async with httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", verify=NOBODY, trust_env=False, timeout=60
        ) as http:
            await until_ready(http)
            yield Running(process, http, port)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
