"""Runs a service: one ASGI app, one process, a designed stop."""

import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import uvicorn
from fastapi import FastAPI

from flickrhub_common import problems
from flickrhub_common.settings import Settings

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

MAX_BODY_BYTES = 1024 * 1024


def make_app(*, title: str, description: str, lifespan: Lifespan, max_body_bytes: int = MAX_BODY_BYTES) -> FastAPI:
    """An app with the hub's envelope, request ids and body limit; the lifespan opens and closes everything."""
    app = FastAPI(
        title=title,
        description=description,
        version="0.1.0",
        lifespan=lifespan,
        max_body_size=max_body_bytes,
        redirect_slashes=False,
        telemetry={"logs": False, "metrics": False},
    )
    problems.install(app)
    return app


def serve(app: FastAPI, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then stop within the grace time and return normally (exit code 0).

    Uvicorn raises the signal it caught once more after it has stopped, which would turn a designed stop into death by
    signal; so the signal's own disposition is made harmless first.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(settings.shutdown_grace_seconds),
        timeout_keep_alive=30,
    )
    uvicorn.Server(config).run()
