"""What waits, waits through the death of whatever it waits in; and all is back soon after, by itself.

`make test-e2e ARGS="-k recovery -s"` prints how long it took; with RECOVERY_JOBS_EACH=30 and
RECOVERY_WAIT_SECONDS=90, 300 wait instead of 30.
"""

import asyncio
import os
import sys
import time
from collections import defaultdict
from itertools import pairwise

import pytest

from flickrhub_common.topology import DELAY_LEVELS, delay_queue
from tests.support.callback_receiver import CallbackReceiver, Reply
from tests.support.hub_account import ECHO, Account, Connect
from tests.support.rabbit_admin import running_vhost
from tests.support.recovery import BACK_WITHIN_SECONDS, Recovery, recovering, table
from tests.support.run_env import needed
from tests.support.simulator import PEOPLE, FlickrApp, Simulator
from tests.support.stack_processes import SERVICES, StackProcesses
from tests.support.waiting import eventually

JOBS_EACH = int(os.environ.get("RECOVERY_JOBS_EACH", "3"))
ACCOUNTS = 5
OURS = ("notifier", "executor-rest", "gateway", "auth")
WAIT_SECONDS = float(os.environ.get("RECOVERY_WAIT_SECONDS", "40"))
"""Longer than the kills take, so that nothing is under way at one."""
LATE_SECONDS = 3.0
TURN_SECONDS = 1.0
JITTER_SECONDS = 0.3
"""What a call may lose or gain on its way to Flickr after its turn was given."""
LEASE_SECONDS = 25.0
"""How long the claim of a killed process on a call or a callback holds, at the most."""

pytestmark = [pytest.mark.alone, pytest.mark.timeout(300)]


async def test_recovery_waiting_jobs_and_callbacks_survive_the_death_of_everything(
    connect: Connect, sim: Simulator, processes: StackProcesses, receiver: CallbackReceiver
) -> None:
    asked = {"retry-after": f"{WAIT_SECONDS:g}"}
    total = ACCOUNTS * JOBS_EACH
    retried = await _accounts(connect, sim, ACCOUNTS) * JOBS_EACH
    called_back = await _accounts(connect, sim, total)  # one each: what a receiver asks for holds for all of a user's
    await sim.fault(retried[0].app, ECHO, times=total, status=503, headers=asked)
    jobs = await _enqueue(retried, receiver, "job")
    for path in [f"/callback/{n}" for n in range(total)]:
        receiver.script(path, Reply(503, asked))
    await _enqueue(called_back, receiver, "callback")
    await sim.called(total, retried[0].app, ECHO, within=60)
    await eventually(lambda: len(_at(receiver, "callback")) == total, within=60, what="the first callbacks")
    await _all_wait(receiver, total)

    recoveries = await _kill_everything(processes)
    back = time.time()
    sys.stdout.write(f"\n{table(recoveries)}\n")

    done = [f"/{kind}/{n}" for kind in ("job", "callback") for n in range(total)]
    await eventually(
        lambda: (
            all(receiver.at(path)[-1:] and receiver.at(path)[-1].json()["state"] == "completed" for path in done)
            and len(receiver.requests) >= 3 * total
        ),
        within=WAIT_SECONDS + JOBS_EACH * TURN_SECONDS + 60,
        what="every callback",
    )
    _callbacks_came_once_and_on_time(receiver, total, back=back)
    await _calls_were_made_once_on_time_and_in_turn(sim, retried[0].app, back=back)
    assert {receiver.at(f"/job/{n}")[0].json()["job_id"] for n in range(total)} == set(jobs)
    assert {receiver.at(f"/job/{n}")[0].json()["attempts_made"] for n in range(total)} == {2}
    for recovery in recoveries:
        assert recovery.slowest < BACK_WITHIN_SECONDS, recovery


async def _accounts(connect: Connect, sim: Simulator, count: int) -> list[Account]:
    """Accounts of apps of their own, as few as possible."""
    apps = [await sim.new_app() for _ in range(0, count, len(PEOPLE))]
    return [await connect(apps[n // len(PEOPLE)], person=n % len(PEOPLE)) for n in range(count)]


async def _enqueue(accounts: list[Account], receiver: CallbackReceiver, kind: str) -> list[str]:
    """A job of each account, each with a path of its own for its callback."""
    return [
        await account.enqueue(ECHO, params={kind: n}, callback_url=receiver.url(f"/{kind}/{n}"))
        for n, account in enumerate(accounts)
    ]


def _at(receiver: CallbackReceiver, kind: str) -> list[str]:
    return [request.path for request in receiver.requests if request.path.startswith(f"/{kind}/")]


async def _all_wait(receiver: CallbackReceiver, total: int) -> None:
    """Until all that hasn't come again already, on a slow machine, is in the delay ladder: nothing is under way."""
    async with running_vhost(needed("RABBIT_URL"), needed("RABBIT_MANAGEMENT_URL")) as admin:

        async def wait() -> bool:
            waiting = sum([await admin.depth(delay_queue(level)) for level in range(DELAY_LEVELS)])
            return waiting + len(receiver.requests) - total >= 2 * total

        await eventually(wait, within=30, every=0.2, what=f"{2 * total} messages in the delay ladder")


async def _kill_everything(processes: StackProcesses) -> list[Recovery]:
    """Every server in turn, all connections, then every process of ours; how each absence was survived."""
    recoveries = []
    for server in ("rabbitmq", "mongo", "redis"):
        async with recovering(processes, f"{server} killed", server) as recovery:
            await processes.kill(server)
        recoveries.append(recovery)
    async with (
        running_vhost(needed("RABBIT_URL"), needed("RABBIT_MANAGEMENT_URL")) as admin,
        recovering(processes, "all connections closed", "rabbitmq") as recovery,
    ):
        await admin.close_connections(len(SERVICES))
    recoveries.append(recovery)
    async with recovering(processes, f"{', '.join(OURS)} killed", "rabbitmq") as recovery:
        await asyncio.gather(*(processes.kill(name) for name in OURS))
    return [*recoveries, recovery]


def _callbacks_came_once_and_on_time(receiver: CallbackReceiver, total: int, *, back: float) -> None:
    """Exactly once; but one that was due before all was back may have been in flight at a kill, and come again."""
    since = back - time.time() + time.monotonic()
    for n in range(total):
        first, second, *more = receiver.at(f"/callback/{n}")
        due = first.at + WAIT_SECONDS
        assert {second.body, *(each.body for each in more)} == {first.body}
        assert second.at >= due
        assert second.at <= _latest(due, since)
        assert more == [] or due <= since


async def _calls_were_made_once_on_time_and_in_turn(sim: Simulator, app: FlickrApp, *, back: float) -> None:
    by_job, by_user = defaultdict(list), defaultdict(list)
    for call in await sim.calls(app, ECHO):
        by_job[call["params"]["job"]].append(call["at"])
        by_user[call["oauth_token"]].append(call["at"])
    for first, second, *more in by_job.values():
        due = first + WAIT_SECONDS
        assert second >= due
        assert second <= _latest(due, back) + (JOBS_EACH * TURN_SECONDS if due <= back else 0)
        assert more == [] or due <= back
    for times in by_user.values():
        waits = [later - earlier for earlier, later in pairwise(times)]
        assert min(waits) > TURN_SECONDS - JITTER_SECONDS, f"a burst: {waits}"


def _latest(due: float, back: float) -> float:
    """When it must have come: what was due before all was back may have been claimed by a process that was killed."""
    return max(due, back) + LATE_SECONDS + (LEASE_SECONDS if due <= back else 0)
