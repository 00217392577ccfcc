"""Contract, section 4: what a consumer checks, with the checks consumers use."""

import asyncio
import base64
import hashlib
import hmac
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.support.callback_receiver import CallbackReceiver, Received, Reply
from tests.support.hub_account import ECHO, LOGIN, SEARCH, Account

NODE_CHECK = Path(__file__).parent / "node" / "verify_callback_signature.js"
SECRET = "hmac-secret with ünïcode"


async def signed(account: Account, receiver: CallbackReceiver, secret: str | None, **body: Any) -> Received:
    method = body.pop("method", LOGIN)
    await account.enqueue(method, callback_url=receiver.url("/signed"), callback_secret=secret, **body)
    return (await receiver.received(1, "/signed"))[0]


async def test_x_signature_is_the_hex_hmac_of_the_raw_body(account: Account, receiver: CallbackReceiver) -> None:
    received = await signed(account, receiver, SECRET)
    expected = hmac.new(SECRET.encode(), received.body, hashlib.sha256).hexdigest()
    assert received.headers["x-signature"] == expected


async def test_without_a_secret_nothing_is_signed(account: Account, receiver: CallbackReceiver) -> None:
    received = await signed(account, receiver, None)
    assert "x-signature" not in received.headers
    assert "webhook-signature" not in received.headers
    assert received.headers["webhook-id"]
    assert received.headers["webhook-timestamp"]


async def test_standard_webhooks_accepts_a_plain_secret(account: Account, receiver: CallbackReceiver) -> None:
    received = await signed(account, receiver, SECRET)
    webhook = Webhook(base64.b64encode(SECRET.encode()).decode())  # the package takes its key in base64 only
    assert webhook.verify(received.body, received.headers) == received.json()


@pytest.mark.parametrize(
    "key", [b"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b"\x00\xff\xfe\x01" * 6, b"24 bytes long, exactly!!"]
)
async def test_standard_webhooks_accepts_a_whsec_secret(
    account: Account, receiver: CallbackReceiver, key: bytes
) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    received = await signed(account, receiver, secret)
    assert Webhook(secret).verify(received.body, received.headers) == received.json()
    expected = hmac.new(secret.encode(), received.body, hashlib.sha256).hexdigest()
    assert received.headers["x-signature"] == expected


async def test_a_changed_body_and_another_secret_are_noticed(account: Account, receiver: CallbackReceiver) -> None:
    secret = "whsec_" + base64.b64encode(b"k" * 24).decode()
    received = await signed(account, receiver, secret)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(received.body.replace(b"completed", b"failed"), received.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + base64.b64encode(b"x" * 24).decode()).verify(received.body, received.headers)


async def test_the_id_stays_and_the_timestamp_moves_from_attempt_to_attempt(
    account: Account, receiver: CallbackReceiver
) -> None:
    receiver.script("/again", Reply(500), Reply(500))
    secret = "whsec_" + base64.b64encode(b"k" * 24).decode()
    job_id = await account.enqueue(ECHO, callback_url=receiver.url("/again"), callback_secret=secret)
    attempts = await receiver.received(3, "/again")
    assert {attempt.headers["webhook-id"] for attempt in attempts} == {job_id}
    times = [int(attempt.headers["webhook-timestamp"]) for attempt in attempts]
    assert times[0] < times[1] < times[2]
    assert abs(times[2] - time.time()) < 5
    for attempt in attempts:
        Webhook(secret).verify(attempt.body, attempt.headers)


@pytest.mark.parametrize(
    "job",
    [
        {"method": LOGIN},
        {"method": SEARCH, "params": {"text": "harbour", "per_page": 50, "extras": "date_upload,owner_name"}},
        {"method": "flickr.photos.getInfo", "params": {"photo_id": "1"}},
        {"method": ECHO, "params": {"name": "test"}, "meta": {"session_id": "session-123", "page": 1, "uni": "雪 €"}},
    ],
    ids=lambda job: job["method"],
)
async def test_the_documented_node_check_accepts_a_real_callback(
    account: Account, receiver: CallbackReceiver, job: dict[str, Any]
) -> None:
    received = await signed(account, receiver, "hmac-secret", **job)
    assert await node_says(received.body, received.headers["x-signature"], "hmac-secret") == "true"
    assert await node_says(received.body, received.headers["x-signature"], "another") == "false"


async def node_says(body: bytes, signature: str, secret: str) -> str:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node isn't installed here, so the documented Node.js check can't be run")
    process = await asyncio.create_subprocess_exec(
        *(node, str(NODE_CHECK), signature, secret),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(body)
    assert process.returncode == 0, err.decode()
    return out.decode()
