"""A claim held for as long as its work takes, and known to be lost when it is: so that no two send a photo."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from flickrhub_common.contracts import JobRequested
from flickrhub_common.errors import Unavailable
from flickrhub_common.logs import logger
from flickrhub_executor.errors import ClaimLost
from flickrhub_executor.ports import Claims

log = logger(__name__)

LEASE_SECONDS = 15.0
"""How long after an executor's death its job is looked for; longer than Redis may be away without harm."""
RENEW_SECONDS = 4.0
RENEW_AGAIN_SECONDS = 0.5
"""When Redis was away: so that an absence takes no more of the lease than it lasts."""


class Lease:
    """One taking of a claim, by this process's own clock.

    ``began`` is the moment before the claim was asked for, so that the lease is never over in Redis while it holds
    here; it may be taken for shorter than it is (``seconds``). ``ended`` says that the last bytes of a photo were let
    go: from then on it may be at Flickr.
    """

    def __init__(
        self,
        claims: Claims,
        job: JobRequested,
        *,
        owner: str,
        began: float,
        seconds: float = LEASE_SECONDS,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._claims = claims
        self._job = job
        self.owner = owner
        self._pause = pause
        self._monotonic = monotonic
        self._seconds = seconds
        self._holds_until = began + seconds
        self._refused = False
        self.ended = False

    @property
    def holds(self) -> bool:
        """Whether the claim is ours for certain."""
        return not self._refused and self._monotonic() < self._holds_until

    async def keep(self) -> None:
        """Renew until cancelled or refused; without Redis it is tried on, for nobody else can take the claim either."""
        wait = RENEW_SECONDS
        while not self._refused:
            await self._pause(wait)
            try:
                await self.renew()
            except Unavailable as error:
                log.warning("claim_not_renewed", dependency=error.dependency)
                wait = RENEW_AGAIN_SECONDS
            else:
                wait = RENEW_SECONDS

    async def renew(self) -> bool:
        """Hold it for another lease; False if somebody else has it. Raises Unavailable."""
        asked = self._monotonic()
        if not self._refused and await self._claims.renew(self._job, owner=self.owner):
            self._holds_until = asked + self._seconds
        else:
            self._refused = True
        return not self._refused

    def before_end(self) -> None:
        """Let the last bytes of a photo go. Raises ClaimLost when another executor has, or may have, the job."""
        if not self.holds:
            raise ClaimLost
        self.ended = True
