"""The rate budget of an api key: so many calls in any hour, as Flickr's guide asks for."""

from collections import deque
from collections.abc import Callable

HOUR_SECONDS = 3600.0


class Budget:
    """Count the calls of each key over the last hour; a limit of 0 counts nothing."""

    def __init__(self, limit_per_hour: int, clock: Callable[[], float]) -> None:
        self._limit = limit_per_hour
        self._clock = clock
        self._spent: dict[str, deque[float]] = {}

    def reset(self) -> None:
        """Give every key its whole budget back."""
        self._spent = {}

    def spend(self, api_key: str) -> bool:
        """Take one call from the key's budget; False when it is used up (a refused call costs nothing)."""
        if not self._limit:
            return True
        now = self._clock()
        spent = self._spent.setdefault(api_key, deque())
        while spent and spent[0] <= now - HOUR_SECONDS:
            spent.popleft()
        if len(spent) >= self._limit:
            return False
        spent.append(now)
        return True
