"""A second port of a service, for its operators: open before the service is, and until after it has closed.

It shares nothing with the service's own port, neither limits nor connections; the event loop it does share. Uvicorn's
protocol serves it, ours, so that what strangers send is bounded there, too. Uvicorn's server isn't needed: it would
have the same signals, and take its time to stop.
"""

import asyncio
import socket

import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from flickrhub_common.http_limits import ConnectionLimits
from flickrhub_common.http_protocol import protocol
from flickrhub_common.listening import bound

LIMITS = ConnectionLimits(
    connections=16, waiting=2, head_bytes=8 * 1024, head_seconds=5, body_seconds=5, unread_seconds=10
)


class SidePort:
    """Serves ``app``, which has no lifespan, on a port of its own. Ends the process if the port can't be had."""

    def __init__(self, app: ASGIApp, *, host: str, port: int, variable: str) -> None:
        self._config = uvicorn.Config(
            app,
            host=host,
            port=port,
            http=protocol(LIMITS),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
        )
        self._state = ServerState()
        self._server: asyncio.Server | None = None
        self._socket = _listening(host, port, variable=variable)

    @property
    def port(self) -> int:
        """The port it has."""
        return int(self._socket.getsockname()[1])

    @property
    def connections(self) -> int:
        """How many clients it has."""
        return len(self._state.connections)

    async def open(self) -> None:
        """Begin to serve."""
        self._config.load()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, sock=self._socket, backlog=LIMITS.connections)

    def close(self) -> None:
        """Serve no more; connections end, as nobody of importance has one."""
        if self._server is None:
            self._socket.close()
        else:
            self._server.close()
        for connection in list(self._state.connections):
            connection.shutdown()

    def _connection(self) -> asyncio.Protocol:
        made = self._config.http_protocol_class(config=self._config, server_state=self._state, app_state={})  # type: ignore[call-arg]
        assert isinstance(made, asyncio.Protocol)  # noqa: S101 - by uvicorn's typing it could be anything
        return made


def _listening(host: str, port: int, *, variable: str) -> socket.socket:
    at = bound(host, port, variable=variable)
    try:
        at.listen(LIMITS.connections)  # now: two that are only bound can have the same port, by SO_REUSEADDR
    except OSError as error:
        at.close()
        raise SystemExit(f"{variable}: port {port} can't be listened on ({error.strerror})") from None
    return at
