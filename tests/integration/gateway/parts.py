"""What the tests of the gateway are made of: a gateway in this process, an auth that says what it is told, events."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx2
import uvicorn
from fastapi import FastAPI, Request
from opentelemetry.sdk.trace import TracerProvider
from pydantic import SecretStr
from starlette.responses import JSONResponse, Response
from yarl import URL

from flickrhub_common.contracts import Failure, JobCompleted, JobFailed, JobRetrying, Target
from flickrhub_common.http_protocol import EnvelopedProtocol
from flickrhub_common.mongo import Document, make_mongo
from flickrhub_gateway import wiring
from flickrhub_gateway.settings import GatewaySettings
from tests.support.flickrhub_client import FlickrHub
from tests.support.photographs import Photograph
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import eventually

USER = "09b4e414-4f70-4226-9ee8-f9e815fc2539"
STRANGER = "11111111-2222-4333-8444-555555555555"
INTERNAL_TOKEN = "internal-0123456789abcdef"
REST_QUEUE = "flickr_rest"


def through(url: SecretStr, proxy: TcpProxy) -> SecretStr:
    """The same URL, by way of a proxy."""
    return SecretStr(str(URL(url.get_secret_value()).with_host("127.0.0.1").with_port(proxy.port)))


@contextlib.asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[int]:
    """The app over real HTTP, as a service serves it; the port."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, http=EnvelopedProtocol, ws="none", lifespan="off", log_config=None
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    await eventually(lambda: server.started, every=0.01, what="the server")
    try:
        yield int(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        await running


@dataclass
class StubAuth:
    """Auth as far as the gateway asks it for every job: who is connected."""

    users: set[str] = field(default_factory=lambda: {USER})
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def app(self) -> FastAPI:
        """Its internal HTTP."""
        app = FastAPI()

        @app.get("/internal/v1/health")
        async def health(request: Request) -> Response:
            assert request.headers["authorization"] == f"Bearer {INTERNAL_TOKEN}"
            return JSONResponse({"status": "ok"})

        @app.get("/internal/v1/connections/{user_id}")
        async def find(request: Request, user_id: str) -> Response:
            assert request.headers["authorization"] == f"Bearer {INTERNAL_TOKEN}"
            self.asked.append(user_id)
            if user_id in self.users:
                return JSONResponse({"request_id": STRANGER, "data": {"user_id": user_id}, "error": None})
            error = {"code": "ERR_TOKEN_NOT_FOUND", "message": "None."}
            return JSONResponse({"request_id": STRANGER, "data": None, "error": error}, 404)

        return app


class Gateway(FlickrHub):
    """A gateway under test: its API, and a look into its store."""

    def __init__(self, http: httpx2.AsyncClient, app: FastAPI, settings: GatewaySettings) -> None:
        super().__init__(http)
        self.app = app
        self.settings = settings

    async def missing(self) -> list[str]:
        """What readiness names as not there."""
        reply = await self.http.get("/health/ready")
        found: list[str] = [] if reply.status_code == httpx2.codes.OK else reply.json()["error"]["details"]
        return found

    async def names_missing(self, *names: str) -> None:
        """Wait until readiness names just these; its last verdict is good for a moment."""

        async def named() -> bool:
            return await self.missing() == list(names)

        await eventually(named, within=2, what=f"readiness naming {names}")

    async def ready(self) -> bool:
        """Whether nothing is missing."""
        return not await self.missing()

    async def echo(self, **more: Any) -> str:
        """Enqueue an echo of the known user, which must be accepted; the job's id."""
        return await self.accepted(**{"method": "flickr.test.echo", "user_id": USER, **more})

    async def state(self, job_id: str) -> str:
        """A job's state."""
        return str((await self.status(job_id, USER)).raise_for_status().json()["data"]["state"])


@contextlib.asynccontextmanager
async def running_gateway(
    settings: GatewaySettings, tracer_provider: TracerProvider | None = None
) -> AsyncIterator[Gateway]:
    """The real app in this process, everything opened, and closed at the end."""
    provider = tracer_provider or TracerProvider()
    app = wiring.make_gateway_app(wiring.lifespan(settings, provider), tracer_provider=provider)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app, raise_app_exceptions=False), base_url="http://hub", timeout=15
        ) as http,
    ):
        yield Gateway(http, app, settings)


class Store:
    """The gateway's collections, past any proxy."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._client = make_mongo(settings, service="test")
        self.database = self._client[settings.mongo_db]
        self.jobs = self.database["jobs"]
        self.uploads = self.database["uploads"]

    async def has_no_photos(self) -> bool:
        """Whether nothing is left of any photo: no record, no file, no chunk."""
        names = ("uploads", "photos.files", "photos.chunks")
        return not any([await self.database[name].count_documents({}) for name in names])

    async def has_chunks(self, count: int) -> bool:
        """Whether at least so many chunks of photos are there."""
        return await self.database["photos.chunks"].count_documents({}) >= count

    async def job(self, job_id: str) -> Document:
        """A job's document."""
        found = await self.jobs.find_one({"_id": job_id})
        assert found is not None
        return found

    async def published(self, *job_ids: str) -> bool:
        """Whether all these jobs are marked as published."""
        marked = await self.jobs.count_documents({"_id": {"$in": job_ids}, "published_at": {"$ne": None}})
        return marked == len(job_ids)

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()


@contextlib.asynccontextmanager
async def half_sent(port: int, photo: Photograph) -> AsyncIterator[asyncio.StreamReader]:
    """An upload of which only half has been sent; the connection is torn at the end of the block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    length = f"Content-Length: {len(photo.data)}"
    head = f"POST /api/v1/uploads?user_id={USER} HTTP/1.1\r\nHost: hub\r\n{length}\r\n\r\n"
    writer.write(head.encode() + photo.truncated())
    try:
        await writer.drain()
        yield reader
    finally:
        writer.transport.abort()


def _of(job_id: str, attempts: int) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "user_id": USER,
        "target": Target.REST,
        "trace_id": STRANGER,
        "attempts_made": attempts,
        "max_attempts": 3,
        "at": datetime.now(UTC),
    }


def retrying(job_id: str, attempts: int = 1) -> JobRetrying:
    """An executor's word that an attempt will be repeated."""
    return JobRetrying(**_of(job_id, attempts), reason="Flickr answered 105.", next_attempt_at=datetime.now(UTC))


def completed(job_id: str, attempts: int = 1, flickr: str = '{"stat":"ok"}') -> JobCompleted:
    """An executor's word that Flickr has answered."""
    return JobCompleted(**_of(job_id, attempts), from_cache=False, flickr=flickr, http_status=200, duration_ms=5)


def failed(job_id: str, attempts: int = 3) -> JobFailed:
    """An executor's word that a job has failed for good."""
    failure = Failure(message="Photo not found.", code="FLICKR_1", chain=["FlickrFailed: Photo not found."])
    return JobFailed(**_of(job_id, attempts), failure=failure)
