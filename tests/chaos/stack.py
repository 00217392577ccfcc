"""The stack that is put to the test: one of its own, with limits that make bad days short."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2
from pydantic import SecretStr
from redis.asyncio import Redis

from deploy.local.stack.down import clean, down
from deploy.local.stack.places import Places
from deploy.local.stack.up import up
from flickrhub_common.mongo import Database, make_mongo
from flickrhub_common.redis import make_redis
from flickrhub_common.settings import MongoSettings, RedisSettings
from tests.chaos.plan import LEASEHOLDERS
from tests.chaos.standbys import started
from tests.support.flickrhub_client import FlickrHub, flickrhub
from tests.support.other_stacks import forget_other_stacks
from tests.support.rabbit_admin import RabbitAdmin
from tests.support.run_env import needed
from tests.support.simulator import Simulator, simulator
from tests.support.stack_processes import SERVICES, StackProcesses, stack_processes

HEARTBEAT_SECONDS = 2
STOP_SECONDS = 8.0
"""Longer than a silent connection is put up with: RabbitMQ waits for two heartbeats, the services for about three."""
LONG_STOP_SECONDS = 20.0
"""Longer than the leases: 10 s for a callback, 15 s for a call or an upload."""
FLICKR_SECONDS = 5.0
ATTEMPTS = 3
EXECUTOR_CONCURRENCY = 16
CALLBACK_SECONDS = 5.0
CALLBACK_CONCURRENCY = 8
CALLBACKS_IN_FLIGHT = 2 * CALLBACK_CONCURRENCY
"""First attempts and repeated ones have places of their own."""

SETTINGS = {
    "RABBIT_HEARTBEAT_SECONDS": str(HEARTBEAT_SECONDS),
    "FLICKR_TIMEOUT_SECONDS": f"{FLICKR_SECONDS:g}",
    "JOB_RETRY_ATTEMPTS": str(ATTEMPTS),
    "WORKER_CONCURRENCY": str(EXECUTOR_CONCURRENCY),
    "FLICKR_RATE_LIMIT_PER_SECOND": "10",
    "FLICKR_RATE_LIMIT_PER_HOUR": "0",
    "UPLOAD_LOOK_SECONDS": "0.5,1,2",
    "CALLBACK_TIMEOUT_SECONDS": f"{CALLBACK_SECONDS:g}",
    "CALLBACK_CONCURRENCY": str(CALLBACK_CONCURRENCY),
    "CALLBACK_RETRY_ATTEMPTS": "10",  # what a fault spoils besides mustn't use up a receiver's patience
    "RATE_LIMIT_USER_PER_MINUTE": "0",
    "RATE_LIMIT_ADDRESS_PER_MINUTE": "0",
}


@dataclass(frozen=True)
class Stack:
    """Everything the harness talks to. `each` is how many processes every leaseholder has."""

    hub: FlickrHub
    sim: Simulator
    processes: StackProcesses
    rabbit: RabbitAdmin
    mongo: Database
    redis: Redis
    each: int

    @property
    def connections(self) -> int:
        """How many connections our processes have to RabbitMQ."""
        return len(SERVICES) + (self.each - 1) * len(LEASEHOLDERS)


@contextlib.asynccontextmanager
async def chaos_stack(places: Places, *, standbys: bool) -> AsyncIterator[Stack]:
    """A fresh stack in this run folder, stopped afterwards; its logs and data stay.

    With `standbys` every leaseholder has a second process, which no fault strikes.
    """
    forget_other_stacks()
    os.environ["RUN_DIR"] = str(places.run)
    clean(places)
    try:
        await asyncio.to_thread(up, places, {**os.environ, **SETTINGS}, free_ports=True)
        async with started(places, LEASEHOLDERS if standbys else ()), _clients(each=2 if standbys else 1) as stack:
            yield stack
    finally:
        await asyncio.to_thread(down, places)


@contextlib.asynccontextmanager
async def _clients(*, each: int) -> AsyncIterator[Stack]:
    settings = MongoSettings(mongo_url=SecretStr(needed("MONGO_URL")))
    redis = make_redis(RedisSettings(redis_url=SecretStr(needed("REDIS_URL"))), max_connections=4)
    management = httpx2.AsyncClient(base_url=needed("RABBIT_MANAGEMENT_URL"), timeout=15, trust_env=False)
    rabbit = RabbitAdmin(management, needed("RABBIT_URL"), "/")
    async with (
        flickrhub(needed("GATEWAY_URL")) as hub,
        simulator(needed("SIM_URL")) as sim,
        stack_processes() as processes,
        make_mongo(settings, service="chaos") as mongo,
        management,
    ):
        try:
            yield Stack(hub, sim, processes, rabbit, mongo[settings.mongo_db], redis, each)
        finally:
            await rabbit.close()
            await redis.aclose()


async def photos_of(sim: Simulator, person: str) -> list[dict[str, Any]]:
    """A person's photos at Flickr."""
    reply = await sim.http.get("/_sim/photos", params={"owner": person})
    found: list[dict[str, Any]] = reply.raise_for_status().json()
    return found
