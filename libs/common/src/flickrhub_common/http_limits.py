"""What one client may do to a server on the wire, as values."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """What one client may do to the server.

    With ``connections`` open, a newer one takes the place of one that never asked for anything in ``silent_seconds``,
    or of an idle one. ``waiting`` is how many requests may wait for the reply to an earlier one. ``own_pace`` are the
    paths whose bodies have a deadline of their own, until they are answered. A client must take ``least_taken`` bytes
    of its replies in ``unread_seconds``. ``linger_seconds`` is how long a refused client may go on sending before it is
    cut off, ``stop_seconds`` how long one that is in the middle of a body has when the service stops.
    """

    connections: int = 800
    silent_seconds: float = 1
    waiting: int = 16
    head_bytes: int = 32 * 1024
    head_fields: int = 100
    head_seconds: float = 10
    body_seconds: float = 30
    own_pace: frozenset[str] = frozenset()
    unread_seconds: float = 60
    least_taken: int = 64 * 1024
    idle_seconds: float = 75
    linger_seconds: float = 2
    stop_seconds: float = 1
