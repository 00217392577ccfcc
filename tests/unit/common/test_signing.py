"""Signatures of callbacks, against the published vector, the reference library and the documented Node.js check."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from flickrhub_common.signing import hex_signature, standard_key, standard_signature

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def _now() -> int:
    return int(datetime.now(UTC).timestamp())


def _headers(body: bytes, secret: str, *, message_id: str = "job-1", timestamp: int | None = None) -> dict[str, str]:
    timestamp = timestamp or _now()
    signature = standard_signature(body, message_id=message_id, timestamp=timestamp, secret=secret)
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp), "webhook-signature": signature}


def test_the_published_vector_of_standard_webhooks_is_reproduced() -> None:
    signature = standard_signature(
        b'{"test": 2432232314}', message_id="msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp=1614265330, secret=SECRET
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_reference_library_accepts_the_signature_of_a_body_that_is_not_ascii() -> None:
    body = '{"title":"Hà Nội 🌸","ratio":0.1}'.encode()
    assert Webhook(SECRET).verify(body, _headers(body, SECRET)) == {"title": "Hà Nội 🌸", "ratio": 0.1}


def test_the_reference_library_accepts_a_signature_under_a_secret_that_is_used_as_its_bytes() -> None:
    body = b'{"a":1}'
    assert Webhook("plain secret ä".encode()).verify(body, _headers(body, "plain secret ä")) == {"a": 1}


@pytest.mark.parametrize("changed", ["body", "webhook-id", "webhook-timestamp", "secret"])
def test_the_reference_library_refuses_it_when_anything_signed_was_changed(changed: str) -> None:
    body, secret = b'{"a":1}', SECRET
    headers = _headers(body, secret)
    if changed == "body":
        body = b'{"a":2}'
    elif changed == "secret":
        secret = "whsec_" + "A" * 32
    else:
        headers[changed] = headers[changed][:-1] + ("0" if headers[changed][-1] != "0" else "1")
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, headers)


@given(body=st.text(), key=st.binary(min_size=1, max_size=64))
def test_our_signature_is_the_reference_librarys_for_any_text_and_key(body: str, key: bytes) -> None:
    webhook = Webhook(key)
    theirs = webhook.sign("job-1", datetime.fromtimestamp(1700000000, UTC), body)
    encoded = "whsec_" + base64.b64encode(key).decode()
    assert standard_signature(body.encode(), message_id="job-1", timestamp=1700000000, secret=encoded) == theirs


def test_a_prefixed_secret_without_its_padding_is_read_as_the_reference_library_reads_it() -> None:
    assert standard_key("whsec_YWJjZA") == standard_key("whsec_YWJjZA==") == b"abcd"


@pytest.mark.parametrize("secret", ["whsec_", "whsec_==", "whsec_not base64!", "whsec_a", "whsec_ü"])
def test_a_prefixed_secret_that_holds_no_key_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_ must"):
        standard_key(secret)


def test_x_signature_is_the_hex_hmac_of_the_raw_bytes_under_the_secret_as_it_is_written() -> None:
    body = '{"title":"Hà Nội"}'.encode()
    for secret in ("hmac-secret", SECRET):
        assert hex_signature(body, secret) == hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    # openssl dgst -sha256 -hmac key, of "The quick brown fox jumps over the lazy dog"
    assert hex_signature(b"The quick brown fox jumps over the lazy dog", "key") == (
        "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"
    )
