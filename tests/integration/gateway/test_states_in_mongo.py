"""The table of moves as Mongo keeps it: the same as the fake that the state machine of the unit tests goes by."""

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flickrhub_common.mongo import make_mongo
from flickrhub_common.settings import MongoSettings
from flickrhub_gateway.adapters.jobs import MongoJobs
from flickrhub_gateway.models import Retention, change_of
from tests.unit.gateway.fakes import USER, FakeJobs, a_job
from tests.unit.gateway.test_states_in_any_order import Event, events

KEEP = Retention(completed_days=1, failed_days=1)
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def test_mongo_takes_and_leaves_the_same_events_as_the_table(
    mongo_settings: MongoSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flickrhub_gateway.adapters.jobs.GATHER_CHANGES_SECONDS", 0)  # told one by one
    numbers = iter(range(10**6))

    async def same(told: list[Event]) -> None:
        job = a_job(id=f"any-order-{next(numbers)}")
        fake = FakeJobs()
        fake.hold(job)
        await mongo.add(job)
        for event in told:
            change = change_of(event.model_copy(update={"job_id": job.id}), now=NOW, retention=KEEP)
            await mongo.apply(change)
            await fake.apply(change)
            found, expected = [await jobs.find(job.id, user_id=USER) for jobs in (mongo, fake)]
            assert found is not None
            assert expected is not None
            assert (found.state, found.attempts) == (expected.state, expected.attempts)

    @settings(max_examples=40, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(events, max_size=12))
    def try_out(told: list[Event]) -> None:
        runner.run(same(told))

    with asyncio.Runner() as runner:
        client = make_mongo(mongo_settings, service="test")
        mongo = MongoJobs(runner.run(client.__aenter__())[mongo_settings.mongo_db])
        try:
            try_out()
        finally:
            runner.run(client.__aexit__(None, None, None))
