"""The tool on the real RabbitMQ."""

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import random
import sys
import termios
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from pydantic import SecretStr
from yarl import URL

from flickrhub_common.broker import Messaging
from flickrhub_common.contracts import CallbackDue, JobReplayed, JobRequested
from flickrhub_common.redis import PipelinedRedis, make_redis
from flickrhub_common.settings import RabbitSettings, RedisSettings
from flickrhub_common.topology import (
    CALLBACK_DLQ,
    DELIVERY_LIMIT,
    FLICKR_DLQ,
    GATEWAY_JOB_EVENTS,
    NOTIFIER_CALLBACKS_DUE,
    NOTIFIER_JOB_EVENTS,
    delay_queue,
)
from flickrhub_dlq.commands import LettersInHand
from flickrhub_dlq.errors import BrokerAway
from flickrhub_dlq.letters import Letter
from flickrhub_dlq.mailbox import open_mailbox
from flickrhub_executor.adapters.redis_claims import RedisClaims
from flickrhub_executor.models import Concluded, Taken
from tests.support.dead_letter_tool import run_tool
from tests.support.rabbit_admin import RabbitAdmin
from tests.support.samples import a_completion, a_due_callback, a_failure, a_job
from tests.support.waiting import eventually

JOBS = "flickr_rest"
NOBODY = RabbitSettings(rabbit_url=SecretStr("amqp://guest:s3cret@127.0.0.1:1/"))


async def start(
    settings: RabbitSettings, *arguments: str, stdin: int = asyncio.subprocess.DEVNULL
) -> asyncio.subprocess.Process:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RABBIT_URL")}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "flickrhub_dlq",
        *arguments,
        stdin=stdin,
        preexec_fn=partial(_own_terminal, stdin) if stdin >= 0 else None,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**environment, "RABBIT_URL": settings.rabbit_url.get_secret_value()},
    )


def _own_terminal(terminal: int) -> None:
    """Make a terminal that of this process, so that Ctrl-C there is a signal for it."""
    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)


async def listed(settings: RabbitSettings, queue: str = FLICKR_DLQ, *more: str) -> list[dict[str, Any]]:
    _, lines, _ = await run_tool(settings, "list", queue, "--json", *more)
    return [json.loads(line) for line in lines]


async def bury(others: Messaging, *jobs: JobRequested, **headers: Any) -> None:
    """Have jobs fail, as executors do, in this order."""
    for job in jobs:
        told = {"reason": "Gave up after 3 attempts.", "code": "FLICKR_105", "attempts": 3, "trace_id": job.trace_id}
        more = {"job_id": job.job_id, "queue": JOBS, "replays": job.replay, **headers}
        await others.send_dead(job, queue=FLICKR_DLQ, headers={**told, **more})


async def test_letters_are_listed_in_order_again_and_again_whatever_they_are(
    others: Messaging, rabbit_admin: RabbitAdmin, rabbit_settings: RabbitSettings
) -> None:
    jobs = [a_job() for _ in range(120)]
    await bury(others, *jobs[:60])
    await rabbit_admin.publish(b"\x00\xff" * 10, key=FLICKR_DLQ, headers={"reason": "unreadable: body", "n": 1.5})
    await bury(others, *jobs[60:])
    expected = [*(job.job_id for job in jobs[:60]), None, *(job.job_id for job in jobs[60:])]
    for _ in range(2):
        assert [row["job_id"] for row in await listed(rabbit_settings)] == expected
    (row,) = await listed(rabbit_settings, FLICKR_DLQ, "--reason", "UNREADABLE")
    assert (row["position"], row["readable"], row["bytes"]) == (61, False, 20)
    code, lines, _ = await run_tool(rabbit_settings, "show", FLICKR_DLQ, "61", jobs[5].job_id)
    assert (code, [line for line in lines if line.startswith("letter")]) == (
        0,
        ["letter 6 of flickr_dlq", "letter 61 of flickr_dlq"],
    )
    assert await rabbit_admin.depth(FLICKR_DLQ) == 121


