"""What every store of deliveries does: run on the fake as a unit test, on MongoDB as an integration test."""

import asyncio
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from flickrhub_notifier.models import Answer, Attempt, Delivered, Delivery, DeliveryState, GiveUp, Retry
from flickrhub_notifier.ports import Deliveries

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(seconds=25)


def a_delivery(job_id: str | None = None) -> Delivery:
    """A delivery as it is when its first attempt begins."""
    return Delivery(
        job_id=job_id or str(uuid.uuid4()),
        user_id="user-1",
        url="https://hooks.example/in?key=1",
        sealed_secret="v1.k1.sealed",
        body='{"title":"Hà Nội"}'.encode(),
        trace_id=str(uuid.uuid4()),
        trace={"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"},
        created_at=NOW,
        next_attempt=1,
        next_attempt_at=NOW,
        claimed_until=LATER,
    )


def an_attempt(number: int = 1, status: int = 500) -> Attempt:
    """A recorded attempt."""
    return Attempt(number, NOW, 12, Answer(status))


class DeliveriesBehaviour:
    """Needs a fixture `store`."""

    async def test_a_new_delivery_is_stored_as_it_is(self, store: Deliveries) -> None:
        delivery = a_delivery()
        assert await store.open(delivery) is None
        assert await store.load(delivery.job_id) == delivery

    async def test_a_second_opening_gives_the_first_and_changes_nothing(self, store: Deliveries) -> None:
        delivery = a_delivery()
        await store.open(delivery)
        assert await store.open(replace(delivery, body=b"other")) == delivery
        assert await store.load(delivery.job_id) == delivery

    async def test_of_two_openings_at_once_one_is_the_first(self, store: Deliveries) -> None:
        for _ in range(10):
            delivery = a_delivery()
            found = await asyncio.gather(*(store.open(delivery) for _ in range(4)))
            assert sorted(one is None for one in found) == [False, False, False, True]

    async def test_an_unknown_delivery_is_none(self, store: Deliveries) -> None:
        assert await store.load("nobody") is None
        assert await store.claim("nobody", attempt=1, now=NOW, until=LATER) is None
        assert await store.reopen("nobody", replay=1, now=NOW) is None
        assert await store.expire("nobody", now=NOW) is None

    async def test_a_replayed_job_has_a_delivery_of_its_own(self, store: Deliveries) -> None:
        first = a_delivery()
        again = replace(first, job_replay=1, body=b"another outcome")
        assert await store.open(first) is None
        assert await store.open(again) is None
        assert await store.load(first.job_id) == first
        assert await store.load(f"{first.job_id}-r1") == again

    async def test_a_claim_is_had_only_when_it_is_free_or_over(self, store: Deliveries) -> None:
        delivery = a_delivery()
        await store.open(delivery)
        assert await store.claim(delivery.job_id, attempt=1, now=NOW, until=LATER) is None
        until = LATER + timedelta(seconds=25)
        claimed = await store.claim(delivery.job_id, attempt=1, now=LATER, until=until)
        assert claimed == replace(delivery, claimed_until=until, claims=1)
        assert await store.claim(delivery.job_id, attempt=1, now=LATER, until=until) is None

    async def test_of_many_claims_at_once_one_is_had(self, store: Deliveries) -> None:
        delivery = replace(a_delivery(), claimed_until=None)
        await store.open(delivery)
        claims = [store.claim(delivery.job_id, attempt=1, now=NOW, until=LATER) for _ in range(8)]
        assert sum(claim is not None for claim in await asyncio.gather(*claims)) == 1

    async def test_only_the_next_attempt_can_be_claimed_and_only_when_due(self, store: Deliveries) -> None:
        delivery = a_delivery()
        await store.open(delivery)
        due = NOW + timedelta(seconds=1)
        await store.record(delivery, an_attempt(), Retry(due, "http_500"))
        assert await store.claim(delivery.job_id, attempt=1, now=LATER, until=LATER) is None
        assert await store.claim(delivery.job_id, attempt=3, now=LATER, until=LATER) is None
        assert await store.claim(delivery.job_id, attempt=2, now=NOW, until=LATER) is None
        assert await store.claim(delivery.job_id, attempt=2, now=due, until=LATER) is not None

    async def test_a_failure_that_is_retried_leaves_the_delivery_pending_and_free(self, store: Deliveries) -> None:
        delivery = a_delivery()
        await store.open(delivery)
        recorded = await store.record(delivery, an_attempt(), Retry(LATER, "http_500"))
        expected = replace(delivery, next_attempt=2, next_attempt_at=LATER, claimed_until=None, reason="http_500")
        assert recorded == expected
        assert await store.load(delivery.job_id) == expected

    async def test_a_success_finishes_the_delivery(self, store: Deliveries) -> None:
        delivery = a_delivery()
        await store.open(delivery)
        recorded = await store.record(delivery, an_attempt(status=200), Delivered())
        assert recorded is not None
        assert (recorded.state, recorded.reason) == (DeliveryState.DELIVERED, None)
        assert await store.claim(delivery.job_id, attempt=2, now=LATER, until=LATER) is None

    async def test_giving_up_is_final_and_its_dead_letter_is_noted(self, store: Deliveries) -> None:
        delivery = a_delivery()
        await store.open(delivery)
        recorded = await store.record(delivery, an_attempt(), GiveUp(DeliveryState.GONE, "http_410"))
        assert recorded is not None
        assert (recorded.state, recorded.reason, recorded.dead_lettered_at) == (DeliveryState.GONE, "http_410", None)
        await store.mark_buried(recorded, at=LATER)
        buried = await store.load(delivery.job_id)
        assert buried is not None
        assert buried.dead_lettered_at == LATER

    async def test_a_failure_out_of_its_turn_changes_nothing(self, store: Deliveries) -> None:
        delivery = a_delivery()
        await store.open(delivery)
        recorded = await store.record(delivery, an_attempt(), Retry(LATER, "http_500"))
        assert await store.record(delivery, an_attempt(), GiveUp(DeliveryState.FAILED, "timeout")) is None
        assert await store.load(delivery.job_id) == recorded

    async def test_a_success_counts_even_when_another_copy_has_moved_on(self, store: Deliveries) -> None:
        delivery = a_delivery()
        await store.open(delivery)
        await store.record(delivery, an_attempt(), Retry(LATER, "timeout"))
        recorded = await store.record(delivery, an_attempt(status=200), Delivered())
        assert recorded is not None
        assert recorded.state is DeliveryState.DELIVERED

    async def test_nothing_moves_a_finished_delivery(self, store: Deliveries) -> None:
        delivery = a_delivery()
        await store.open(delivery)
        finished = await store.record(delivery, an_attempt(status=200), Delivered())
        assert await store.record(delivery, an_attempt(2), Retry(LATER, "http_500")) is None
        assert await store.record(delivery, an_attempt(2, 200), Delivered()) is None
        assert await store.load(delivery.job_id) == finished

    async def given_up(self, store: Deliveries) -> Delivery:
        """A delivery given up after two attempts, its dead letter confirmed."""
        delivery = a_delivery()
        await store.open(delivery)
        await store.record(delivery, an_attempt(), Retry(NOW, "http_500"))
        await store.record(delivery, an_attempt(2), GiveUp(DeliveryState.FAILED, "http_500"))
        await store.mark_buried(delivery, at=NOW)
        return delivery

    async def test_a_replay_begins_another_round_of_attempts_once(self, store: Deliveries) -> None:
        delivery = await self.given_up(store)
        reopened = await store.reopen(delivery.id, replay=1, now=LATER)
        assert reopened == replace(
            delivery,
            state=DeliveryState.PENDING,
            next_attempt=3,
            next_attempt_at=LATER,
            claimed_until=None,
            reason="http_500",
            dead_lettered_at=None,
            replays=1,
            earlier_attempts=2,
            round_began_at=LATER,
        )
        assert await store.load(delivery.id) == reopened
        assert await store.reopen(delivery.id, replay=1, now=LATER) is None
        assert await store.reopen(delivery.id, replay=2, now=LATER) is None, "it isn't given up"
        await store.record(delivery, an_attempt(3), GiveUp(DeliveryState.GONE, "http_410"))
        assert await store.reopen(delivery.id, replay=1, now=LATER) is None
        again = await store.reopen(delivery.id, replay=3, now=LATER)
        assert again is not None
        assert (again.replays, again.earlier_attempts) == (3, 3)

    async def test_of_many_replays_at_once_one_reopens(self, store: Deliveries) -> None:
        delivery = await self.given_up(store)
        found = await asyncio.gather(*(store.reopen(delivery.id, replay=1, now=LATER) for _ in range(8)))
        assert sum(reopened is not None for reopened in found) == 1

    async def test_what_has_arrived_is_never_reopened(self, store: Deliveries) -> None:
        delivery = a_delivery()
        await store.open(delivery)
        delivered = await store.record(delivery, an_attempt(status=200), Delivered())
        assert await store.reopen(delivery.id, replay=1, now=LATER) is None
        assert await store.load(delivery.id) == delivered

    async def test_a_delivery_that_waits_too_long_is_given_up_unless_somebody_is_at_it(self, store: Deliveries) -> None:
        delivery = a_delivery()
        await store.open(delivery)
        assert await store.expire(delivery.id, now=NOW) is None
        expired = await store.expire(delivery.id, now=LATER)
        assert expired == replace(delivery, state=DeliveryState.FAILED, reason="expired", claimed_until=None)
        assert await store.expire(delivery.id, now=LATER) is None

    async def test_claims_are_counted_until_an_attempt_is_recorded(self, store: Deliveries) -> None:
        delivery = replace(a_delivery(), claimed_until=None)
        await store.open(delivery)
        for count in (1, 2):
            claimed = await store.claim(delivery.id, attempt=1, now=NOW, until=NOW)
            assert claimed is not None
            assert claimed.claims == count
        recorded = await store.record(delivery, an_attempt(), Retry(LATER, "http_500"))
        assert recorded is not None
        assert recorded.claims == 0

    async def test_a_dead_letter_noted_late_is_not_that_of_a_round_begun_since(self, store: Deliveries) -> None:
        delivery = await self.given_up(store)
        await store.reopen(delivery.id, replay=1, now=NOW)
        await store.mark_buried(delivery, at=LATER)
        again = await store.record(delivery, an_attempt(3), GiveUp(DeliveryState.FAILED, "http_500"))
        assert again is not None
        await store.mark_buried(delivery, at=LATER)
        found = await store.load(delivery.id)
        assert found is not None
        assert found.dead_lettered_at is None

    async def in_line(self, store: Deliveries, line: str, *, seconds: int = 0) -> Delivery:
        """A delivery that waits in a line, so much younger than others."""
        came = NOW + timedelta(seconds=seconds)
        delivery = replace(a_delivery(), created_at=came, next_attempt_at=came, claimed_until=None, line=line)
        assert await store.open(delivery) is None
        return delivery

    async def test_the_oldest_in_line_is_called_first_and_nobody_twice_before_the_time_given(
        self, store: Deliveries
    ) -> None:
        line = uuid.uuid4().hex
        younger, oldest, young = [await self.in_line(store, line, seconds=n) for n in (2, 0, 1)]
        await self.in_line(store, uuid.uuid4().hex)
        until = LATER + timedelta(seconds=30)
        called = [await store.call_next(line, since=LATER, until=until) for _ in range(4)]
        assert called == [oldest, young, younger, None]
        assert await store.call_next(line, since=until, until=until) in called

    async def test_after_an_attempt_a_delivery_is_behind_those_who_have_had_none(self, store: Deliveries) -> None:
        line = uuid.uuid4().hex
        tried = await self.in_line(store, line)
        new = await self.in_line(store, line, seconds=1)
        tried_again = await store.record(tried, an_attempt(), Retry(NOW + timedelta(seconds=2), "timeout"))
        assert tried_again is not None
        await store.line_up(tried_again, line=line, now=LATER)
        until = LATER + timedelta(seconds=30)
        called = [await store.call_next(line, since=LATER, until=until) for _ in range(2)]
        assert called == [new, replace(tried_again, line=line)]

    async def test_of_many_who_call_at_once_each_calls_another(self, store: Deliveries) -> None:
        line = uuid.uuid4().hex
        waiting = [await self.in_line(store, line, seconds=n) for n in range(4)]
        found = await asyncio.gather(
            *(store.call_next(line, since=LATER, until=LATER + timedelta(seconds=1)) for _ in range(6))
        )
        assert sorted(one.id for one in found if one) == sorted(one.id for one in waiting)

    async def test_who_steps_back_waits_in_line_unclaimed_and_whose_claim_it_is_no_more_doesnt(
        self, store: Deliveries
    ) -> None:
        line, came = uuid.uuid4().hex, NOW + timedelta(seconds=1)
        first = replace(a_delivery(), claims=1, created_at=came, next_attempt_at=came)
        second = replace(a_delivery(), claims=1)
        for delivery in (first, second):
            await store.open(delivery)
            await store.step_back(delivery, line=line)
            assert await store.load(delivery.id) == replace(delivery, claimed_until=None, claims=0, line=line)
        called = [await store.call_next(line, since=LATER, until=LATER + timedelta(seconds=30)) for _ in range(2)]
        assert [one.id for one in called if one] == [second.id, first.id], "by the time they came due"
        claimed = await store.claim(first.id, attempt=1, now=LATER, until=LATER + timedelta(seconds=9))
        await store.step_back(first, line=line)
        assert await store.load(first.id) == claimed

    async def test_only_those_old_enough_are_called(self, store: Deliveries) -> None:
        line = uuid.uuid4().hex
        old = await self.in_line(store, line)
        await self.in_line(store, line, seconds=10)
        since = NOW + timedelta(seconds=9)
        assert await store.call_next(line, since=since, until=LATER) == old
        assert await store.call_next(line, since=since, until=LATER) is None

    async def test_a_claim_an_attempt_and_the_end_leave_the_line(self, store: Deliveries) -> None:
        line = uuid.uuid4().hex
        claimed, recorded, expired = [await self.in_line(store, line) for _ in range(3)]
        taken = await store.claim(claimed.id, attempt=1, now=NOW, until=LATER)
        assert taken is not None
        assert taken.line is None
        again = await store.record(recorded, an_attempt(), Retry(LATER, "http_500"))
        assert again is not None
        assert again.line is None
        assert await store.expire(expired.id, now=NOW) is not None
        assert await store.call_next(line, since=LATER, until=LATER) is None
        assert line not in [one async for one in store.lines()]

    async def test_who_comes_back_into_line_has_the_old_place_and_can_be_called_at_once(
        self, store: Deliveries
    ) -> None:
        line = uuid.uuid4().hex
        first = await self.in_line(store, line)
        second = await self.in_line(store, line, seconds=1)
        until = LATER + timedelta(seconds=30)
        for delivery in (first, second):
            assert await store.call_next(line, since=LATER, until=until) == delivery
        await store.line_up(first, line=line, now=LATER)
        assert await store.call_next(line, since=LATER, until=until) == first

    async def test_nobody_lines_up_who_is_finished_claimed_early_or_at_another_attempt(self, store: Deliveries) -> None:
        line = uuid.uuid4().hex
        claimed, finished, early, moved = [a_delivery() for _ in range(4)]
        for delivery in (claimed, finished, early, moved):
            await store.open(delivery)
        await store.record(finished, an_attempt(status=200), Delivered())
        await store.record(early, an_attempt(), Retry(LATER, "http_500"))
        await store.record(moved, an_attempt(), Retry(NOW, "http_500"))
        for delivery in (claimed, finished, replace(early, next_attempt=2), moved):
            await store.line_up(delivery, line=line, now=NOW)
        assert line not in [one async for one in store.lines()]

    async def test_all_lines_are_found_each_once(self, store: Deliveries) -> None:
        lines = sorted(uuid.uuid4().hex for _ in range(3))
        for line in [*lines, *lines]:
            await self.in_line(store, line)
        assert [line async for line in store.lines() if line in lines] == lines
