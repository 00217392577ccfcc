"""What auth counts, for operators: the definitions, and the port ``Meter`` on them."""

from flickrhub_auth.ports import Meter
from flickrhub_common.metrics import Label, Metrics, counter

CONNECTIONS = counter(
    "flickrhub_connections_total",
    "What happens to connected accounts: `connected` (for the first time or again), `revoked` (Flickr no longer takes"
    " the token), `unreadable` (a token was asked for that no key in ENCRYPTION_KEYS opens).",
    Label("event", ("connected", "revoked", "unreadable")),
)
AUTH_METRICS = (CONNECTIONS,)


class PrometheusMeter(Meter):
    """Implements the port ``Meter``."""

    def __init__(self, metrics: Metrics) -> None:
        self._connections = metrics.counter(CONNECTIONS)

    def connected(self) -> None:
        """An account has a new token."""
        self._connections.add("connected")

    def revoked(self) -> None:
        """A token was erased."""
        self._connections.add("revoked")

    def unreadable(self) -> None:
        """A stored token can't be opened."""
        self._connections.add("unreadable")
