"""What can go wrong here and isn't an answer of a receiver's."""

from flickrhub_common.errors import HubError
from flickrhub_common.settling import Futile


class UnknownDelivery(Futile):
    """A callback is said to be due of which nothing is stored (any more): the message is a dead letter at once.

    The delivery is stored before the message is sent, so it was there once.
    """

    def __init__(self) -> None:
        super().__init__("its delivery isn't kept any more (DELIVERY_TTL_DAYS)")


class SecretUnreadable(HubError):
    """The callback's secret doesn't open under the keys here (perhaps they are being rotated)."""

    default_message = "The callback's secret doesn't open."


class KeyMissing(HubError):
    """The key of a secret that has just come isn't in ENCRYPTION_KEYS; an operator who puts it back has mended it."""

    status, code, retryable = 503, "ERR_UNAVAILABLE", True
    default_message = "The key of a callback's secret isn't here."

    def __init__(self, key_id: str) -> None:
        self.key_id = key_id
        super().__init__()


class SecretUnusable(HubError):
    """The callback's secret can't sign, now or later."""

    default_message = "The callback's secret can't sign."
