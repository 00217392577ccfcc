"""Hostile receivers on a whole notifier: each costs one attempt of one deadline, and holds nothing afterwards."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
from redis.asyncio import Redis

from flickrhub_common.broker import Messaging
from flickrhub_common.mongo import Database, Document
from flickrhub_common.redis import make_redis
from flickrhub_notifier.settings import NotifierSettings
from tests.integration.notifier import nasty as receivers
from tests.integration.notifier.nasty import Nasty, dripping, hanging_after, nasty, resetting_after, storming
from tests.integration.notifier.running import RunNotifier, an_ended_job
from tests.support.listening import Serve
from tests.support.waiting import eventually

DEADLINE = 1.0
MEASURED = 1.0
"""How much longer an attempt may seem on a busy machine."""

# On a machine with much else to do the deadline may come before the limit of what is read.
TIMEOUT, TOO_SLOW, RESET, GARBLED = {"timeout"}, {"too_slow"}, {"connection_reset"}, {"protocol_error"}


@dataclass(frozen=True)
class Hostile:
    """How one behaves, the words an attempt at it may be recorded with, and whether it waits to be hung up on."""

    serve: Serve
    words: set[str]
    tls: bool = False
    stays: bool = True


HOSTILE: Mapping[str, Hostile] = {
    "drips a status line": Hostile(dripping(b"HTTP/1.1 200 "), TIMEOUT),
    "drips a header": Hostile(dripping(b"HTTP/1.1 200 OK\r\nx-a: b"), TIMEOUT),
    "drips headers": Hostile(receivers.slow_headers, TIMEOUT),
    "drips a body": Hostile(receivers.trickling, TOO_SLOW),
    "sends endless headers": Hostile(receivers.endless_headers, GARBLED | TIMEOUT),
    "sends an endless zip": Hostile(receivers.endless_zip, {"http_500"} | TOO_SLOW),
    "storms 100": Hostile(storming(b"HTTP/1.1 100 Continue\r\n\r\n"), GARBLED | TIMEOUT),
    "storms 103": Hostile(storming(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"), GARBLED | TIMEOUT),
    "drips 102": Hostile(receivers.interim, TIMEOUT | GARBLED),
    "hangs after nothing": Hostile(hanging_after("nothing"), TIMEOUT),
    "hangs after half the headers": Hostile(hanging_after("half the headers"), TIMEOUT),
    "hangs after the headers": Hostile(hanging_after("the headers"), TOO_SLOW),
    "hangs after half the body": Hostile(hanging_after("half the body"), TOO_SLOW),
    "resets at once": Hostile(receivers.resetting_at_once, RESET, stays=False),
    **{
        f"resets after {stage}": Hostile(resetting_after(stage), RESET | GARBLED, stays=False)
        for stage in receivers.STAGES
    },
    "doesn't begin TLS": Hostile(receivers.silent, TIMEOUT, tls=True),
    "doesn't end TLS": Hostile(receivers.stalling_tls, TIMEOUT | {"tls_error"}, tls=True),
    "resets TLS": Hostile(
        resetting_after("nothing"), RESET | {"tls_error", "connection_failed"}, tls=True, stays=False
    ),
}


async def _attempts(database: Database, job_id: str) -> Document:
    """A delivery that was given up."""

    async def look() -> Document | None:
        return await database["deliveries"].find_one({"_id": job_id, "dead_lettered_at": {"$ne": None}})

    return await eventually(look, within=15, what="a delivery given up")


async def _slots(redis: Redis) -> int:
    return sum([await redis.zcard(key) async for key in redis.scan_iter("endpoint:*:slots")])


@pytest.mark.few
@pytest.mark.timeout(60)
async def test_each_is_left_at_the_deadline_with_one_attempt_recorded_and_its_slot_and_connection_free(
    run: RunNotifier, notifier_settings: NotifierSettings, sender: Messaging, database: Database
) -> None:
    await run(callback_retry_attempts=1, callback_timeout_seconds=DEADLINE, callback_concurrency=64)
    jobs: dict[str, str] = {}
    there: dict[str, Nasty] = {}
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(make_redis(notifier_settings))
        for name, hostile in HOSTILE.items():
            there[name] = await stack.enter_async_context(nasty(hostile.serve))
            url = there[name].tls_url if hostile.tls else there[name].url
            event = an_ended_job(notifier_settings, url)
            jobs[name] = event.job_id
            await sender.send_event(event)
        for name, job_id in jobs.items():
            document = await _attempts(database, job_id)
            [attempt] = document["attempts"]
            assert document["reason"] in HOSTILE[name].words, name
            assert attempt["error"] in {*HOSTILE[name].words, None}, name
            assert attempt["duration_ms"] < (DEADLINE + MEASURED) * 1000, name
            assert there[name].connections == 1, name
            if HOSTILE[name].stays:
                async with asyncio.timeout(5):
                    await there[name].hung_up.wait()
        assert await _slots(redis) == 0
