"""Runs a service: one ASGI app, one process, a designed stop."""

import asyncio
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from types import FrameType

import uvicorn
from fastapi import FastAPI, Request
from opentelemetry.trace import TracerProvider
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flickrhub_common import errors, problems
from flickrhub_common.allocation import collect_seldom, keep_freed_memory
from flickrhub_common.body_limit import BodyLimit
from flickrhub_common.health import retire
from flickrhub_common.http_limits import ConnectionLimits
from flickrhub_common.http_protocol import protocol
from flickrhub_common.listening import bound
from flickrhub_common.logs import logger
from flickrhub_common.metrics import Metrics
from flickrhub_common.metrics_page import MetricsPage
from flickrhub_common.settings import Settings
from flickrhub_common.side_port import SidePort

log = logger(__name__)

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

MAX_BODY_BYTES = 1024 * 1024
IDLE_SECONDS = 75
"""Longer than our clients keep an idle connection: none is closed under a request."""
PARTING_SECONDS = 0.5
SAYING_SECONDS = 0.2
UNTRACED = frozenset({"/health", "/health/ready"})


def make_app(
    *,
    title: str,
    description: str,
    lifespan: Lifespan,
    max_body_bytes: int = MAX_BODY_BYTES,
    larger_bodies: Mapping[str, int] | None = None,
    tracer_provider: TracerProvider | None = None,
    untraced: frozenset[str] = UNTRACED,
    middleware: Iterable[Middleware] = (),
    described: bool = True,
) -> FastAPI:
    """An app with the hub's envelope, request ids and body limit; the lifespan opens and closes everything.

    ``larger_bodies`` gives the paths that take larger bodies, each with its limit in bytes.
    Every request has a span of ``tracer_provider`` (the process's, if none is given), except for the paths ``untraced``
    names: probes, and paths whose query carries a secret, since a span holds the query. ``middleware``, innermost
    first, stands before the body limit; its replies have their ids and headers too. The framework's own docs pages are
    off: they load scripts from elsewhere. ``described`` says whether ``/openapi.json`` is served.
    """
    app = FastAPI(
        title=title,
        description=description,
        version="0.1.0",
        lifespan=lifespan,
        redirect_slashes=False,
        openapi_url="/openapi.json" if described else None,
        docs_url=None,
        redoc_url=None,
        telemetry={
            "logs": False,
            "metrics": False,
            "operation_spans": False,
            "tracer_provider": tracer_provider,
            "exclude": lambda scope: scope.get("path") in untraced,
        },
    )
    app.add_middleware(BodyLimit, most=max_body_bytes, larger=larger_bodies or {})
    app.add_middleware(_AnsweredWhenStopped)
    for one in middleware:
        app.add_middleware(one.cls, *one.args, **one.kwargs)
    problems.install(app)
    return app


def serve(
    app: FastAPI,
    settings: Settings,
    *,
    metrics: Metrics | None = None,
    own_pace: frozenset[str] = frozenset(),
    probes_only: bool = False,
) -> None:
    """Serve until SIGTERM or SIGINT, then stop within the grace time and return normally (exit code 0).

    ``metrics`` are shown on a port of their own, from before the app opens until after it has closed. ``own_pace`` are
    the paths that see to it themselves that a body comes in good time. From the signal on the app isn't ready; with
    ``probes_only``, where HTTP is for nothing else, it goes on saying so until all else is closed.

    A signal counts from the first moment on, also while the app still opens, and another one changes nothing. What
    still hangs just before the grace time is over, in the app or after it, is cut off: the exit code is 0 then too.
    A port that can't be had ends the process before anything is opened, with a line that names its setting.
    """
    keep_freed_memory()
    limits = ConnectionLimits(
        connections=settings.max_connections,
        head_seconds=settings.request_header_seconds,
        body_seconds=settings.request_body_seconds,
        own_pace=own_pace,
        idle_seconds=IDLE_SECONDS,
    )
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=protocol(limits),
        ws="none",
        proxy_headers=False,  # the gateway decides itself whose X-Forwarded-For it believes, and then wants all of it
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(settings.http_grace_seconds()),
        timeout_keep_alive=IDLE_SECONDS,
    )
    bound(settings.host, settings.port, variable="PORT").close()  # Uvicorn finds out when all else is open.
    beside = None
    if metrics is not None and settings.metrics_port:
        page = MetricsPage(metrics)
        beside = SidePort(page, host=settings.host, port=settings.metrics_port, variable="METRICS_PORT")
    server = Server(
        config,
        last_resort=LastResort(settings.end_seconds()),
        beside=beside,
        on_signal=partial(retire, app),
        probes_only=probes_only,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.handle_exit)
    server.run()


class Server(uvicorn.Server):
    """Uvicorn, but a stop is always a whole one, and clients are told of it before their connections go.

    The first signal starts the time of the ``last_resort``, and calls ``on_signal``. What is ``beside`` is open for
    longer at both ends. A server of nothing but probes closes everything else first, and then its door.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        last_resort: "LastResort | None" = None,
        beside: SidePort | None = None,
        on_signal: Callable[[], None] = lambda: None,
        probes_only: bool = False,
    ) -> None:
        super().__init__(config)
        self._last_resort = last_resort
        self._beside = beside
        self._on_signal = on_signal
        self._probes_only = probes_only

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop. Uvicorn's own would raise the signal again at the end, and at a second one leave all open."""
        begun, self.should_exit = self.should_exit, True
        if begun:
            return
        self._on_signal()
        if self._last_resort is not None:
            self._last_resort.begin()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open everything, which then stays."""
        if self._beside is not None:
            await self._beside.open()
        await super().startup(sockets)
        collect_seldom()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop; for the first moment requests still come in, and each reply asks for the end of its connection.

        Else a request that is on its way over an idle connection would meet its closing.
        """
        anybody = bool(self.server_state.connections)
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        if self._probes_only:
            await self.lifespan.shutdown()  # a second one, by the server itself, finds nothing left to do
        elif anybody:
            await asyncio.sleep(PARTING_SECONDS)
        await super().shutdown(sockets)
        if self._beside is not None:
            self._beside.close()


class LastResort:
    """Ends the process with 0 so many seconds after it was told to begin, whatever it is still waiting for.

    Each wait of a stop has its bound, but on a busy machine, or with every server silent, they add up. What is cut off
    is as after a kill, which costs nothing but time; also a thread that never returns, for which the interpreter would
    wait at its end.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._begun = threading.Event()
        # Here, because a thread must not be started in a signal's handler; and no alarm, because towards its end the
        # interpreter gives signals their default meaning back.
        threading.Thread(target=self._run, name="last-resort", daemon=True).start()

    def begin(self) -> None:
        """Start the time; once, as this may interrupt itself."""
        self._begun.set()

    def _run(self) -> None:
        self._begun.wait()
        time.sleep(self._seconds)
        saying = threading.Thread(target=log.warning, args=("stop_cut_off",), daemon=True)
        saying.start()
        saying.join(SAYING_SECONDS)  # nobody may be reading the log any more
        os._exit(0)


class _AnsweredWhenStopped:
    """ASGI middleware: a request whose time is over because the service stops has its 503, not a crash."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except asyncio.CancelledError:  # nobody else cancels a request; its task ends here in any case
            if not started:
                await problems.problem(Request(scope), errors.Unavailable("service"))(scope, receive, send)
