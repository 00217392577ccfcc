"""The log of calls received, for tests and demos to look at."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from flickr_sim.incoming import PHOTO_KINDS, Incoming, ReceivedPhoto

CALLS_KEPT = 200_000
CHARACTERS_KEPT = 64_000_000  # all kept parameters together, so that huge calls can't fill the memory


@dataclass(slots=True)
class Call:
    """One call as it was received.

    `n` counts from 1; `at` is when it arrived (seconds since the epoch); `method` is Flickr's method name, or the
    step of the OAuth walk; `status` is the HTTP status answered, None while there is none and for ever when the
    connection was cut. `photo` is the file of an upload, of which size and hash are shown.
    """

    n: int
    at: float
    kind: str
    method: str | None
    http_method: str
    api_key: str | None
    oauth_token: str | None
    params: dict[str, str]
    photo: ReceivedPhoto | None = None
    status: int | None = None
    size: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the members the control API shows."""
        return {
            "n": self.n,
            "at": self.at,
            "kind": self.kind,
            "method": self.method,
            "http_method": self.http_method,
            "api_key": self.api_key,
            "oauth_token": self.oauth_token,
            "params": self.params,
            "status": self.status,
            **self._photo_members(),
        }

    def _photo_members(self) -> dict[str, Any]:
        if self.kind not in PHOTO_KINDS:
            return {}
        photo = self.photo
        return {"bytes": photo.size if photo else None, "sha256": photo.sha256 if photo else None}


class CallLog:
    """The last calls received, oldest first, bounded in number and in size."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Forget every call and count from 1 again."""
        self._calls: deque[Call] = deque()
        self._size = 0
        self._count = 0

    def record(self, incoming: Incoming) -> Call:
        """Note a call on arrival; whoever answers it sets its status."""
        self._count += 1
        size = sum(map(len, incoming.fields.values()))
        method = incoming.uri.rpartition("/")[2] if incoming.kind == "oauth" else incoming.fields.get("method")
        call = Call(
            n=self._count,
            at=self._clock(),
            kind=incoming.kind,
            method=method,
            http_method=incoming.http_method,
            api_key=incoming.api_key,
            oauth_token=incoming.oauth.get("oauth_token"),
            params=incoming.fields,
            photo=incoming.photo,
            size=size,
        )
        self._calls.append(call)
        self._size += size
        while len(self._calls) > CALLS_KEPT or (self._size > CHARACTERS_KEPT and len(self._calls) > 1):
            self._size -= self._calls.popleft().size
        return call

    def after(self, n: int, *, limit: int | None = None) -> list[Call]:
        """Return the kept calls whose number is greater than `n`, the first `limit` of them."""
        start = max(0, n - (self._count - len(self._calls)))
        return list(islice(self._calls, start, None if limit is None else start + limit))
