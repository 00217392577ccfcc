"""Redis goes away while Flickr answers, and comes back: what Flickr said is told, and no call is made twice."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from flickrhub_common.contracts import JobCompleted, JobFailed, JobRequested, Target
from tests.integration.executor.parts import Hub, a_call
from tests.integration.executor.photos import Photos
from tests.support.own_redis import OwnRedis, own_redis
from tests.support.photographs import jpeg
from tests.support.waiting import eventually

CREATE, EDIT = "flickr.photosets.create", "flickr.photos.setMeta"
AWAY_SECONDS = 1.0
"""Longer than the driver's own tries."""


@pytest.fixture
async def other_redis(tmp_path: Path) -> AsyncIterator[OwnRedis]:
    folder = tmp_path / "redis"
    folder.mkdir()
    async with own_redis(folder) as redis:
        yield redis


def creations(hub: Hub, count: int) -> list[JobRequested]:
    photo = next(photo for photo in hub.simulator.world.photos.values() if photo.owner == hub.auth._account)
    return [a_call(CREATE, params={"title": f"T{n}", "primary_photo_id": photo.id}) for n in range(count)]


async def away(redis: OwnRedis, *, kill: bool, empty: bool = False) -> None:
    await redis.end(kill=kill)
    await asyncio.sleep(AWAY_SECONDS)
    await redis.start(empty=empty)


@pytest.mark.few
@pytest.mark.parametrize(("kill", "empty"), [(False, False), (True, True)], ids=["restarted", "killed and emptied"])
async def test_what_flickr_answered_while_redis_was_away_is_told_and_nothing_is_called_twice(
    hub: Hub, other_redis: OwnRedis, kill: bool, empty: bool
) -> None:
    await hub.executor(redis_url=other_redis.settings.redis_url)
    hub.fault(match={"method": EDIT}, times=1, latency_ms=300, status=429, body="slow down")
    hub.fault(match={}, times=-1, latency_ms=300)
    fine = [*creations(hub, 8), *(a_call() for _ in range(4))]
    refused = a_call(CREATE, params={"title": "T", "primary_photo_id": "1"})
    repeated = a_call(EDIT, params={"photo_id": "1", "title": "T"})
    jobs = [refused, repeated, *fine]
    await hub.send(*jobs)
    await eventually(lambda: len(hub.calls()) == len(jobs), every=0.01, what="all calls")
    await away(other_redis, kill=kill, empty=empty)
    refusal, repetition, *others = await hub.ended(jobs)
    assert all(isinstance(outcome, JobCompleted) for outcome in others), others
    assert isinstance(refusal, JobFailed)
    assert refusal.failure.code != "ERR_OUTCOME_UNKNOWN"
    assert repetition.attempts_made == 2
    assert len(hub.calls()) == len(jobs) + 1


@pytest.mark.few
@pytest.mark.parametrize("target", [Target.UPLOAD, Target.REPLACE], ids=str)
async def test_a_photo_sent_while_redis_was_away_is_sent_once_and_told(
    photos: Photos, other_redis: OwnRedis, target: Target
) -> None:
    hub = photos.hub
    await photos.executor(target, redis_url=other_redis.settings.redis_url)
    hub.fault(match={"kind": target.value}, times=-1, latency_ms=300)
    job = await photos.handed_over(jpeg())
    if target is Target.REPLACE:
        photo = next(photo for photo in hub.simulator.world.photos.values() if photo.owner == hub.auth._account)
        job = job.model_copy(update={"target": target, "params": {**job.params, "photo_id": photo.id}})
    await hub.send(job)
    await eventually(lambda: len(hub.calls()) == 1, every=0.01, what="the call")
    await away(other_redis, kill=True)
    (outcome,) = await hub.ended([job])
    assert isinstance(outcome, JobCompleted), outcome
    assert len(hub.calls()) == 1  # neither sent again nor looked for
