"""The running stack's processes: killed, paused, stopped and started again, as bad days do it."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator

import httpx2

from deploy.local.stack.places import Places
from deploy.local.stack.supervise import Supervisor
from tests.support.plain_http import NOBODY
from tests.support.run_env import needed, run_dir
from tests.support.waiting import eventually

SERVICES = {
    "gateway": "GATEWAY_URL",
    "auth": "AUTH_URL",
    "executor-rest": "EXECUTOR_REST_URL",
    "executor-upload": "EXECUTOR_UPLOAD_URL",
    "executor-replace": "EXECUTOR_REPLACE_URL",
    "notifier": "NOTIFIER_URL",
}
BACK_WITHIN_SECONDS = 60


class StackProcesses:
    """Every method names a process as `make status` does."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http
        self._supervisor = Supervisor(Places.from_environment({"RUN_DIR": str(run_dir())}))

    def pid(self, name: str) -> int:
        """The pid that supervisor's child wrote."""
        return int((run_dir() / "pids" / f"{name}.pid").read_text(encoding="utf-8"))

    async def kill(self, name: str) -> None:
        """`kill -9`; returns when supervisor has started another one."""
        old = self.pid(name)
        os.kill(old, signal.SIGKILL)
        await eventually(lambda: self.pid(name) != old, within=30, what=f"a new {name}")

    @contextlib.asynccontextmanager
    async def silent(self, name: str) -> AsyncIterator[None]:
        """Within the block the process is there, takes connections, and says nothing."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    @contextlib.asynccontextmanager
    async def gone(self, name: str) -> AsyncIterator[None]:
        """Within the block there is no such process."""
        try:
            assert await asyncio.to_thread(self._supervisor.end, [name], seconds=60)
            yield
        finally:
            await asyncio.to_thread(self._supervisor.begin, [name])

    async def missing(self, service: str) -> list[str]:
        """What a service's readiness says isn't there: [] when it is ready."""
        reply = await self._http.get(f"{needed(SERVICES[service])}/health/ready")
        if reply.status_code == httpx2.codes.OK:
            return []
        assert reply.status_code == httpx2.codes.SERVICE_UNAVAILABLE, reply.text
        return list(reply.json()["error"]["details"])

    async def all_ready(self) -> None:
        """Wait until every service is ready again, by itself."""

        async def ready() -> bool:
            try:
                return not any([await self.missing(service) for service in SERVICES])
            except httpx2.HTTPError:
                return False

        await eventually(ready, within=BACK_WITHIN_SECONDS, every=0.3, what="readiness of every service")


@contextlib.asynccontextmanager
async def stack_processes() -> AsyncIterator[StackProcesses]:
    """The processes of the stack that the tests run against."""
    async with httpx2.AsyncClient(timeout=10, verify=NOBODY, trust_env=False) as http:
        yield StackProcesses(http)
