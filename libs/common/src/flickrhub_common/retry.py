"""How long to wait before trying again: pure values, decided here, acted on elsewhere."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Backoff:
    """Exponential waiting with jitter, in seconds.

    The wait before attempt 2 is ``first`` seconds, doubling from attempt to attempt up to ``cap``, each spread by
    ``jitter`` (0.2 is ±20 %). A wait asked for by the other side (``Retry-After``) counts if it is longer, up to
    ``longest_ask``.
    """

    first: float
    cap: float = 3600.0
    jitter: float = 0.2
    longest_ask: float = 3600.0

    def wait(self, *, failed_attempts: int, chance: float, asked: float | None = None) -> float:
        """Seconds to wait after so many failed attempts (from 1); ``chance`` is a random number in [0, 1)."""
        plain = min(self.first * 2.0 ** min(failed_attempts - 1, 32), self.cap)
        spread = plain * (1 + self.jitter * (2 * chance - 1))
        return max(spread, min(asked, self.longest_ask)) if asked is not None else spread
