"""The store of deliveries on the real MongoDB."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from pymongo import AsyncMongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from flickrhub_common.errors import Unavailable
from flickrhub_common.mongo import INDEXING_SECONDS, OPERATION_SECONDS, Database, make_mongo
from flickrhub_common.settings import MongoSettings
from flickrhub_notifier.adapters.deliveries import MongoDeliveries
from flickrhub_notifier.models import Answer, Attempt, Delivered, DeliveryState, GiveUp, Retry
from tests.unit.notifier.behaviour_of_deliveries import LATER, NOW, DeliveriesBehaviour, a_delivery


@pytest.fixture
async def database(mongo_settings: MongoSettings) -> AsyncIterator[Database]:
    """A database of this test's own."""
    async with make_mongo(mongo_settings, service="test") as client:
        yield client[mongo_settings.mongo_db]


@pytest.fixture
def store(database: Database) -> MongoDeliveries:
    """The store under test."""
    return MongoDeliveries(database)


class TestMongoDeliveries(DeliveriesBehaviour):
    """See `behaviour_of_deliveries.py`."""


async def test_it_isnt_ready_before_its_indexes_are_made(store: MongoDeliveries) -> None:
    with pytest.raises(Unavailable):
        await store.check_indexes()
    await store.ensure_indexes()
    await store.check_indexes()


async def test_the_document_holds_every_attempt_in_order(store: MongoDeliveries, database: Database) -> None:
    delivery = a_delivery()
    await store.open(delivery)
    first = Attempt(1, NOW, 1200, Answer(503, retry_after="30", excerpt="busy"))
    await store.record(delivery, first, Retry(LATER, "http_503"))
    await store.record(delivery, Attempt(2, LATER, 7, Answer(error="dns_error")), Retry(LATER, "dns_error"))
    await store.record(delivery, Attempt(3, LATER, 5, Answer(204)), Delivered())
    document = await database["deliveries"].find_one({"_id": delivery.job_id})
    assert document is not None
    assert document["attempts"] == [
        {"number": 1, "at": NOW, "duration_ms": 1200, "status": 503, "error": None, "response": "busy"},
        {"number": 2, "at": LATER, "duration_ms": 7, "status": None, "error": "dns_error", "response": None},
        {"number": 3, "at": LATER, "duration_ms": 5, "status": 204, "error": None, "response": None},
    ]
    assert bytes(document["body"]) == delivery.body
    assert document["state"] == "delivered"


async def test_an_attempt_that_came_too_late_is_recorded_all_the_same(
    store: MongoDeliveries, database: Database
) -> None:
    delivery = a_delivery()
    await store.open(delivery)
    await store.record(delivery, Attempt(1, NOW, 5, Answer(200)), Delivered())
    late = Attempt(1, NOW, 30000, Answer(error="timeout"))
    assert await store.record(delivery, late, Retry(LATER, "timeout")) is None
    document = await database["deliveries"].find_one({"_id": delivery.job_id})
    assert document is not None
    assert [entry["error"] for entry in document["attempts"]] == [None, "timeout"]
    assert document["state"] == "delivered"


async def test_an_attempt_whose_record_is_repeated_is_there_once(store: MongoDeliveries, database: Database) -> None:
    delivery = a_delivery()
    await store.open(delivery)
    attempt = Attempt(1, NOW + timedelta(microseconds=1234), 5, Answer(200, excerpt="taken"))
    assert await store.record(delivery, attempt, Delivered()) is not None
    assert await store.record(delivery, attempt, Delivered()) is None  # whose first answer was lost
    document = await database["deliveries"].find_one({"_id": delivery.job_id})
    assert document is not None
    assert [entry["number"] for entry in document["attempts"]] == [1]


async def test_what_was_given_up_is_found_by_its_index(store: MongoDeliveries, database: Database) -> None:
    await store.ensure_indexes()
    await store.ensure_indexes()
    given_up = a_delivery()
    for delivery in (given_up, a_delivery(), a_delivery()):
        await store.open(delivery)
    await store.record(given_up, Attempt(1, NOW, 5, Answer(410)), GiveUp(DeliveryState.GONE, "http_410"))
    cursor = database["deliveries"].find({"given_up": True}).sort("updated_at", -1)
    assert [document["_id"] async for document in cursor] == [given_up.job_id]
    plan = await cursor.explain()
    assert "given_up" in str(plan["queryPlanner"]["winningPlan"])


async def test_those_in_line_are_found_by_its_index(store: MongoDeliveries, database: Database) -> None:
    await store.ensure_indexes()
    waiting = replace(a_delivery(), claimed_until=None, line="an-endpoint")
    for delivery in (waiting, a_delivery(), a_delivery()):
        await store.open(delivery)
    for query, order in (
        ({"line": "an-endpoint", "line_at": {"$lte": LATER}}, "line_at"),
        ({"line": {"$gt": ""}}, "line"),
    ):
        cursor = database["deliveries"].find(query).sort(order)
        assert [document["_id"] async for document in cursor] == [waiting.id]
        plan = (await cursor.explain())["queryPlanner"]["winningPlan"]
        assert ("lines" in str(plan), "SORT" in str(plan)) == (True, False)


async def test_a_delivery_that_has_ended_goes_after_its_time_and_one_that_waits_stays(database: Database) -> None:
    store = MongoDeliveries(database, keep=timedelta(days=30))
    await store.ensure_indexes()
    ended, waiting = a_delivery(), a_delivery()
    for delivery in (ended, waiting):
        await store.open(delivery)
    await store.record(ended, Attempt(1, NOW, 5, Answer(200)), Delivered())
    await store.record(waiting, Attempt(1, NOW, 5, Answer(500)), Retry(NOW, "http_500"))

    documents = {document["_id"]: document async for document in database["deliveries"].find()}
    assert documents[ended.job_id]["expires_at"] > NOW + timedelta(days=29)
    assert "expires_at" not in documents[waiting.job_id]
    indexes = await database["deliveries"].index_information()
    assert any(index.get("expireAfterSeconds") == 0 for index in indexes.values())


