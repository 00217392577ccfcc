"""The web hook consumer: fails as planned before it takes a callback, and judges every copy it got."""

import base64
import hashlib
import hmac
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from standardwebhooks.webhooks import Webhook

from tests.chaos.plan import Work
from tests.support.callback_receiver import CallbackReceiver, Received, Reply

REPLIES = {"503": Reply(status=503, body=b"not now"), "drop": Reply(drop=True)}


@dataclass(frozen=True)
class Expected:
    """A callback that a client asked for: where, and signed by which secret."""

    url: str
    path: str
    secret: str | None


@dataclass(frozen=True)
class Copy:
    """One receipt of a callback; `at` is monotonic, `taken` says that it was answered with 200."""

    webhook_id: str
    sha256: str
    at: float
    taken: bool
    flaw: str | None
    body: dict[str, Any]


class Receiver:
    """What was asked for, on one endpoint for each user, and what came."""

    def __init__(self, endpoints: list[CallbackReceiver]) -> None:
        self._endpoints = endpoints
        self._expected: dict[str, tuple[Expected, Work]] = {}

    def expect(self, work: Work, mark: str) -> Expected | None:
        """Where to have this job's callback sent, and the secret to sign it; None if it wants none."""
        if not work.calls_back:
            return None
        endpoint, path = self._endpoints[work.user], f"/{mark}"
        endpoint.script(path, *(REPLIES[failure] for failure in work.receiver), Reply(delay=work.thinks))
        secret = base64.b64encode(hashlib.sha256(mark.encode()).digest()).decode() if work.signed else None
        expected = Expected(endpoint.url(path), path, f"whsec_{secret}" if secret else None)
        self._expected[path] = (expected, work)
        return expected

    def count(self) -> int:
        """Requests so far."""
        return sum(len(endpoint.requests) for endpoint in self._endpoints)

    def copies(self) -> dict[str, list[Copy]]:
        """Every copy of every callback by its path, in order."""
        found: dict[str, list[Copy]] = {path: [] for path in self._expected}
        for endpoint in self._endpoints:
            for request in endpoint.requests:
                if request.path in found:
                    expected, work = self._expected[request.path]
                    taken = len(found[request.path]) >= len(work.receiver)
                    found[request.path].append(_copy(request, expected, taken=taken))
        return found


def _copy(request: Received, expected: Expected, *, taken: bool) -> Copy:
    return Copy(
        webhook_id=request.headers.get("webhook-id", ""),
        sha256=hashlib.sha256(request.body).hexdigest(),
        at=request.at,
        taken=taken,
        flaw=flaw_of(request, expected.secret, now=time.time() - (time.monotonic() - request.at)),
        body=request.json(),
    )


def flaw_of(request: Received, secret: str | None, *, now: float) -> str | None:
    """What is wrong with a callback's headers, None if nothing is; `now` is when it came, in Unix seconds."""
    headers = request.headers
    if headers.get("webhook-id") != request.json().get("job_id"):
        return "webhook-id isn't the job's id"
    stamp = headers.get("webhook-timestamp", "")
    if not stamp.isdigit() or not int(stamp) <= now + 1:
        return "webhook-timestamp isn't the time of the attempt"
    if secret is None:
        signed = {"x-signature", "webhook-signature"} & headers.keys()
        return "signed though there is no secret" if signed else None
    if not hmac.compare_digest(headers.get("x-signature", ""), _hex_hmac(secret, request.body)):
        return "X-Signature is wrong"
    moment = datetime.fromtimestamp(int(stamp), UTC)
    wanted = Webhook(secret).sign(headers["webhook-id"], moment, request.body.decode())
    return None if headers.get("webhook-signature") == wanted else "webhook-signature is wrong"


def _hex_hmac(secret: str, body: bytes) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
