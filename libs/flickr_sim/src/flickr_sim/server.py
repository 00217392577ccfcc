"""Run the simulator under uvicorn, with a way to cut a connection without answering."""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

ABORT = "flickr_sim.abort"
KEEP_ALIVE_SECONDS = 75
GRACE_SECONDS = 5


class AbortableProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, telling each request how to cut its connection (an ASGI extension of our own)."""

    def on_message_begin(self) -> None:
        """Start a request."""
        super().on_message_begin()
        self.scope["extensions"] = {ABORT: {"abort": self.transport.abort}}


async def cut_connection(scope: Scope, receive: Receive) -> None:
    """End the request's connection without a word.

    Under a server that can't, raise ConnectionAbortedError, which an in-process client sees as it is.
    """
    extension: dict[str, Callable[[], Any]] | None = scope.get("extensions", {}).get(ABORT)
    if extension is None:
        raise ConnectionAbortedError("a fault cut the connection")
    extension["abort"]()
    while (await receive())["type"] != "http.disconnect":
        pass


def _leave(_number: int, _frame: FrameType | None) -> None:
    """Exit 0: before uvicorn takes the signals over, and when it hands them back after having shut down."""
    sys.exit(0)


def serve(app: ASGIApp, *, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is running and return."""
    # oauthlib logs base strings and secrets at DEBUG.
    logging.getLogger("oauthlib").setLevel(logging.WARNING)
    # It warns of every broken body, which is the sender's trouble.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=AbortableProtocol,
        loop="uvloop",
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    # The world stays as long as the process: the collector needn't look at it again and again.
    gc.collect()
    gc.freeze()
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, _leave)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(uvicorn.Server(config).serve())