async def test_a_replay_sends_the_event_and_the_next_run_and_takes_the_letter(
    others: Messaging, rabbit_admin: RabbitAdmin, rabbit_settings: RabbitSettings
) -> None:
    first, other = a_job(), a_job()
    await bury(others, first, first, other)
    assert [row["position"] for row in await listed(rabbit_settings)] == [1, 3]
    code, lines, said = await run_tool(rabbit_settings, "replay", FLICKR_DLQ, first.job_id, "--dry-run")
    assert (code, len(lines), said) == (0, 1, "1 would be replayed, with 1 second copy that lay beside.\n")
    assert await rabbit_admin.depth(JOBS) == 0
    code, _, said = await run_tool(rabbit_settings, "replay", FLICKR_DLQ, first.job_id)
    assert (code, said) == (0, "1 replayed, with 1 second copy that lay beside.\n")
    (left,) = await rabbit_admin.peek(FLICKR_DLQ)
    assert left.headers["job_id"] == other.job_id
    sent = await rabbit_admin.take(JOBS)
    assert {letter.body for letter in sent} == {first.model_copy(update={"replay": 1}).to_bytes()}
    assert [letter.delivery_mode for letter in sent] == [2]
    events = [JobReplayed.model_validate_json(letter.body) for letter in await rabbit_admin.take(GATEWAY_JOB_EVENTS)]
    assert {(event.job_id, event.replay) for event in events} == {(first.job_id, 1)}


async def test_callbacks_and_events_go_where_they_belong(
    others: Messaging, rabbit_admin: RabbitAdmin, rabbit_settings: RabbitSettings
) -> None:
    due, event = a_due_callback(), a_completion()
    await others.send_dead(due, queue=CALLBACK_DLQ, headers={"reason": "exhausted", "job_id": due.job_id})
    crashed = {"reason": "its handler crashed 5 times: KeyError", "queue": NOTIFIER_JOB_EVENTS, "x-crashes": 4}
    await others.send_dead(event, queue=CALLBACK_DLQ, headers=crashed)
    garbage = {"reason": "unreadable: body", "queue": NOTIFIER_CALLBACKS_DUE}
    await rabbit_admin.publish(b"\xff", key=CALLBACK_DLQ, headers=garbage)
    await rabbit_admin.publish(b"\xfe", key=CALLBACK_DLQ, headers={"reason": "unreadable: body"})
    code, lines, said = await run_tool(rabbit_settings, "replay", CALLBACK_DLQ, "--all")
    assert (code, said) == (1, "3 replayed, 1 left.\n")
    assert "which queue it came from" in lines[-1]
    one, other = await rabbit_admin.take(NOTIFIER_CALLBACKS_DUE)
    assert CallbackDue.model_validate_json(one.body) == due.model_copy(update={"replay": 1, "attempt": 1})
    assert (other.body, other.headers) == (b"\xff", {"replays": 1, "x-delivery-count": 0})
    (back,) = await rabbit_admin.take(NOTIFIER_JOB_EVENTS)
    assert (back.body, back.type, back.headers["replays"]) == (event.to_bytes(), "job.completed", 1)
    assert "x-crashes" not in back.headers


async def test_a_job_that_rabbitmq_buried_itself_goes_back_to_its_queue_though_it_had_waited_in_the_ladder(
    others: Messaging, rabbit_admin: RabbitAdmin, rabbit_settings: RabbitSettings
) -> None:
    job = a_job(attempt=2)
    await others.send_later(job, queue=JOBS, seconds=0.5)
    await eventually(lambda: rabbit_admin.depth(JOBS), what="the job at the end of the ladder")
    for _ in range(DELIVERY_LIMIT + 1):
        await rabbit_admin.peek(JOBS)
    (letter,) = await eventually(lambda: rabbit_admin.peek(FLICKR_DLQ), what="a dead letter")
    assert letter.headers["x-first-death-queue"] == delay_queue(1)
    code, _, said = await run_tool(rabbit_settings, "replay", FLICKR_DLQ, "--all")
    assert (code, said) == (0, "1 replayed.\n")
    assert [each.body for each in await rabbit_admin.take(JOBS)] == [job.to_bytes()]


