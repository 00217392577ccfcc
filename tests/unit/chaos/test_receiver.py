"""The harness's receiver takes no callback for good that isn't."""

from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from tests.chaos.receiver import _hex_hmac, flaw_of
from tests.support.callback_receiver import Received

SECRET = "whsec_c2VjcmV0IG9mIGEgdGVzdA=="
BODY = b'{"job_id":"job-1"}'
NOW = 1_800_000_000


def received(body: bytes = BODY, **changed: str | None) -> Received:
    """A good callback, but for what the test has of it otherwise."""
    headers: dict[str, Any] = {
        "webhook-id": "job-1",
        "webhook-timestamp": str(NOW),
        "x-signature": _hex_hmac(SECRET, BODY),
        "webhook-signature": Webhook(SECRET).sign("job-1", datetime.fromtimestamp(NOW, UTC), BODY.decode()),
    }
    headers |= {name.replace("_", "-"): value for name, value in changed.items()}
    kept = {name: value for name, value in headers.items() if value is not None}
    return Received("POST", "/x", kept, body, at=0.0)


def test_a_good_one_has_no_flaw() -> None:
    assert flaw_of(received(), SECRET, now=NOW) is None


@pytest.mark.parametrize(
    "bad",
    [
        received(body=b'{"job_id": "job-1"}'),
        received(x_signature=None),
        received(webhook_signature=None),
        received(webhook_signature="v1,AAAA"),
        received(webhook_timestamp=str(NOW - 1)),
        received(webhook_timestamp="soon"),
        received(webhook_id="job-2"),
    ],
    ids=["other bytes", "no X", "no webhook-signature", "wrong one", "other time", "no time", "other id"],
)
def test_any_flaw_is_seen(bad: Received) -> None:
    assert flaw_of(bad, SECRET, now=NOW) is not None


def test_without_a_secret_nothing_may_be_signed() -> None:
    assert flaw_of(received(x_signature=None, webhook_signature=None), None, now=NOW) is None
    assert flaw_of(received(), None, now=NOW) is not None
