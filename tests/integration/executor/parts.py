"""What the tests of whole executors are made of: the far sides, and executors in this process or their own."""

import asyncio
import contextlib
import os
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp

from flickr_sim.calls import Call
from flickr_sim.credentials import AccessToken
from flickr_sim.faults import Fault
from flickr_sim.server import AbortableProtocol
from flickr_sim.settings import DEMO_API_KEY, DEMO_API_SECRET
from flickr_sim.settings import Settings as SimSettings
from flickr_sim.simulator import Simulator
from flickrhub_common.broker import Messaging
from flickrhub_common.contracts import (
    JobCompleted,
    JobFailed,
    JobRequested,
    JobRetrying,
    Message,
    Target,
    TokenRejected,
)
from flickrhub_common.health import Check
from flickrhub_common.topology import AUTH_TOKEN_EVENTS, FLICKR_DLQ, GATEWAY_JOB_EVENTS
from flickrhub_executor.settings import ExecutorSettings
from flickrhub_executor.wiring import running
from tests.support.rabbit_admin import Letter, RabbitAdmin
from tests.support.waiting import eventually

INTERNAL_TOKEN = "internal-token-of-the-tests"
_EVENTS: dict[str, type[Message]] = {kind.name: kind for kind in (JobCompleted, JobFailed, JobRetrying, TokenRejected)}


@contextlib.asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """An app on a free port of 127.0.0.1; its URL."""
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        http=AbortableProtocol,
        ws="none",
        lifespan="off",
        log_level="error",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())
    try:
        await eventually(lambda: server.started, every=0.01, what="a listening server")
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


class FakeAuth:
    """Lends every user a token of the simulator's, unless told otherwise."""

    def __init__(self, simulator: Simulator) -> None:
        self.lent: Counter[str] = Counter()
        self.unknown: set[str] = set()
        self.away = False
        self._simulator = simulator
        self._account = next(iter(simulator.world.people))
        self.app = FastAPI()
        self.app.add_api_route("/internal/v1/health", self._health)
        self.app.add_api_route("/internal/v1/connections/{user_id}/lend", self._lend, methods=["POST"])

    def token_of(self, user_id: str) -> str:
        """A user's access token; made when it is first asked for."""
        token = f"72157-{user_id}"
        self._simulator.credentials.access_tokens.setdefault(
            token, AccessToken(token, "a-token-secret", DEMO_API_KEY, self._account, "delete")
        )
        return token

    async def _health(self, request: Request) -> Response:
        return Response(status_code=200 if self._lets_in(request) else 401)

    def _lets_in(self, request: Request) -> bool:
        return request.headers.get("authorization") == f"Bearer {INTERNAL_TOKEN}"

    async def _lend(self, user_id: str, request: Request) -> Response:
        self.lent[user_id] += 1
        if self.away:
            return Response(status_code=503)
        if not self._lets_in(request):
            return Response(status_code=401)
        if user_id in self.unknown:
            return Response(status_code=404)
        data = {
            "user_id": user_id,
            "api_key": DEMO_API_KEY,
            "api_secret": DEMO_API_SECRET,
            "oauth_token": self.token_of(user_id),
            "oauth_token_secret": "a-token-secret",
            "fingerprint": "0123456789abcdef",
            "perms": "delete",
            "nsid": self._account,
        }
        return JSONResponse({"data": data})