async def test_purging_needs_a_yes_and_takes_only_what_is_selected(
    others: Messaging, rabbit_admin: RabbitAdmin, rabbit_settings: RabbitSettings
) -> None:
    await bury(others, a_job(), a_job())
    await bury(others, a_job(), code="FLICKR_1")
    code, _, said = await run_tool(rabbit_settings, "purge", FLICKR_DLQ, "--code", "FLICKR_105")
    assert (code, "--yes" in said, await rabbit_admin.depth(FLICKR_DLQ)) == (2, True, 3)
    code, _, said = await run_tool(rabbit_settings, "purge", FLICKR_DLQ, "--code", "FLICKR_105", "--yes")
    assert (code, said) == (0, "2 purged.\n")
    assert [letter.headers["code"] for letter in await rabbit_admin.peek(FLICKR_DLQ)] == ["FLICKR_1"]


async def test_a_yes_deletes_what_was_seen_and_ctrl_c_at_the_question_ends_the_tool(
    others: Messaging, rabbit_admin: RabbitAdmin, rabbit_settings: RabbitSettings
) -> None:
    seen, later = a_job(), a_job()
    await bury(others, seen)
    async with asked(rabbit_settings, "purge", FLICKR_DLQ, "--all") as (process, terminal):
        os.write(terminal, b"\x03")
        assert await asyncio.wait_for(process.wait(), 5) == 130
    assert await rabbit_admin.depth(FLICKR_DLQ) == 1
    async with asked(rabbit_settings, "purge", FLICKR_DLQ, "--all") as (process, terminal):
        await bury(others, later)
        os.write(terminal, b"y\n")
        assert await asyncio.wait_for(process.wait(), 20) == 0
    assert [letter.headers["job_id"] for letter in await rabbit_admin.peek(FLICKR_DLQ)] == [later.job_id]


@contextlib.asynccontextmanager
async def asked(settings: RabbitSettings, *arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """The tool at a terminal, where it has just asked its question; and the terminal's other end."""
    ours, its = pty.openpty()
    process = await start(settings, *arguments, stdin=its)
    try:
        assert process.stderr is not None
        said = await asyncio.wait_for(process.stderr.readuntil(b"[y/N] "), 20)
        assert said == b"Delete 1 of flickr_dlq for good? [y/N] "
        yield process, ours
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
        os.close(ours)
        os.close(its)


async def test_a_letter_stays_when_its_queue_is_gone(
    others: Messaging, rabbit_admin: RabbitAdmin, rabbit_settings: RabbitSettings
) -> None:
    due = a_due_callback()
    await others.send_dead(due, queue=CALLBACK_DLQ, headers={"reason": "exhausted", "job_id": due.job_id})
    await rabbit_admin.delete_queue(NOTIFIER_CALLBACKS_DUE)
    code, _, said = await run_tool(rabbit_settings, "replay", CALLBACK_DLQ, "--all")
    assert (code, said) == (1, "0 replayed, 1 left.\n")
    assert await rabbit_admin.depth(CALLBACK_DLQ) == 1
    await others.stop()
    again = Messaging(rabbit_settings, service="test")
    await again.start()  # which declares it anew
    await again.stop()


async def test_two_operators_at_once_do_no_harm(
    others: Messaging, rabbit_admin: RabbitAdmin, rabbit_settings: RabbitSettings
) -> None:
    jobs = [a_job() for _ in range(40)]
    await bury(others, *jobs)
    results = await asyncio.gather(*(run_tool(rabbit_settings, "replay", FLICKR_DLQ, "--all") for _ in range(2)))
    assert sorted(said for _, _, said in results) == ["40 replayed.\n", "No such letter in flickr_dlq.\n"]
    sent = Counter(json.loads(letter.body)["job_id"] for letter in await rabbit_admin.take(JOBS))
    assert sent == Counter(job.job_id for job in jobs)


async def test_a_broker_that_is_away_is_told_in_one_sentence_without_its_url() -> None:
    process = await start(NOBODY, "list", FLICKR_DLQ)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, out, err) == (3, b"", b"RabbitMQ can't be reached at RABBIT_URL.\n")


