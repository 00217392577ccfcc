"""Make one attempt of a delivery that has been claimed, then see to what follows."""

import asyncio
import random
import time
from dataclasses import dataclass, field
from datetime import timedelta

from flickrhub_common.clock import Clock
from flickrhub_common.errors import Unavailable
from flickrhub_common.logs import logger
from flickrhub_common.retry import Backoff
from flickrhub_common.sealing import KeyRing
from flickrhub_common.telemetry import continuing
from flickrhub_common.topology import CALLBACK_DLQ, NOTIFIER_CALLBACKS_DUE
from flickrhub_notifier.errors import SecretUnreadable, SecretUnusable, UnknownDelivery
from flickrhub_notifier.models import (
    Answer,
    Attempt,
    Bury,
    Delivery,
    DeliveryState,
    GiveUp,
    Retry,
    Verdict,
    Wait,
    endpoint_of,
)
from flickrhub_notifier.ports import UNMETERED, Deliveries, Meter, Postbox, Receiver
from flickrhub_notifier.usecases.admit_attempt import AdmitAttempt, Visit
from flickrhub_notifier.usecases.decide_next import decide_follow_up, decide_verdict
from flickrhub_notifier.usecases.keep_lines import KeepLines, due
from flickrhub_notifier.usecases.places import PATIENCE_SECONDS
from flickrhub_notifier.usecases.sign_post import sign_post

log = logger(__name__)

MOST_CLAIMS = 10
"""How often one attempt may be begun without anything being recorded of it: what crashes its notifier, or kills it,
each time must not be sent for days."""
CRASHED = Answer(error="internal_error")
RECORD_AGAIN_SECONDS = 0.25
RECORD_PATIENCE_SECONDS = 1200.0
"""Below RabbitMQ's consumer_timeout (1800 s), after which it would give the message to another."""


@dataclass(frozen=True)
class Policy:
    """How often and how long: ``timeout_seconds`` is the receiver's deadline, which a claim must outlast.

    ``max_attempts`` counts anew with each replay, as does ``expire_after``, past which no attempt begins.
    """

    max_attempts: int
    backoff: Backoff
    timeout_seconds: float
    expire_after: timedelta = timedelta(hours=72)

    @property
    def lease(self) -> timedelta:
        """How long a claim holds: the deadline, and time to store what came of it."""
        return timedelta(seconds=self.timeout_seconds + 5)

    @property
    def first_lease(self) -> timedelta:
        """How long the claim holds that a delivery is stored with: before its attempt it may wait at the door."""
        return self.lease + timedelta(seconds=PATIENCE_SECONDS)