async def test_an_index_of_earlier_versions_gives_way(store: MongoDeliveries, database: Database) -> None:
    await database["deliveries"].create_index("expires_at", expireAfterSeconds=0)
    await store.ensure_indexes()
    assert set(await database["deliveries"].index_information()) == {"_id_", "given_up", "ended", "lines"}


class Operations(CommandListener):
    """What the driver asked of MongoDB."""

    def __init__(self) -> None:
        self.names: Counter[str] = Counter()
        self.seconds: dict[str, float] = {}

    def started(self, event: CommandStartedEvent) -> None:
        self.names[event.command_name] += 1
        self.seconds[event.command_name] = event.command.get("maxTimeMS", 0) / 1000

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Nothing."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing."""


@pytest.fixture
def operations(monkeypatch: pytest.MonkeyPatch) -> Operations:
    """Those of every client made after this."""
    listener = Operations()
    monkeypatch.setattr(
        "flickrhub_common.mongo.AsyncMongoClient", partial(AsyncMongoClient, event_listeners=[listener])
    )
    return listener


async def test_an_index_of_a_large_collection_has_the_time_that_it_takes_and_nothing_else_has(
    operations: Operations, mongo_settings: MongoSettings
) -> None:
    async with make_mongo(mongo_settings, service="test") as client:
        store = MongoDeliveries(client[mongo_settings.mongo_db])
        await store.ensure_indexes()
        await store.load("any")
    assert operations.seconds["createIndexes"] == pytest.approx(INDEXING_SECONDS, abs=30)
    assert operations.seconds["find"] <= OPERATION_SECONDS


async def test_what_begins_and_ends_at_the_same_time_is_written_together_each_as_if_it_were_alone(
    operations: Operations, mongo_settings: MongoSettings
) -> None:
    async with make_mongo(mongo_settings, service="test") as client:
        database = client[mongo_settings.mongo_db]
        store = MongoDeliveries(database, keep=timedelta(days=30))
        known, *new = [a_delivery() for _ in range(40)]
        await store.open(known)
        operations.names.clear()
        found = await asyncio.gather(*(store.open(delivery) for delivery in (*new, known, new[0])))
        assert found == [*[None] * len(new), known, new[0]]
        assert operations.names == {"insert": 1, "find": 2}

        operations.names.clear()
        attempts = [Attempt(1, NOW, number, Answer(200)) for number in range(len(new))]
        ends = [store.record(each, attempt, Delivered()) for each, attempt in zip(new, attempts, strict=True)]
        recorded = await asyncio.gather(*ends)
        assert operations.names == {"update": 1}
        documents = {
            document["_id"]: document async for document in database["deliveries"].find({"state": "delivered"})
        }
        for delivery, attempt, now in zip(new, attempts, recorded, strict=True):
            assert now == await store.load(delivery.id)
            document = documents[delivery.id]
            assert [entry["duration_ms"] for entry in document["attempts"]] == [attempt.duration_ms]
            assert document["expires_at"] > NOW + timedelta(days=29)


async def test_of_successes_that_come_together_one_that_had_ended_and_one_that_is_gone_spoil_no_other(
    store: MongoDeliveries, database: Database
) -> None:
    ended, gone, *others = [a_delivery() for _ in range(6)]
    for delivery in (ended, *others):
        await store.open(delivery)
    await store.record(ended, Attempt(1, NOW, 5, Answer(410)), GiveUp(DeliveryState.GONE, "http_410"))
    late = Attempt(1, NOW, 7, Answer(200))
    both = [store.record(each, late, Delivered()) for each in (ended, *others, gone)]
    found = await asyncio.gather(*both)
    assert (found[0], found[-1]) == (None, None)
    states = [document["state"] async for document in database["deliveries"].find({"_id": {"$ne": ended.id}})]
    assert states == ["delivered"] * len(others)
    documents = {document["_id"]: document async for document in database["deliveries"].find()}
    assert gone.id not in documents
    assert [entry["status"] for entry in documents[ended.id]["attempts"]] == [410, 200]
    assert [len(documents[each.id]["attempts"]) for each in others] == [1] * len(others), "once each"


async def test_one_that_cant_be_stored_spoils_no_other(store: MongoDeliveries, database: Database) -> None:
    impossible = replace(a_delivery(), trace_id="\ud800")
    good = [a_delivery() for _ in range(3)]
    found = await asyncio.gather(
        *(store.open(each) for each in (good[0], impossible, *good[1:])), return_exceptions=True
    )
    assert [isinstance(one, Exception) for one in found] == [False, True, False, False]
    assert not isinstance(found[1], Unavailable)
    assert await database["deliveries"].count_documents({}) == len(good)


async def test_without_mongo_everybody_who_came_together_is_told() -> None:
    settings = MongoSettings.model_validate({"mongo_url": "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=100"})
    async with make_mongo(settings, service="test", operation_seconds=0.3) as nowhere:
        store = MongoDeliveries(nowhere["nothing"])
        attempt = Attempt(1, NOW, 5, Answer(200))
        asked = [store.open(a_delivery()), store.open(a_delivery()), store.record(a_delivery(), attempt, Delivered())]
        found = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(one) for one in found] == [Unavailable] * 3
