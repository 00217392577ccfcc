"""Resealing in a real MongoDB: beside somebody who writes, in batches, and never for the wrong document."""

import uuid
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from pydantic import SecretStr
from pymongo.asynchronous.collection import AsyncCollection

from flickrhub_common import sealed_documents
from flickrhub_common.mongo import make_mongo
from flickrhub_common.resealing import reseal
from flickrhub_common.sealed_documents import SealedDocuments
from flickrhub_common.sealing import KeyRing
from flickrhub_common.settings import MongoSettings
from tests.support.run_env import needed

OLD = "k1:" + b64encode(b"1" * 32).decode()
NEW = "k2:" + b64encode(b"2" * 32).decode()
BEFORE, RING, AFTER = KeyRing.parse(OLD), KeyRing.parse(f"{NEW},{OLD}"), KeyRing.parse(NEW)
OPEN = {"state": {"$in": ["queued", "retrying"]}}
INDEX = "open_jobs"
RANGE = 50


@pytest.fixture
async def jobs(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AsyncCollection[dict[str, Any]]]:
    monkeypatch.setattr(sealed_documents, "RANGE", RANGE)
    settings = MongoSettings(mongo_url=SecretStr(needed("MONGO_URL")), mongo_db=f"reseal-{uuid.uuid4().hex[:12]}")
    async with make_mongo(settings, service="test") as mongo:
        collection = mongo[settings.mongo_db]["jobs"]
        await collection.create_index([("user_id", 1), ("state", 1)], name=INDEX, partialFilterExpression=OPEN)
        yield collection
        await mongo.drop_database(settings.mongo_db)


def a_job(number: int, *, state: str = "completed", ring: KeyRing = BEFORE) -> dict[str, Any]:
    name = f"job-{number:04d}"
    sealed = ring.seal(f"secret of {name}", purpose="callback_secret", owner=name)
    return {"_id": name, "state": state, "callback": {"url": "https://hooks.example", "sealed_secret": sealed}}


def place(jobs: AsyncCollection[dict[str, Any]]) -> SealedDocuments:
    return SealedDocuments(jobs, field="callback.sealed_secret", purpose="callback_secret", waits=OPEN, index=INDEX)


async def test_every_range_is_resealed_open_jobs_wait_and_the_rest_is_as_it_was(
    jobs: AsyncCollection[dict[str, Any]],
) -> None:
    ended = [a_job(number) for number in range(2 * RANGE + 1)]
    bare: list[dict[str, Any]] = [
        {"_id": "none", "state": "completed", "callback": None},
        {"_id": "unsigned", "state": "failed"},
    ]
    await jobs.insert_many([*ended, *bare, a_job(9998, state="queued"), a_job(9999, state="retrying")])
    tally = await reseal(place(jobs), RING)
    assert (tally.resealed, dict(tally.unopened.counts), dict(tally.waiting.counts)) == (2 * RANGE + 1, {}, {"k1": 2})
    assert tally.waiting.owners == ["job-9998", "job-9999"]
    for before in ended:
        after = await jobs.find_one({"_id": before["_id"]})
        assert after is not None
        sealed = after["callback"].pop("sealed_secret")
        owner = before["_id"]
        assert AFTER.open(sealed, purpose="callback_secret", owner=owner) == f"secret of {owner}"
        assert after == {**before, "callback": {"url": "https://hooks.example"}}
    await jobs.update_many({}, {"$set": {"state": "completed"}})
    assert (await reseal(place(jobs), RING)).left == {}


async def test_a_walk_that_was_broken_off_is_gone_on_with_by_the_next(jobs: AsyncCollection[dict[str, Any]]) -> None:
    await jobs.insert_many([a_job(number) for number in range(2 * RANGE)])
    where = place(jobs)
    async with aclosing(where.under_other_keys("k2")) as values:
        async for old in values:
            await where.swap(old, RING.reseal(old.text, purpose=old.purpose, owner=old.owner))
            if old.owner == f"job-{RANGE + 5:04d}":
                break
    tally = await reseal(place(jobs), RING)
    assert (tally.resealed, tally.left) == (RANGE - 6, {})


async def test_no_operation_looks_at_more_than_a_range_or_than_the_open_jobs(
    jobs: AsyncCollection[dict[str, Any]],
) -> None:
    await jobs.insert_many([a_job(number, ring=AFTER) for number in range(3 * RANGE)])
    await jobs.insert_many([a_job(9000 + number, state="queued") for number in range(3)])
    await jobs.database.command("profile", 2)
    assert await place(jobs).waiting("k2")
    waited = await looked_at(jobs)
    assert [each async for each in place(jobs).under_other_keys("k2")] == []
    await jobs.database.command("profile", 0)
    assert waited == [3]
    assert sorted(await looked_at(jobs)) == [0, 0, 0, 0, 3, 3, RANGE, RANGE, RANGE]


async def looked_at(jobs: AsyncCollection[dict[str, Any]]) -> list[int]:
    """How many documents each query has read until now."""
    profile = jobs.database["system.profile"].find({"ns": jobs.full_name, "op": "query"})
    return [each["docsExamined"] async for each in profile]


async def test_a_value_moved_to_another_document_or_field_is_not_resealed(
    jobs: AsyncCollection[dict[str, Any]],
) -> None:
    mine, stolen = a_job(1), a_job(2)
    stolen["callback"]["sealed_secret"] = mine["callback"]["sealed_secret"]
    await jobs.insert_many([mine, stolen])
    tally = await reseal(place(jobs), RING)
    assert (tally.resealed, tally.left) == (1, {"k1": 1})
    other_field = SealedDocuments(jobs, field="callback.sealed_secret", purpose="token.oauth_token_secret")
    assert (await reseal(other_field, KeyRing.parse("k3:" + b64encode(b"3" * 32).decode() + f",{NEW},{OLD}"))).left == {
        "k1": 1,
        "k2": 1,
    }


async def test_what_a_service_writes_meanwhile_stays(jobs: AsyncCollection[dict[str, Any]]) -> None:
    await jobs.insert_one(a_job(1))
    where = place(jobs)
    (old,) = [each async for each in where.under_other_keys("k2")]
    await jobs.update_one({"_id": old.ref}, {"$set": {"callback.sealed_secret": "v1.k2.newer"}})
    assert not await where.swap(old, "v1.k2.late")
    found = await jobs.find_one({"_id": old.ref})
    assert found is not None
    assert found["callback"]["sealed_secret"] == "v1.k2.newer"


async def test_a_value_may_belong_to_a_field_instead_of_the_id(jobs: AsyncCollection[dict[str, Any]]) -> None:
    run = {**a_job(1), "_id": "job-0001.2", "job_id": "job-0001"}
    await jobs.insert_many([run, a_job(2)])
    deliveries = SealedDocuments(jobs, field="callback.sealed_secret", purpose="callback_secret", owner="job_id")
    tally = await reseal(deliveries, RING)
    assert (tally.resealed, tally.left) == (2, {})