@dataclass(frozen=True)
class MakeAttempt:
    """Attempts and follow-ups, shared by both ways in.

    The order is what makes a crash harmless anywhere: the attempt and its consequence are stored in one step, then
    the consequence is sent and confirmed, and only then is the message acknowledged that led here.
    """

    deliveries: Deliveries
    receiver: Receiver
    postbox: Postbox
    keys: KeyRing = field(repr=False)
    clock: Clock
    policy: Policy
    admit: AdmitAttempt
    lines: KeepLines
    meter: Meter = UNMETERED
    record_patience: float = RECORD_PATIENCE_SECONDS

    async def attempt(self, delivery: Delivery, visit: Visit) -> None:
        """Send a claimed delivery, record what came of it and see to the consequence. Raises Unavailable.

        The visit to its endpoint ends with the answer, while what came of it is stored.
        """
        started, at = time.perf_counter(), self.clock.now()
        with continuing(delivery.trace):
            answer = CRASHED if delivery.claims > MOST_CLAIMS else await self._post(delivery)
        seconds = time.perf_counter() - started
        self.meter.attempted(answer, seconds=seconds)
        attempt = Attempt(delivery.next_attempt, at, round(1000 * seconds), answer)
        verdict = self._judge(attempt, earlier=delivery.earlier_attempts)
        leaving = asyncio.create_task(visit.end(answer))
        try:
            _tell(delivery, attempt, verdict)
            recorded = await self._record(delivery, attempt, verdict)
        finally:
            await leaving
        if recorded is not None and not isinstance(verdict, Retry):
            self.meter.ended(delivery, recorded.state.value, at=attempt.ended_at)
        await self.follow(recorded or await self.loaded(delivery.id))

    def holds(self, delivery: Delivery) -> bool:
        """Whether the claim of a delivery still outlasts an attempt."""
        ends = self.clock.now() + timedelta(seconds=self.policy.timeout_seconds)
        return delivery.claimed_until is not None and ends < delivery.claimed_until

    async def follow(self, delivery: Delivery) -> None:
        """Send what the delivery, as it is stored, still needs to be sent. Raises Unavailable."""
        step = decide_follow_up(delivery, now=self.clock.now())
        if isinstance(step, Wait):
            again = due(delivery, step.attempt)
            await self.postbox.send_later(again, queue=NOTIFIER_CALLBACKS_DUE, seconds=step.seconds)
        elif isinstance(step, Bury):
            await self._bury(delivery)

    async def loaded(self, delivery_id: str) -> Delivery:
        """The delivery as it is stored. Raises UnknownDelivery and Unavailable."""
        delivery = await self.deliveries.load(delivery_id)
        if delivery is None:
            raise UnknownDelivery
        return delivery

    async def _post(self, delivery: Delivery) -> Answer:
        try:
            post = sign_post(delivery, keys=self.keys, now=self.clock.now())
        except SecretUnreadable:
            return Answer(error="secret_unreadable")
        except SecretUnusable:
            return Answer(error="secret_unusable")
        return await self.receiver.post(post)

    async def _record(self, delivery: Delivery, attempt: Attempt, verdict: Verdict) -> Delivery | None:
        """Store what only this process knows: without it, whoever gets the message next would have to post again.

        So the message is held while MongoDB is away, and with it a place in which nothing could be done anyway.
        """
        deadline = time.monotonic() + self.record_patience
        while True:
            try:
                return await self.deliveries.record(delivery, attempt, verdict)
            except Unavailable as error:
                if time.monotonic() >= deadline:
                    raise
                log.warning("attempt_not_recorded_yet", attempt=attempt.number, dependency=error.dependency)
            await asyncio.sleep(RECORD_AGAIN_SECONDS)

    def _judge(self, attempt: Attempt, *, earlier: int) -> Verdict:
        if attempt.answer is CRASHED:
            return GiveUp(DeliveryState.FAILED, CRASHED.reason)
        return decide_verdict(
            attempt.answer,
            number=attempt.number - earlier,
            max_attempts=self.policy.max_attempts,
            backoff=self.policy.backoff,
            chance=random.random(),  # noqa: S311 - spreads waits, protects nothing
            now=self.clock.now(),
        )

    async def _bury(self, delivery: Delivery) -> None:
        headers = {
            "reason": delivery.reason or delivery.state.value,
            "attempts": delivery.next_attempt - 1,
            "job_id": delivery.job_id,
            "trace_id": delivery.trace_id,
            "replays": delivery.replays,
        }
        if delivery.reason != "refused_address":  # whose letter names no address, not even the one that was asked for
            headers["endpoint"] = endpoint_of(delivery.url)
        last = due(delivery, max(1, delivery.next_attempt - 1))
        await self.postbox.send_dead(last, queue=CALLBACK_DLQ, headers=headers)
        await self.deliveries.mark_buried(delivery, at=self.clock.now())


def _tell(delivery: Delivery, attempt: Attempt, verdict: Verdict) -> None:
    fields = {
        "endpoint": endpoint_of(delivery.url),
        "attempt": attempt.number,
        "status": attempt.answer.status,
        "error": attempt.answer.error,
        "duration_ms": attempt.duration_ms,
    }
    if isinstance(verdict, GiveUp):
        log.warning("callback_given_up", state=verdict.state.value, **fields)
    else:
        log.info("callback_attempted", **fields)
