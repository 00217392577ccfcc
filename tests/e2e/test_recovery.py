"""What waits, waits through the death of whatever it waits in; and all is back soon after, by itself.

`make test-e2e ARGS="-k recovery -s"` prints how long it took; with RECOVERY_JOBS_EACH=30 and
RECOVERY_WAIT_SECONDS=90, 300 wait instead of 30.
"""

import os
import sys
import time
from collections import Counter, defaultdict
from itertools import pairwise

import pytest

from tests.support.callback_receiver import CallbackReceiver, Reply
from tests.support.hub_account import ECHO, Account, Connect
from tests.support.rabbit_admin import running_vhost
from tests.support.recovery import BACK_WITHIN_SECONDS, Recovery, recovering, table
from tests.support.run_env import needed
from tests.support.simulator import FlickrApp, Simulator
from tests.support.stack_processes import SERVICES, StackProcesses
from tests.support.waiting import eventually

JOBS_EACH = int(os.environ.get("RECOVERY_JOBS_EACH", "3"))
ACCOUNTS = 5
WAIT_SECONDS = float(os.environ.get("RECOVERY_WAIT_SECONDS", "25"))
LATE_SECONDS = 5.0
"""How late what waits may be, beyond the outage itself and the turns of its user."""
TURN_SECONDS = 1.0
LEASE_SECONDS = 20.0
"""How long a killed notifier's claim on a callback holds."""

pytestmark = [pytest.mark.alone, pytest.mark.timeout(300)]


async def test_recovery_waiting_jobs_and_callbacks_survive_the_death_of_everything(
    connect: Connect, sim: Simulator, processes: StackProcesses, receiver: CallbackReceiver
) -> None:
    asked = {"retry-after": f"{WAIT_SECONDS:g}"}
    retried, called_back = await _accounts(connect, sim), await _accounts(connect, sim)
    total = ACCOUNTS * JOBS_EACH
    await sim.fault(retried[0].app, ECHO, times=total, status=503, headers=asked)
    jobs = await _enqueue(retried, receiver, "job")
    for path in [f"/callback/{n}" for n in range(total)]:
        receiver.script(path, Reply(503, asked))
    await _enqueue(called_back, receiver, "callback")
    await sim.called(total, retried[0].app, ECHO, within=60)
    await eventually(lambda: len(set(_at(receiver, "callback"))) == total, within=60, what="the first callbacks")

    recoveries = await _kill_everything(processes)
    back = time.monotonic()
    sys.stdout.write(f"\n{table(recoveries)}\n")

    spread = JOBS_EACH * TURN_SECONDS
    done = [f"/{kind}/{n}" for kind in ("job", "callback") for n in range(total)]
    await eventually(
        lambda: (
            all(receiver.at(path)[-1:] and receiver.at(path)[-1].json()["state"] == "completed" for path in done)
            and len(receiver.requests) >= 3 * total
        ),
        within=WAIT_SECONDS + spread + 60,
        what="every callback",
    )
    _callbacks_came_once_and_on_time(receiver, total, back=back, latest=back + spread)
    await _calls_were_made_once_and_in_turn(sim, retried[0].app, total, back=time.time() - time.monotonic() + back)
    assert {receiver.at(f"/job/{n}")[0].json()["job_id"] for n in range(total)} == set(jobs)
    assert {receiver.at(f"/job/{n}")[0].json()["attempts_made"] for n in range(total)} == {2}
    for recovery in recoveries:
        assert recovery.slowest < BACK_WITHIN_SECONDS, recovery


async def _accounts(connect: Connect, sim: Simulator) -> list[Account]:
    """Accounts of one app of their own."""
    app = await sim.new_app()
    return [await connect(app, person=person) for person in range(ACCOUNTS)]


async def _enqueue(accounts: list[Account], receiver: CallbackReceiver, kind: str) -> list[str]:
    """So many jobs of each account, each with a path of its own for its callback."""
    numbered = [account for account in accounts for _ in range(JOBS_EACH)]
    return [
        await account.enqueue(ECHO, params={kind: n}, callback_url=receiver.url(f"/{kind}/{n}"))
        for n, account in enumerate(numbered)
    ]


def _at(receiver: CallbackReceiver, kind: str) -> list[str]:
    return [request.path for request in receiver.requests if request.path.startswith(f"/{kind}/")]


async def _kill_everything(processes: StackProcesses) -> list[Recovery]:
    """Every server in turn, all connections, then every process of ours; how each server's absence was survived."""
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
    for name in ("notifier", "executor-rest", "gateway", "auth"):
        await processes.kill(name)
    return [*recoveries, recovery]


def _callbacks_came_once_and_on_time(receiver: CallbackReceiver, total: int, *, back: float, latest: float) -> None:
    """What was in flight at a kill may come twice; what came later, not."""
    for path, count in Counter(request.path for request in receiver.requests if request.at > back).items():
        assert count == 1, [(path, round(each.at - back, 2)) for each in receiver.at(path)]
    for n in range(total):
        first, second, *more = receiver.at(f"/callback/{n}")
        assert {second.body, *(each.body for each in more)} == {first.body}
        assert second.at - first.at >= WAIT_SECONDS
        due = first.at + WAIT_SECONDS
        lease = LEASE_SECONDS if due <= back else 0.0  # its notifier may have been killed when it had just claimed it
        assert second.at <= max(due, latest) + lease + LATE_SECONDS


async def _calls_were_made_once_and_in_turn(sim: Simulator, app: FlickrApp, total: int, *, back: float) -> None:
    calls = await sim.calls(app, ECHO)
    by_job, by_user = defaultdict(list), defaultdict(list)
    for call in calls:
        by_job[call["params"]["job"]].append(call["at"])
        by_user[call["oauth_token"]].append(call["at"])
    assert all(second - first >= WAIT_SECONDS for first, second, *_ in by_job.values())
    assert all(len([at for at in times if at > back]) <= 1 for times in by_job.values())
    for times in by_user.values():
        waits = [later - earlier for earlier, later in pairwise(times)]
        assert min(waits) > TURN_SECONDS / 2, f"a burst: {waits}"
