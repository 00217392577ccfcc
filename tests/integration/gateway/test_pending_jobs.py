"""The bound on a user's jobs that wait, on a real Mongo: counted in the index alone, and no further than asked."""

from flickrhub_gateway.settings import GatewaySettings
from tests.integration.gateway.parts import USER, Store, running_gateway
from tests.support.waiting import eventually

JOB = {"method": "flickr.test.echo", "user_id": USER}


async def test_one_job_more_is_refused_and_the_count_reads_no_document(settings: GatewaySettings, store: Store) -> None:
    async with running_gateway(settings.model_copy(update={"max_pending_jobs": 3})) as gateway:
        await eventually(gateway.ready, within=15, what="readiness")
        statuses = [(await gateway.http.post("/api/v1/flickr/rest", json=JOB)).status_code for _ in range(4)]
        assert statuses == [202, 202, 202, 503]
    match = {"user_id": USER, "state": {"$in": ["queued", "retrying"]}}
    pipeline = [{"$match": match}, {"$limit": 2}, {"$group": {"_id": 1, "n": {"$sum": 1}}}]
    explained = await store.database.command(
        "explain", {"aggregate": "jobs", "pipeline": pipeline, "cursor": {}}, verbosity="executionStats"
    )
    assert "open_jobs" in repr(explained)
    assert "FETCH" not in repr(explained["stages"][0]["$cursor"]["queryPlanner"]["winningPlan"])
