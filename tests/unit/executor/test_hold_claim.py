"""When a claim may still be believed to be ours."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from flickrhub_common.errors import Unavailable
from flickrhub_common.testing import FakeClock
from flickrhub_executor.errors import ClaimLost
from flickrhub_executor.models import Taken
from flickrhub_executor.usecases.hold_claim import LEASE_SECONDS, RENEW_AGAIN_SECONDS, RENEW_SECONDS, Lease
from tests.unit.executor.fakes import FakeClaims, a_job


class Held:
    """A claim just taken, with the clock it is judged by."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.claims = FakeClaims(self.clock, lease=LEASE_SECONDS)

    async def lease(self, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> Lease:
        taken = await self.claims.take(a_job())
        assert isinstance(taken, Taken)
        return Lease(
            self.claims,
            a_job(),
            owner=taken.owner,
            began=self.clock.now().timestamp(),
            pause=pause,
            monotonic=lambda: self.clock.now().timestamp(),
        )


async def test_it_is_believed_to_the_end_of_its_lease_and_no_longer() -> None:
    held = Held()
    lease = await held.lease()
    held.clock.advance(LEASE_SECONDS - 0.001)
    ended = [lease.ended]
    lease.before_end()
    assert [*ended, lease.ended] == [False, True]
    held.clock.advance(0.001)
    with pytest.raises(ClaimLost):
        lease.before_end()


async def test_a_renewal_counts_from_before_it_was_asked_for() -> None:
    held = Held()
    lease = await held.lease()
    renew = held.claims.renew

    async def slow(*args: object, **kwargs: object) -> bool:
        held.clock.advance(3)
        return await renew(*args, **kwargs)  # type: ignore[arg-type]

    held.claims.renew = slow  # type: ignore[method-assign]
    held.clock.advance(RENEW_SECONDS)
    assert await lease.renew()
    held.clock.advance(LEASE_SECONDS - 3)
    with pytest.raises(ClaimLost):
        lease.before_end()


async def test_it_is_lost_for_good_once_it_was_refused() -> None:
    held = Held()
    lease = await held.lease()
    owner = held.claims.entries[a_job().job_id].owner
    held.claims.entries[a_job().job_id].owner = "somebody"
    assert not await lease.renew()
    held.claims.entries[a_job().job_id].owner = owner
    assert not await lease.renew()
    with pytest.raises(ClaimLost):
        lease.before_end()
    await lease.keep()


async def test_a_lease_that_ran_out_is_believed_again_when_nobody_took_the_claim_meanwhile() -> None:
    held = Held()
    lease = await held.lease()
    held.clock.advance(LEASE_SECONDS + 1)
    assert await lease.renew()
    lease.before_end()


async def test_without_redis_it_is_neither_renewed_nor_refused() -> None:
    held = Held()
    lease = await held.lease()
    held.claims.away = True
    with pytest.raises(Unavailable):
        await lease.renew()
    lease.before_end()
    held.clock.advance(LEASE_SECONDS)
    with pytest.raises(ClaimLost):
        lease.before_end()


async def test_a_renewal_that_redis_missed_is_asked_for_again_soon_and_then_as_always() -> None:
    held = Held()
    waits: list[float] = []

    async def pause(seconds: float) -> None:
        waits.append(seconds)
        held.claims.away = len(waits) in {2, 3}
        if len(waits) == 6:
            held.claims.entries.clear()

    await (await held.lease(pause)).keep()
    assert waits == [RENEW_SECONDS, RENEW_SECONDS, *2 * [RENEW_AGAIN_SECONDS], RENEW_SECONDS, RENEW_SECONDS]
