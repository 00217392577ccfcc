"""The request of one attempt: the stored bytes and their signatures."""

from datetime import datetime

from flickrhub_common.sealing import CannotOpen, KeyRing
from flickrhub_common.signing import hex_signature, standard_signature
from flickrhub_notifier.errors import SecretUnreadable, SecretUnusable
from flickrhub_notifier.models import Delivery, Post

SECRET_PURPOSE = "callback_secret"  # noqa: S105 - what the secret is for


def sign_post(delivery: Delivery, *, keys: KeyRing, now: datetime) -> Post:
    """The request to make now. Without a secret it has an id and a time but no signature.

    Raises SecretUnreadable or SecretUnusable.
    """
    timestamp = int(now.timestamp())
    headers = {
        "Content-Type": "application/json",
        "webhook-id": delivery.id,
        "webhook-timestamp": str(timestamp),
    }
    if delivery.sealed_secret is not None:
        secret = _opened(delivery.sealed_secret, keys=keys, job_id=delivery.job_id)
        headers["X-Signature"] = hex_signature(delivery.body, secret)
        headers["webhook-signature"] = _standard(delivery, timestamp, secret)
    return Post(delivery.url, delivery.body, headers)


def _opened(sealed: str, *, keys: KeyRing, job_id: str) -> str:
    try:
        return keys.open(sealed, purpose=SECRET_PURPOSE, owner=job_id)
    except CannotOpen as error:
        raise SecretUnreadable from error


def _standard(delivery: Delivery, timestamp: int, secret: str) -> str:
    try:
        return standard_signature(delivery.body, message_id=delivery.id, timestamp=timestamp, secret=secret)
    except ValueError:
        # Without the cause: its traceback could hold the secret.
        raise SecretUnusable from None
