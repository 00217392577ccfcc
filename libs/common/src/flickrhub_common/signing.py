"""Signatures of callbacks: pure functions.

``X-Signature`` is the scheme of the first FlickrHub; ``webhook-*`` is Standard Webhooks 1.0.0
(spec/standard-webhooks.md of standard-webhooks/standard-webhooks).
"""

import base64
import binascii
import hashlib
import hmac

STANDARD_PREFIX = "whsec_"


def hex_signature(body: bytes, secret: str) -> str:
    """``X-Signature``: hex HMAC-SHA256 of the raw body, the secret's UTF-8 bytes as key."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def standard_signature(body: bytes, *, message_id: str, timestamp: int, secret: str) -> str:
    """``webhook-signature``: ``v1,`` and the base64 HMAC-SHA256 of ``id.timestamp.body``; timestamp in Unix seconds."""
    signed = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    return "v1," + base64.b64encode(hmac.new(standard_key(secret), signed, hashlib.sha256).digest()).decode()


def standard_key(secret: str) -> bytes:
    """The HMAC key of a secret: the decoded bytes of one that starts ``whsec_``, the UTF-8 bytes of any other.

    Padding may be missing, as the reference libraries take it. Raises ValueError if what follows ``whsec_`` isn't
    base64 or is nothing, which anybody could sign with (gateways refuse such a secret at the door).
    """
    if not secret.startswith(STANDARD_PREFIX):
        return secret.encode()
    text = secret.removeprefix(STANDARD_PREFIX).rstrip("=")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("what follows whsec_ must be base64") from error
    if not key:
        raise ValueError("what follows whsec_ must not be empty")
    return key