@dataclass
class Hub:
    """Everything around executors: what they are sent, what they ask, what they tell."""

    settings: ExecutorSettings
    simulator: Simulator
    auth: FakeAuth
    rabbit: RabbitAdmin
    sender: Messaging
    logs: Path
    events: list[Message] = field(default_factory=list)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _processes: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def executor(self, **changed: Any) -> Mapping[str, Check]:
        """Run an executor in this process, with some settings changed; its readiness checks."""
        return await self._stack.enter_async_context(running(self.settings.model_copy(update=changed)))

    async def stop(self) -> None:
        """Stop the executors of this process, as SIGTERM would."""
        await self._stack.aclose()

    async def process(self, **changed: str) -> asyncio.subprocess.Process:
        """Start an executor as a process of its own; returns when it consumes."""
        if any(process.returncode is not None for process in self._processes):
            await self._forgotten()
        before = await self.rabbit.consumers("flickr_rest")
        with (self.logs / f"executor-{len(self._processes)}.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "flickrhub_executor"),
                env=self.environment(changed),
                stdout=log,
                stderr=log,
            )
        self._processes.append(process)

        async def consumes() -> bool:
            assert process.returncode is None, self.log()
            return await self.rabbit.consumers("flickr_rest") > before

        await eventually(consumes, within=30, what="an executor that consumes")
        return process

    async def _forgotten(self) -> None:
        """Wait until RabbitMQ has noticed which processes are dead."""
        alive = sum(process.returncode is None for process in self._processes)

        async def noticed() -> bool:
            return await self.rabbit.consumers("flickr_rest") <= alive

        await eventually(noticed, within=30, what="the end of a dead executor's consumer")

    def log(self) -> str:
        """What the processes have written."""
        return "".join(file.read_text(encoding="utf-8") for file in sorted(self.logs.glob("executor-*.log")))

    async def send(self, *jobs: JobRequested) -> None:
        """Publish jobs, in about this order."""
        await asyncio.gather(*(self.sender.send_job(job) for job in jobs))

    def fault(self, **fault: Any) -> None:
        """Order a fault of the simulator."""
        self.simulator.faults.order(Fault.model_validate(fault))

    def calls(self, method: str | None = None) -> list[Call]:
        """The REST calls the simulator received."""
        return [call for call in self.simulator.calls.after(0) if method in {None, call.method}]

    async def told(self, *kinds: type[Message]) -> list[Message]:
        """The events sent so far, of these kinds if some are named."""
        for queue in (GATEWAY_JOB_EVENTS, AUTH_TOKEN_EVENTS):
            for letter in await self.rabbit.take(queue, 10_000):
                self.events.append(_EVENTS[letter.type or ""].model_validate_json(letter.body))
        return [event for event in self.events if not kinds or isinstance(event, kinds)]

    async def ended(
        self, jobs: Iterable[JobRequested], *, within: float = 15.0, repeated: int = 0
    ) -> list[JobCompleted | JobFailed]:
        """The outcomes of these jobs, in their order, as soon as all have one.

        None may have two different ones; at most so many may have been told repeatedly.
        """
        ids = [job.job_id for job in jobs]
        told: dict[str, list[JobCompleted | JobFailed]] = {}

        async def all_have_ended() -> bool:
            told.clear()
            for event in await self.told(JobCompleted, JobFailed):
                assert isinstance(event, JobCompleted | JobFailed)
                told.setdefault(event.job_id, []).append(event)
            assert set(ids) <= set(told), f"{len(told)} of {len(ids)} jobs have ended"
            return True

        await eventually(all_have_ended, within=within, what="all outcomes")
        assert all(event == events[0] for events in told.values() for event in events)
        assert sum(len(events) > 1 for events in told.values()) <= repeated
        return [told[each][0] for each in ids]

    async def letters(self, count: int = 1) -> list[Letter]:
        """The dead letters, when there are so many."""
        found: list[Letter] = []

        async def enough() -> bool:
            found.extend(await self.rabbit.take(FLICKR_DLQ))
            return len(found) >= count

        await eventually(enough, what=f"{count} dead letters")
        return found

    async def close(self) -> None:
        """Stop everything that still runs."""
        await self.stop()
        for process in self._processes:
            if process.returncode is None:
                process.kill()
            await process.wait()

    def environment(self, changed: Mapping[str, str]) -> dict[str, str]:
        """What an executor's process is told, with some settings changed."""
        values = {name.upper(): _text(value) for name, value in self.settings if value is not None}
        kept = {name: os.environ[name] for name in ("PATH", "COVERAGE_PROCESS_START") if name in os.environ}
        return {
            **kept,
            **values,
            "HOST": "127.0.0.1",
            "PORT": "0",
            "METRICS_PORT": "0",
            "LOG_FORMAT": "json",
            **changed,
        }


def new_simulator() -> Simulator:
    """A simulated Flickr with nothing but its world."""
    return Simulator(SimSettings())


def a_call(method: str | None = "flickr.test.echo", user_id: str = "user-1", **more: Any) -> JobRequested:
    """A job for an executor, unlike any other."""
    fields: dict[str, Any] = {
        "job_id": str(uuid.uuid4()),
        "user_id": user_id,
        "target": Target.REST,
        "method": method,
        "params": {"n": uuid.uuid4().hex},
        "trace_id": str(uuid.uuid4()),
    }
    return JobRequested(**{**fields, **more})


def _text(value: Any) -> str:
    secret = getattr(value, "get_secret_value", None)
    return str(secret() if secret else value)