async def test_an_empty_server_is_told_from_an_absent_one(rabbit_settings: RabbitSettings) -> None:
    elsewhere = str(URL(rabbit_settings.rabbit_url.get_secret_value()).with_path("no-such-vhost"))
    ended, _, said = await run_tool(RabbitSettings(rabbit_url=SecretStr(elsewhere)), "list")
    assert ended == 3
    assert "no-such-vhost" not in said


async def test_a_broker_that_goes_away_is_told_from_a_bug_of_ours_though_drivers_raise_the_same(
    others: Messaging, rabbit_admin: RabbitAdmin, rabbit_settings: RabbitSettings
) -> None:
    async def crash(_: LettersInHand, __: Letter) -> None:
        raise RuntimeError("a bug")

    async def hang_up_and_purge(sorting: LettersInHand, letter: Letter) -> None:
        await mailbox._letters._connection.close()
        await sorting.take_away(letter)

    async def act(action: Callable[[LettersInHand, Letter], Awaitable[None]]) -> None:
        async with mailbox.sorting(FLICKR_DLQ) as sorting:
            async for window in sorting.windows():
                await action(sorting, window[0])

    async def both_are_back() -> bool:
        return await mailbox.count(FLICKR_DLQ) == 2

    await bury(others, a_job(), a_job())
    async with open_mailbox(rabbit_settings) as mailbox:
        with pytest.raises(RuntimeError, match="a bug"):
            await act(crash)
        await eventually(both_are_back, what="what was in hand back in the queue")
        with pytest.raises(BrokerAway, match="went away"):
            await act(hang_up_and_purge)
    assert len(await listed(rabbit_settings)) == 2


@pytest.mark.few
async def test_killed_again_and_again_while_replaying_it_loses_no_letter_and_every_job_ends_once(
    others: Messaging, rabbit_admin: RabbitAdmin, rabbit_settings: RabbitSettings, redis_settings: RedisSettings
) -> None:
    jobs = [a_job() for _ in range(200)]
    await bury(others, *jobs)
    chance = random.Random(20261121)  # noqa: S311 - where to kill
    kills = 0
    while await eventually_depth(rabbit_admin):
        process = await start(rabbit_settings, "replay", FLICKR_DLQ, "--all", "--json")
        assert process.stdout is not None
        for _ in range(chance.randrange(60)):
            if not await process.stdout.readline():
                break
        if kills < 4:
            await asyncio.sleep(chance.random() / 20)
            process.kill()
            kills += 1
        else:
            await process.communicate()
        await process.wait()
    sent = [JobRequested.model_validate_json(letter.body) for letter in await rabbit_admin.take(JOBS)]
    assert {job.replay for job in sent} == {1}
    assert {job.job_id for job in sent} == {job.job_id for job in jobs}
    assert await rabbit_admin.depth(FLICKR_DLQ) == 0
    assert await ends(sent, redis_settings) == Counter(job.job_id for job in jobs)


async def eventually_depth(rabbit: RabbitAdmin) -> int:
    """How many letters there are, once a killed process's are back: its lock goes with its connection."""
    await eventually(lambda: _nobody_holds(rabbit), within=20, every=0.05, what="the letters of a killed process")
    return await rabbit.depth(FLICKR_DLQ)


async def _nobody_holds(rabbit: RabbitAdmin) -> bool:
    return await rabbit.consumers(FLICKR_DLQ) == 0 and await rabbit.exists(FLICKR_DLQ)


async def ends(sent: list[JobRequested], settings: RedisSettings) -> Counter[str]:
    """How often each job would be done, by the claims of executors, whose first run of each had failed."""
    redis = make_redis(settings, max_connections=4)
    done: Counter[str] = Counter()
    try:
        claims = RedisClaims(PipelinedRedis(redis), lease_seconds=30, telling_seconds=30)
        for job_id in {job.job_id for job in sent}:
            await claims.conclude(a_job(job_id), a_failure(job_id))
            await claims.mark_reported(job_id)
        for job in sent:
            claim = await claims.take(job)
            if isinstance(claim, Taken):
                done[job.job_id] += 1
                assert isinstance(await claims.conclude(job, a_completion(job.job_id)), Concluded)
    finally:
        await redis.aclose()
    return done
