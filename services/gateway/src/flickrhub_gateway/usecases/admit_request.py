"""May this request come in? Every request is asked for, so the answer is quick, or given without Redis."""

import asyncio
from collections.abc import Callable, Sequence

from flickrhub_common.errors import Unavailable
from flickrhub_common.logs import logger
from flickrhub_gateway.limits import Bucket, Standing, Whose
from flickrhub_gateway.ports import RequestCounts

log = logger(__name__)

PATIENCE_SECONDS = 0.05
PAUSE_SECONDS = 1.0
SILENT_SECONDS = 60.0
MOST_REFUSED = 10_000


class AdmitRequest:
    """Counts requests by address and by user, and remembers refusals.

    Who was told to come back in a second is refused without a look at Redis until then: a flood costs next to nothing.
    When Redis doesn't answer at once, ``own`` counts, for this gateway alone, and Redis has a pause. 0 a minute
    switches a limit off.
    """

    def __init__(
        self,
        shared: RequestCounts,
        own: RequestCounts,
        *,
        per_user: int,
        per_address: int,
        now: Callable[[], float],
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._shared = shared
        self._own = own
        self._rates = {Whose.ADDRESS: per_address, Whose.USER: per_user}
        self._now = now
        self._patience = patience
        self._refused: dict[Bucket, tuple[float, Standing]] = {}
        self._ask_again_at = self._log_again_at = float("-inf")

    async def __call__(self, *, address: str | None, user_id: str | None) -> Standing | None:
        """How the client stands, refused or let in; None if no limit goes for it. Each may be None: not counted."""
        named = ((Whose.ADDRESS, address), (Whose.USER, user_id))
        buckets = [Bucket(whose, name, self._rates[whose]) for whose, name in named if name and self._rates[whose]]
        if not buckets:
            return None
        standing = self._still_refused(buckets)
        if standing is None:
            standing = await self._take(buckets)
            self._remember(standing)
        return standing

    @property
    def refuses_anybody(self) -> bool:
        """Whether there is anybody who was told to come back later."""
        return bool(self._refused)

    def refused(self, address: str) -> Standing | None:
        """The refusal of an address that goes on, for whoever may know the user later."""
        return self._still_refused([Bucket(Whose.ADDRESS, address, self._rates[Whose.ADDRESS])])

    def _still_refused(self, buckets: Sequence[Bucket]) -> Standing | None:
        for bucket in buckets:
            since, standing = self._refused.get(bucket, (0.0, None))
            if standing is None:
                continue
            passed = self._now() - since
            if passed < (standing.retry_after or 0):
                return standing.after(passed)
            del self._refused[bucket]
        return None

    def _remember(self, standing: Standing) -> None:
        if standing.wait:
            if len(self._refused) >= MOST_REFUSED:
                del self._refused[next(iter(self._refused))]
            self._refused[standing.bucket] = self._now(), standing

    async def _take(self, buckets: Sequence[Bucket]) -> Standing:
        if self._now() >= self._ask_again_at:
            try:
                async with asyncio.timeout(self._patience):
                    return await self._shared.take(buckets)
            except (TimeoutError, Unavailable):
                self._ask_again_at = self._now() + PAUSE_SECONDS
                self._complain()
        return await self._own.take(buckets)

    def _complain(self) -> None:
        if self._now() >= self._log_again_at:
            self._log_again_at = self._now() + SILENT_SECONDS
            log.warning("requests_counted_without_redis")
