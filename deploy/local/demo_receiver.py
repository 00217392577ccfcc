"""The demo's own web hook consumer: it listens on this machine and checks every signature as a consumer should."""

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from deploy.local.demo_screen import StepFailed


class Receiver:
    """Callbacks as they came, by job."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/callback"
        self._arrived = threading.Condition()
        self._callbacks: dict[str, tuple[dict[str, str], bytes]] = {}

    def take(self, headers: dict[str, str], body: bytes) -> None:
        """Keep a callback; a repetition replaces the same one."""
        with self._arrived:
            self._callbacks[str(json.loads(body)["job_id"])] = (headers, body)
            self._arrived.notify_all()

    def callback_of(self, job_id: str, *, secret: str, seconds: float) -> dict[str, Any]:
        """Wait for a job's callback, verify both of its signatures over the raw body, and return it parsed.

        Raises StepFailed when it doesn't come or a signature is wrong.
        """
        deadline = time.monotonic() + seconds
        with self._arrived:
            if not self._arrived.wait_for(lambda: job_id in self._callbacks, timeout=deadline - time.monotonic()):
                raise StepFailed(f"no callback of job {job_id} came within {seconds:g} s")
            headers, body = self._callbacks[job_id]
        expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(headers.get("x-signature", ""), expected):
            raise StepFailed("the X-Signature of the callback is wrong")
        try:
            Webhook(secret).verify(body, headers)
        except WebhookVerificationError as error:
            raise StepFailed(f"the Standard Webhooks signature of the callback is wrong: {error}") from error
        parsed: dict[str, Any] = json.loads(body)
        return parsed


@contextmanager
def listening() -> Iterator[Receiver]:
    """A receiver on a free port of 127.0.0.1, inside the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            receiver.take({name.lower(): value for name, value in self.headers.items()}, body)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing: the steps tell it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(server.server_port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
