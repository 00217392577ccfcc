"""What positive cases need to be real: accounts, approved tokens, photos, a server on loopback to be called."""

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2

from tests.support.flickrhub_client import VERIFIER

GIF = "R0lGODlhAQABAIAAAP///wAAACH5BAAAAAAALAAAAAABAAEAAAICRAEAOw=="


@dataclass
class Surroundings:
    """Everything a case may be given instead of what was made up."""

    sim: httpx2.Client
    api_key: str
    api_secret: str
    user_ids: list[str]
    called_url: str | None
    """Where there is a server on loopback, if there will be one for as long as jobs run."""
    pending: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Of each OAuth token begun: where to approve it, and its state."""
    photo_refs: list[str] = field(default_factory=list)
    jobs: dict[str, str] = field(default_factory=dict)
    """The accepted jobs, each with its user."""

    def approve(self, oauth_token: str) -> tuple[str, str]:
        """Press the button of the simulator's page: the verifier it shows, and the walk's state."""
        authorize_url, state = self.pending.pop(oauth_token)
        shown = VERIFIER.search(self.sim.post(authorize_url).text)
        return (shown[1] if shown else "nothing shown"), state


class _Answers(BaseHTTPRequestHandler):
    """Takes every callback, and has a photo at every address."""

    def do_GET(self) -> None:
        self._answer(200, base64.b64decode(GIF))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(204, b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        if body:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


@contextmanager
def loopback_server() -> Iterator[str]:
    """A server the hub may call; its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
